// SPDX-License-Identifier: Apache-2.0
//
// Every instruction set that this machine has against the scalar definition: random shapes, schemes and
// places in memory. Integer results have the same bits, sums of floats lie within their bound.
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/measure.hpp>
#include <qtk/kernel/pack.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include "property.hpp"
#include <cmath>
#include <limits>

namespace {

qtk::scheme any_scheme_of_a_product() {
    qtk::format element = test::one_of(qtk::known_formats).value;
    qtk::scheme s{.element = element,
                  .scale = static_cast<qtk::scale_type>(*rc::gen::inRange(0, 4))};
    if (element.is_integer() && *rc::gen::arbitrary<bool>()) s.zero = qtk::origin::floating;
    switch (*rc::gen::inRange(0, 5)) {
        case 0:
            s.grain = qtk::per_tensor;
            break;
        case 1:
            s.grain = qtk::per_channel;
            break;
        case 2:
            s.grain = {*rc::gen::inRange(1, 9), *rc::gen::inRange(1, 80)};
            break;
        default:
            s.grain = {1, *rc::gen::element(1, 16, 20, 32, 64, 96, 128, 130)};
    }
    return s;
}
cases::product_shape any_shape() {
    return {.m = *rc::gen::weightedOneOf<std::size_t>({{3, rc::gen::inRange<std::size_t>(1, 10)},
                                                       {1, rc::gen::inRange<std::size_t>(10, 40)}}),
            .n = *rc::gen::inRange<std::size_t>(1, 70),
            .k = std::max<std::size_t>(1, test::length_around(64))};
}

}  // namespace

TEST_CASE(
    "int8 products of random schemes and shapes have the scalar bits on every instruction set") {
    test::property(
        "integer products",
        [] {
            qtk::scheme const s = any_scheme_of_a_product();
            RC_PRE(qtk::has_integer_levels(s.element));
            cases::product const p(s, any_shape());
            qtk::product_options options{.activations = test::one_of(cases::int8_types),
                                         .static_scale = 0.02f};
            auto const expected = p.on(qtk::instruction_set::scalar, options);
            for (auto const set : cases::usable_isas())
                RC_ASSERT(cases::same_bits(p.on(set, options), expected));
        },
        4);
}

TEST_CASE(
    "float and bf16 products of random schemes and shapes lie within their bound on every set") {
    test::property(
        "float products",
        [] {
            cases::product const p(any_scheme_of_a_product(), any_shape());
            for (auto const type : {qtk::activation_type::f32, qtk::activation_type::bf16}) {
                auto const expected = p.on(qtk::instruction_set::scalar, {.activations = type});
                auto const bounds = p.bounds(type);
                for (auto const set : cases::usable_isas())
                    RC_ASSERT(cases::within(p.on(set, {.activations = type}), expected, bounds));
            }
        },
        4);
}

TEST_CASE("fields of any width are packed and unpacked at any address, and nothing beside them") {
    test::property("pack, unpack and the bytes around them", [] {
        int const bits = *rc::gen::inRange(1, 9);
        std::size_t const n = test::length_around(64),
                          shift = *rc::gen::inRange<std::size_t>(0, 65);
        qtk::splitmix64 random(*rc::gen::arbitrary<std::uint64_t>());
        std::vector<std::uint8_t> fields(n);
        for (auto& f : fields) f = static_cast<std::uint8_t>(random() & ((1u << bits) - 1));
        std::size_t const size = qtk::packed_bytes(n, bits);
        std::vector<std::uint8_t> expected(shift + size + 70, 0xcd);
        qtk::pack_fields(fields, bits, std::span(expected).subspan(shift, size));
        for (auto const set : cases::usable_sets()) {
            std::vector<std::uint8_t> bytes(shift + size + 70, 0xcd);
            qtk::pack_fields(set, fields, bits, std::span(bytes).subspan(shift, size));
            RC_ASSERT(bytes == expected);
            std::vector<std::uint8_t> back(shift + n + 70, 0xcd), wanted = back;
            std::ranges::copy(fields, wanted.begin() + static_cast<std::ptrdiff_t>(shift));
            qtk::unpack_fields(set, std::span(bytes).subspan(shift, size), bits,
                               std::span(back).subspan(shift, n));
            RC_ASSERT(back == wanted);
        }
    });
}

TEST_CASE(
    "extremes of tiles are the same on every instruction set, and NaN and infinity are seen") {
    test::property("measure_tiles", [] {
        std::size_t const n = test::length_around(16), shift = *rc::gen::inRange<std::size_t>(0, 5);
        std::size_t const tile = *rc::gen::inRange<std::size_t>(1, n + 2);
        bool const is_signed = *rc::gen::arbitrary<bool>();
        auto all = qtk::gaussian_vector(n + shift, *rc::gen::arbitrary<std::uint64_t>());
        for (float& x : all) x = std::ldexp(x, *rc::gen::inRange(-3, 4) * 40);
        if (n > 0 && *rc::gen::inRange(0, 4) == 0)
            all[shift + *rc::gen::inRange<std::size_t>(0, n)] = *rc::gen::element(
                std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                std::nanf(""), std::numeric_limits<float>::max(), 0x1p-149f, -0.0f);
        auto const x = std::span<float const>(all).subspan(shift);
        std::vector<qtk::extremes> expected(n / tile + 1), found(n / tile + 1);
        bool const is_sound = qtk::measure_tiles_scalar(x, tile, is_signed, expected.data());
        bool is_finite = true;
        for (float const v : x) is_finite = is_finite && std::isfinite(v);
        RC_ASSERT(is_sound == is_finite);
        for (auto const set : cases::usable_sets()) {
            RC_ASSERT(qtk::measure_tiles(set, x, tile, is_signed, found.data()) == is_sound);
            if (!is_sound) continue;
            for (std::size_t j = 0; j * tile < n; ++j) {
                // Where nothing is negative one set may say -0 and another 0.
                RC_ASSERT(found[j].lowest == expected[j].lowest);
                RC_ASSERT(found[j].highest == expected[j].highest);
                auto const part = x.subspan(j * tile, std::min(tile, n - j * tile));
                float low = 0.0f, high = 0.0f;
                for (float const v : part) low = std::min(low, v), high = std::max(high, v);
                if (!is_signed) high = std::max(high, -low), low = -high;
                RC_ASSERT(found[j].lowest == low);
                RC_ASSERT(found[j].highest == high);
            }
        }
    });
}
