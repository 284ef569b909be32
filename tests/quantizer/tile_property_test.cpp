// SPDX-License-Identifier: Apache-2.0
//
// What holds of every quantizer, for any tile: all codes over a grid of scales, and properties of random
// intervals and values from the smallest float to the largest.
#include <qtk/quantizer/any_quantizer.hpp>

#include <doctest/doctest.h>

#include "property.hpp"
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using qtk::any_quantizer;
using qtk::interval;
using qtk::origin;
using qtk::rounding;
using qtk::scale_type;
using qtk::tile_params;

constexpr scale_type scale_types[] = {scale_type::f32, scale_type::f16, scale_type::bf16,
                                      scale_type::e8m0, scale_type::e4m3};

/// Every format, symmetric and with a zero point, scales of one type, half to even.
std::vector<qtk::scheme> schemes_of(scale_type scale) {
    std::vector<qtk::scheme> all;
    for (auto const& [name, element] : qtk::known_formats)
        for (origin const zero : {origin::fixed, origin::floating})
            if (qtk::scheme const s{.element = element, .zero = zero, .scale = scale};
                qtk::is_valid(s))
                all.push_back(s);
    return all;
}
qtk::scheme any_scheme(scale_type scale) {
    static std::vector<qtk::scheme> all[std::size(scale_types)];
    auto& list = all[static_cast<std::size_t>(scale)];
    if (list.empty()) list = schemes_of(scale);
    return test::one_of(list);
}
interval any_interval(int lowest, int highest) {
    float const a = test::float_between(lowest, highest), b = test::float_between(lowest, highest);
    return {std::min(a, b), std::max(a, b)};
}

/// The finite levels less the zero, rising.
std::vector<double> rising_levels(any_quantizer const& q, tile_params p) {
    std::vector<double> levels;
    for (int field = static_cast<int>(q.lowest_field());
         field <= static_cast<int>(q.highest_field()); ++field) {
        float const level = q.decode(static_cast<std::uint8_t>(field), {1.0f, p.zero});
        if (std::isfinite(level)) levels.push_back(static_cast<double>(level));
    }
    std::ranges::sort(levels);
    return levels;
}

/// What |decode(encode(x)) - x| may be inside the levels: half the gap that x lies in. The quotient and the
/// product are rounded, codebooks' midpoints too; subnormals are rounded to multiples of 2^-149.
double error_bound(std::vector<double> const& levels, double scale, double x, double decoded) {
    auto const above = std::ranges::upper_bound(levels, x / scale);
    double const high = above == levels.end() ? levels.back() : *above;
    double const low = above == levels.begin() ? levels.front() : *(above - 1);
    return 0.5 * (high - low) * scale + 0x1p-24 * (std::fabs(x) + std::fabs(decoded) + scale) +
           0x1p-149;
}

}  // namespace

TEST_CASE("every code of every format comes back, at every zero and scale, subnormal to huge") {
    constexpr float scales[] = {0x1p-149f, 0x1.8p-140f,      0x1p-126f, 0x1.fffffep-100f,
                                1e-20f,    0.013f,           1.0f,      3.7f,
                                1e20f,     0x1.fffffep+100f, 0x1p121f};
    int lost = 0, falling = 0;
    for (qtk::scheme const& s : schemes_of(scale_type::f32)) {
        qtk::format const f = s.element;
        any_quantizer const q(s);
        std::vector<int> zeros{qtk::symmetric_zero(f)};
        if (s.has_zero_point())
            for (int zero = 0; zero < f.patterns(); zero += f.bits < 7 ? 1 : 5)
                zeros.push_back(zero);
        for (float const scale : scales)
            for (int const zero : zeros) {
                tile_params const p{scale, zero};
                float before = -std::numeric_limits<float>::infinity();
                for (int i = static_cast<int>(q.lowest_field()); i < f.patterns(); ++i) {
                    auto const field = static_cast<std::uint8_t>(i);
                    float const x = q.decode(field, p);
                    if (!std::isfinite(x)) continue;
                    std::uint8_t const again = q.encode(x, p);
                    // Other formats have two zeros, and levels that round to one subnormal.
                    lost += f.is_integer() ? again != field : q.decode(again, p) != x;
                    if (f.is_integer() || f == qtk::nf4) falling += x < before;
                    before = x;
                }
            }
    }
    CHECK(lost == 0);
    CHECK(falling == 0);
}

