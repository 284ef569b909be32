// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/format/gguf_encode.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include <cmath>
#include <limits>
#include <numbers>

namespace {

std::vector<std::uint8_t> encoded(qtk::gguf_type type, std::vector<float> const& x,
                                  std::vector<float> const& importance = {}) {
    auto const& entry = *qtk::find_gguf_type(type);
    std::vector<std::uint8_t> bytes(x.size() / entry.values * entry.bytes);
    qtk::encode_gguf_row(type, x, bytes, importance);
    return bytes;
}
std::vector<float> decoded(qtk::gguf_type type, std::vector<std::uint8_t> const& bytes,
                           std::size_t count) {
    std::vector<float> x(count);
    qtk::decode_gguf_row({type, bytes, 1, count}, 0, x);
    return x;
}

/// 2^20 normal values: splitmix64 from 42, Box and Muller's pairs.
std::vector<float> normal_values() {
    std::vector<float> x(std::size_t{1} << 20);
    qtk::splitmix64 random(42);
    auto const unit = [&] { return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53; };
    for (std::size_t i = 0; i < x.size(); i += 2) {
        double const radius = std::sqrt(-2.0 * std::log(unit()));
        double const angle = 2.0 * std::numbers::pi * unit();
        x[i] = static_cast<float>(radius * std::cos(angle));
        x[i + 1] = static_cast<float>(radius * std::sin(angle));
    }
    return x;
}

}  // namespace

TEST_CASE("all quantizers give ggml's bytes") {
    std::vector<float> const x = cases::golden_input();
    for (cases::ggml_golden const& golden : cases::ggml_goldens) {
        CAPTURE(golden.type);
        auto const& entry = *qtk::find_gguf_type(golden.type);
        std::vector<std::uint8_t> const bytes = encoded(entry.type, x);
        CHECK(cases::hex_of(std::span(bytes).first(entry.bytes)) == golden.first);
        CHECK(cases::hash_of(bytes) == golden.hash);
        // Nine digits were printed.
        CHECK(cases::nmse(x, decoded(entry.type, bytes, 256)) ==
              doctest::Approx(golden.nmse).epsilon(1e-8));
    }
}

TEST_CASE("normal values are quantized with ggml's error") {
    struct {
        qtk::gguf_type type;
        double nmse;
    } const goldens[] = {{qtk::gguf_type::q4_0, 0.00736563},   {qtk::gguf_type::q4_1, 0.00612064},
                         {qtk::gguf_type::q5_0, 0.00181686},   {qtk::gguf_type::q5_1, 0.00143416},
                         {qtk::gguf_type::q8_0, 0.00002858},   {qtk::gguf_type::q2_K, 0.08787640},
                         {qtk::gguf_type::q3_K, 0.02277866},   {qtk::gguf_type::q4_K, 0.00509258},
                         {qtk::gguf_type::q5_K, 0.00130357},   {qtk::gguf_type::q6_K, 0.00031418},
                         {qtk::gguf_type::iq4_nl, 0.00619541}, {qtk::gguf_type::iq4_xs, 0.00589067},
                         {qtk::gguf_type::mxfp4, 0.01320538}};
    std::vector<float> const x = normal_values();
    CHECK(x[0] == 0.41471976f);
    for (auto const& golden : goldens) {
        CAPTURE(qtk::name_of(golden.type));
        // Eight decimals were printed; the math library moves the input by a last digit.
        CHECK(std::fabs(cases::nmse(x, decoded(golden.type, encoded(golden.type, x), x.size())) -
                        golden.nmse) <= 2e-8);
    }
}

TEST_CASE("with a flat importance the error is ggml's with one, at any size of the importance") {
    struct {
        qtk::gguf_type type;
        double nmse;
    } const goldens[] = {{qtk::gguf_type::q4_0, 0.00664276},   {qtk::gguf_type::q4_1, 0.00488794},
                         {qtk::gguf_type::q5_0, 0.00162922},   {qtk::gguf_type::q5_1, 0.00114196},
                         {qtk::gguf_type::q8_0, 0.00002858},   {qtk::gguf_type::q2_K, 0.07181088},
                         {qtk::gguf_type::q3_K, 0.02089751},   {qtk::gguf_type::q4_K, 0.00500837},
                         {qtk::gguf_type::q5_K, 0.00125065},   {qtk::gguf_type::q6_K, 0.00029912},
                         {qtk::gguf_type::iq4_nl, 0.00561380}, {qtk::gguf_type::iq4_xs, 0.00571609},
                         {qtk::gguf_type::mxfp4, 0.01320538}};
    std::vector<float> const x = normal_values();
    constexpr std::size_t row = 4096;
    for (auto const& golden : goldens) {
        CAPTURE(qtk::name_of(golden.type));
        std::vector<float> back;
        for (std::size_t first = 0; first < x.size(); first += row) {
            auto const at = x.begin() + static_cast<std::ptrdiff_t>(first);
            std::vector<float> const values(at, at + row);
            float const size = first % (2 * row) == 0 ? 1.0f : 0.125f;
            auto const bytes = encoded(golden.type, values, std::vector<float>(row, size));
            auto const some = decoded(golden.type, bytes, row);
            back.insert(back.end(), some.begin(), some.end());
        }
        CHECK(std::fabs(cases::nmse(x, back) - golden.nmse) <= 2e-8);
    }
}