TEST_CASE("between the outermost levels the error is at most half the gap between two levels") {
    test::property("half a gap, and the roundings of a quotient and a product", [] {
        any_quantizer const q(any_scheme(scale_type::f32));
        tile_params const p = q.fit(any_interval(-148, 126));
        auto const levels = rising_levels(q, p);
        double const scale = static_cast<double>(p.scale);
        double const share = static_cast<double>(*rc::gen::inRange(0, (1 << 20) + 1)) * 0x1p-20;
        double const low = levels.front() * scale, high = levels.back() * scale;
        auto const x = static_cast<float>(
            std::clamp(low + (high - low) * share, -0x1.fffffep127, 0x1.fffffep127));
        auto const decoded = static_cast<double>(q.round_trip(x, p));
        RC_PRE(std::isfinite(decoded));
        RC_ASSERT(std::fabs(decoded - static_cast<double>(x)) <=
                  error_bound(levels, scale, static_cast<double>(x), decoded));
    });
}

TEST_CASE("inside its interval an integer tile loses half a step at most, with a zero point too") {
    test::property("half a step", [] {
        any_quantizer const q(any_scheme(scale_type::f32));
        RC_PRE(q.element.is_integer());
        interval const range = any_interval(-120, 126);
        tile_params const p = q.fit(range);
        // A rounded zero point moves both ends of the grid by half a step: what lies beyond loses no more.
        double const low = q.has_zero_point ? std::min(0.0, static_cast<double>(range.lowest))
                                            : static_cast<double>(range.lowest),
                     high = q.has_zero_point ? std::max(0.0, static_cast<double>(range.highest))
                                             : static_cast<double>(range.highest);
        double const share = *rc::gen::element(0.0, 1.0, *rc::gen::inRange(0, 1025) / 1024.0);
        auto const x = static_cast<float>(low + (high - low) * share);
        auto const decoded = static_cast<double>(q.round_trip(x, p));
        // The scale is rounded, for each of up to 255 steps, the quotients of value and zero, the product.
        double const widest = std::max(std::fabs(low), std::fabs(high));
        RC_ASSERT(std::fabs(decoded - static_cast<double>(x)) <=
                  0.5 * static_cast<double>(p.scale) + 8.0 * 0x1p-24 * widest + 256.0 * 0x1p-149);
    });
}

TEST_CASE("a float holds the scale of every interval, also of one whose width is no float") {
    constexpr float most = std::numeric_limits<float>::max();
    for (qtk::scheme const& s : schemes_of(scale_type::f32))
        for (interval const range : {interval{-most, most}, interval{-0.6f * most, 0.7f * most}}) {
            CAPTURE(qtk::name_of(s.element));
            any_quantizer const q(s);
            tile_params const p = q.fit(range);
            // Divided before they are added, the ends round twice.
            double const width =
                static_cast<double>(range.highest) - static_cast<double>(range.lowest);
            double const ideal = s.has_zero_point()
                                     ? width / (s.element.patterns() - 1)
                                     : static_cast<double>(range.highest) /
                                           static_cast<double>(qtk::largest_level(s.element));
            CHECK(static_cast<double>(p.scale) == doctest::Approx(ideal).epsilon(0x1p-23));
        }
}