TEST_CASE("columns of a large importance keep more of their values") {
    std::vector<float> const x = qtk::gaussian_vector(4096, 5);
    std::vector<float> importance(4096);
    for (std::size_t i = 0; i < importance.size(); ++i) importance[i] = i % 8 == 0 ? 100.0f : 1.0f;
    auto const weighted_error = [&](std::vector<float> const& back) {
        double sum = 0.0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            double const off = static_cast<double>(x[i]) - static_cast<double>(back[i]);
            sum += static_cast<double>(importance[i]) * off * off;
        }
        return sum;
    };
    for (auto const& entry : qtk::known_gguf_types) {
        if (!qtk::has_gguf_decoder(entry.type) || entry.values == 1) continue;
        CAPTURE(entry.name);
        double const plain = weighted_error(decoded(entry.type, encoded(entry.type, x), 4096)),
                     found = weighted_error(
                         decoded(entry.type, encoded(entry.type, x, importance), 4096));
        if (entry.type == qtk::gguf_type::q8_0 || entry.type == qtk::gguf_type::mxfp4)
            CHECK(found == plain);
        else
            CHECK(found < 0.85 * plain);
    }
}

TEST_CASE("columns without importance are quantized as if all had the same") {
    std::vector<float> const x = qtk::gaussian_vector(256, 6), none(256), flat(256, 1.0f);
    for (auto const& entry : qtk::known_gguf_types) {
        if (!qtk::has_gguf_decoder(entry.type)) continue;
        CAPTURE(entry.name);
        if (entry.type == qtk::gguf_type::q6_K)  // its weights without importance are x^2
            CHECK(encoded(entry.type, x, none) == encoded(entry.type, x));
        else
            CHECK(encoded(entry.type, x, none) == encoded(entry.type, x, flat));
    }
}

TEST_CASE("zeros, tiny values and one value alone are quantized in every type") {
    for (auto const& entry : qtk::known_gguf_types) {
        if (!qtk::has_gguf_decoder(entry.type)) continue;
        CAPTURE(entry.name);
        std::vector<float> x(256, 0.0f);
        CHECK(decoded(entry.type, encoded(entry.type, x), 256) == x);
        x[77] = -0.75f;
        double const error = cases::nmse(x, decoded(entry.type, encoded(entry.type, x), 256));
        CHECK(error < 0.05);
        for (float& v : x) v = 0x1p-140f;
        for (float const v : decoded(entry.type, encoded(entry.type, x), 256))
            CHECK(std::fabs(v) <= 0x1p-120f);
        // Bytes without meaning, but nothing is undefined.
        x[3] = std::numeric_limits<float>::quiet_NaN();
        static_cast<void>(encoded(entry.type, x));
        x[3] = std::numeric_limits<float>::infinity();
        static_cast<void>(encoded(entry.type, x));
        x[3] = std::numeric_limits<float>::max();
        x[4] = -x[3];
        static_cast<void>(encoded(entry.type, x));
    }
}

TEST_CASE("rows that are no whole blocks, and types without a quantizer, are refused") {
    std::vector<float> const x(256);
    std::vector<std::uint8_t> bytes(144);
    CHECK_NOTHROW(qtk::encode_gguf_row(qtk::gguf_type::q4_K, x, bytes));
    CHECK_THROWS_AS(qtk::encode_gguf_row(qtk::gguf_type::q4_K, std::span(x).first(128), bytes),
                    qtk::shape_error);
    CHECK_THROWS_AS(qtk::encode_gguf_row(qtk::gguf_type::q4_K, x, std::span(bytes).first(143)),
                    qtk::shape_error);
    CHECK_THROWS_WITH_AS(
        qtk::encode_gguf_row(qtk::gguf_type::q4_K, x, bytes, std::span(x).first(32)),
        "gguf: a row of 256 values has 32 importances", qtk::shape_error);
    CHECK_THROWS_AS(qtk::encode_gguf_row(qtk::gguf_type::iq2_xs, x, bytes), qtk::value_error);
}