TEST_CASE("zero is a code of every tile that has a finite scale") {
    test::property("zero stays zero, of either sign", [] {
        scale_type const type = test::one_of(scale_types);
        any_quantizer const q(any_scheme(type));
        tile_params const p = q.fit(any_interval(-149, 127));
        RC_PRE(std::isfinite(p.scale) || type == scale_type::f32);
        RC_ASSERT(std::isfinite(p.scale));
        RC_ASSERT(p.scale > 0.0f);
        RC_ASSERT(q.round_trip(0.0f, p) == 0.0f);
        RC_ASSERT(q.round_trip(-0.0f, p) == 0.0f);
    });
}

TEST_CASE("what is decoded is encoded to the same value, whatever the scale is stored as") {
    test::property("decode, encode, decode", [] {
        qtk::scheme const s = any_scheme(test::one_of(scale_types));
        any_quantizer const q(
            s, s.scale == scale_type::e4m3 ? std::fabs(test::float_between(-60, 60)) : 1.0f);
        tile_params const p = q.fit(any_interval(-126, 126));
        RC_PRE(std::isfinite(p.scale));
        for (int field = static_cast<int>(q.lowest_field()); field < q.element.patterns();
             ++field) {
            float const x = q.decode(static_cast<std::uint8_t>(field), p);
            if (std::isfinite(x)) RC_ASSERT(q.round_trip(x, p) == x);
        }
    });
}

TEST_CASE("a larger value never becomes a smaller one") {
    test::property("encoding is monotone, far outside too", [] {
        qtk::scheme s = any_scheme(test::one_of(scale_types));
        s.round = test::one_of(std::array{rounding::nearest_even, rounding::nearest_away});
        any_quantizer const q(s);
        tile_params const p = q.fit(any_interval(-20, 20));
        RC_PRE(std::isfinite(p.scale));
        float const a = test::float_between(-40, 30), b = test::float_between(-40, 30);
        float const low = q.round_trip(std::min(a, b), p), high = q.round_trip(std::max(a, b), p);
        RC_ASSERT(low <= high);
    });
}

TEST_CASE("a tile times a power of two has the same codes, and its scale times it") {
    test::property("exact, as long as nothing leaves the normal floats", [] {
        scale_type const type = test::one_of(
            std::array{scale_type::f32, scale_type::bf16, scale_type::e8m0, scale_type::e4m3});
        qtk::scheme const s = any_scheme(type);
        int const power = *rc::gen::inRange(-40, 41);
        auto const times = [power](float x) { return std::ldexp(x, power); };
        float const tensor = type == scale_type::e4m3 ? 0.37f : 1.0f;
        any_quantizer const q(s, tensor);
        any_quantizer const scaled(s, type == scale_type::e4m3 ? times(tensor) : 1.0f);
        interval const range = any_interval(-40, 40);
        tile_params const p = q.fit(range),
                          far = scaled.fit({times(range.lowest), times(range.highest)});
        RC_ASSERT(far.zero == p.zero);
        RC_ASSERT(far.scale == times(p.scale));
        float const x = test::float_between(-50, 45);
        RC_ASSERT(scaled.encode(times(x), far) == q.encode(x, p));
    });
}

TEST_CASE("a stochastic code is one of the two that enclose the value, and a level is its own") {
    test::property("a neighbour for every toss", [] {
        qtk::scheme s = any_scheme(scale_type::f32);
        s.round = rounding::stochastic;
        any_quantizer const q(s);
        tile_params const p = q.fit(any_interval(-60, 60));
        float const x = test::float_between(-70, 65);
        float const toss = static_cast<float>(*rc::gen::inRange(0, 1 << 24)) * 0x1p-24f;
        auto const levels = rising_levels(q, p);
        double const v = static_cast<double>(x / p.scale);
        double const got = static_cast<double>(q.decode(q.encode(x, p, toss), {1.0f, p.zero}));
        auto const above = std::ranges::lower_bound(levels, v);
        double const high = above == levels.end() ? levels.back() : *above;
        double const low = above == levels.begin()               ? levels.front()
                           : above == levels.end() || *above > v ? *(above - 1)
                                                                 : *above;
        RC_ASSERT(got == low || got == high);
    });
}
