// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/dispatch.hpp>
#include <qtk/core/random.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using qtk::interval;
using qtk::origin;
using qtk::scale_type;
using qtk::tile_quantizer;

using sym4 = tile_quantizer<qtk::i4, origin::fixed>;
using asym4 = tile_quantizer<qtk::i4, origin::floating>;

/// f.operator()<Q>() for the quantizer of every format and symmetry.
template <typename F>
void for_each_quantizer(F&& f) {
    for (auto const& [name, element] : qtk::known_formats) {
        CAPTURE(name);
        qtk::dispatch_format(element, [&]<qtk::format Element>() {
            f.template operator()<tile_quantizer<Element, origin::fixed>>();
            if constexpr (Element.is_integer())
                f.template operator()<tile_quantizer<Element, origin::floating>>();
        });
    }
}

}  // namespace

TEST_CASE("a tile of zeros has scale one and gives back zeros") {
    for_each_quantizer([]<typename Q>() {
        static_assert(qtk::quantizer<Q>);
        Q const q;
        auto const p = q.fit({});
        CHECK(p.scale == 1.0f);
        CHECK(q.decode(q.encode(0.0f, p), p) == 0.0f);
        CHECK(q.decode(q.encode(-0.0f, p), p) == 0.0f);
    });
}

TEST_CASE("the ends of the interval are met within a step, zero exactly") {
    for_each_quantizer([]<typename Q>() {
        Q const q;
        auto const p = q.fit({-3.0f, 3.0f});
        CHECK(q.decode(q.encode(0.0f, p), p) == 0.0f);
        float const step = Q::has_zero_point ? p.scale : 0.0f;  // the zero point is rounded
        constexpr float ulps = 3.0f * 0x1p-23f;  // the scale and the product are rounded
        CHECK(std::fabs(q.decode(q.encode(3.0f, p), p) - 3.0f) <= step + ulps);
        CHECK(std::fabs(q.decode(q.encode(-3.0f, p), p) + 3.0f) <= step + ulps);
    });
}

TEST_CASE("a tiny tile and a huge one keep finite scales") {
    for_each_quantizer([]<typename Q>() {
        Q const q;
        constexpr float tiny = std::numeric_limits<float>::denorm_min();
        auto const least = q.fit({-tiny, tiny});
        CHECK(least.scale > 0.0f);
        CHECK(std::isfinite(q.decode(q.encode(tiny, least), least)));
        // Half the largest float: K steps of a rounded scale may end past the interval.
        constexpr float huge = std::numeric_limits<float>::max() / 2.0f;
        auto const p = q.fit({-huge, huge});
        CHECK(std::isfinite(p.scale));
        CHECK(std::isfinite(q.decode(q.encode(huge, p), p)));
    });
}

TEST_CASE("values are divided by their scale: the reciprocal of a subnormal one is infinite") {
    for_each_quantizer([]<typename Q>() {
        Q const q;
        for (float const scale :
             {std::numeric_limits<float>::denorm_min(), 0x1.8p-130f, 0x1p-126f}) {
            qtk::tile_params const p{scale, qtk::symmetric_zero(Q::element)};
            for (int field = static_cast<int>(Q::lowest); field < Q::element.patterns(); ++field) {
                float const x = q.decode(static_cast<std::uint8_t>(field), p);
                if (std::isfinite(x)) REQUIRE(q.decode(q.encode(x, p), p) == x);
            }
        }
    });
}

TEST_CASE("a single value is an end of its interval") {
    for_each_quantizer([]<typename Q>() {
        Q const q;
        for (float const x : {2.0f, -0.3f}) {
            auto const p = q.fit({x, x});
            // One rounding of the scale, one of the product; one-sided, so the zero point is exact.
            CHECK(std::fabs(q.decode(q.encode(x, p), p) - x) <= std::fabs(x) * 0x1p-23f);
        }
    });
}

TEST_CASE("values far outside take an outermost field, even infinite ones") {
    for_each_quantizer([]<typename Q>() {
        Q const q;
        auto const p = q.fit({-1.0f, 1.0f});
        if constexpr (Q::element.is_integer()) {
            for (float const x : {1e9f, 1e38f, std::numeric_limits<float>::infinity()}) {
                CHECK(q.encode(x, p) == static_cast<int>(Q::highest));
                CHECK(q.encode(-x, p) == static_cast<int>(Q::lowest));
            }
        } else {
            float const top = q.decode(q.encode(1.0f, p), p);
            CHECK(q.decode(q.encode(1e9f, p), p) >= top);
            CHECK(q.decode(q.encode(-1e9f, p), p) <= -top);
        }
    });
}

TEST_CASE("four symmetric bits by hand") {
    sym4 const q;
    auto const p = q.fit({-1.0f, 3.5f});
    CHECK(p.scale == 0.5f);
    CHECK(p.zero == 8);
    CHECK(q.encode(3.5f, p) == 15);
    CHECK(q.encode(-3.5f, p) == 1);
    CHECK(q.encode(-100.0f, p) == 1);  // field 0, code -8, is not used
    CHECK(q.encode(0.75f, p) == 10);   // 1.5 steps: half to even
    CHECK(q.encode(0.25f, p) == 8);    // half a step: half to even
}

TEST_CASE("four asymmetric bits by hand") {
    asym4 const q;
    auto const p = q.fit({-0.5f, 7.0f});
    CHECK(p.scale == 0.5f);
    CHECK(p.zero == 1);
    CHECK(q.encode(-0.5f, p) == 0);
    CHECK(q.encode(7.0f, p) == 15);
    CHECK(q.encode(-9.0f, p) == 0);
    CHECK(q.decode(1, p) == 0.0f);
}

TEST_CASE("an interval on one side of zero is extended to zero") {
    asym4 const q;
    CHECK(q.fit({2.0f, 3.0f}) == q.fit({0.0f, 3.0f}));
    CHECK(q.fit({-3.0f, -2.0f}) == q.fit({-3.0f, 0.0f}));
    CHECK(q.fit({-3.0f, -2.0f}).zero == 15);
}

TEST_CASE("unsigned formats have the fields of signed ones") {
    tile_quantizer<qtk::u5, origin::floating> const u;
    tile_quantizer<qtk::i5, origin::floating> const i;
    auto const p = u.fit({-1.0f, 2.0f});
    CHECK(p == i.fit({-1.0f, 2.0f}));
    for (float x = -1.5f; x < 2.5f; x += 0.01f) REQUIRE(u.encode(x, p) == i.encode(x, p));
}

TEST_CASE(
    "powers of two as scales: exponent by floor, or one that clips nothing with a zero point") {
    qtk::quantizer_for<qtk::mxfp4> const mx(scale_type::e8m0);
    CHECK(mx.fit({-7.9f, 1.0f}).scale == 1.0f);  // 2^(2 - 2): 7.9 clips to 6
    CHECK(mx.fit({-8.0f, 1.0f}).scale == 2.0f);
    tile_quantizer<qtk::i8, origin::fixed> const mxint8(scale_type::e8m0);
    CHECK(mxint8.fit({0.0f, 1.5f}).scale == 0x1p-6f);
    asym4 const with_zero(scale_type::e8m0);
    CHECK(with_zero.fit({0.0f, 15.0f}).scale == 1.0f);
    CHECK(with_zero.fit({0.0f, 15.1f}).scale == 2.0f);
}

TEST_CASE("two-level scales are e4m3 values times the tensor scale") {
    qtk::quantizer_for<qtk::nvfp4> const q(scale_type::e4m3, 0.25f);
    auto const p = q.fit({-12.0f, 0.0f});  // 12 / 6 / 0.25 = 8, an e4m3 value
    CHECK(p.scale == 2.0f);
    CHECK(q.fit({0.0f, 12.4f}).scale == 2.0f);  // 8.27 rounds to 8
    CHECK(q.fit({}).scale == 0.25f);            // zeros: one, times the tensor scale
    CHECK(qtk::two_level_tensor_scale(896.0f) == 2.0f);
    CHECK(qtk::two_level_tensor_scale(0.0f) == 1.0f);
}

TEST_CASE("stored scales are what their type can hold") {
    sym4 const half(scale_type::f16), brain(scale_type::bf16);
    auto const ideal = sym4::ideal_scale({-1.0f, 0.0f});
    CHECK(half.fit({-1.0f, 0.0f}).scale == qtk::f16_to_float(qtk::float_to_f16(ideal)));
    CHECK(brain.fit({-1.0f, 0.0f}).scale == qtk::bf16_to_float(qtk::float_to_bf16(ideal)));
    CHECK(std::isinf(half.fit({-1e6f, 0.0f}).scale));  // 1e6 / 7 is no f16: for the caller to see
    CHECK(half.fit({-1e-9f, 0.0f}).scale == 0x1p-24f);
}

TEST_CASE("values inside the interval are off by at most half a step") {
    auto const values = qtk::gaussian_vector(2000, 1);
    for_each_quantizer([&]<typename Q>() {
        if constexpr (Q::element.is_integer()) {
            Q const q;
            auto const p = q.fit({-5.0f, 5.0f});
            // At the ends, a rounded zero point shifts the grid by up to half a step.
            float const end = Q::has_zero_point ? 5.0f - 0.5f * p.scale : 5.0f;
            for (float const x : values)
                if (std::fabs(x) <= end)
                    // Quotient, product and difference are rounded: each up to 5 * 2^-24.
                    REQUIRE(std::fabs(q.decode(q.encode(x, p), p) - x) <=
                            0.5f * p.scale + 3.0f * 0x1p-24f * 5.0f);
        }
    });
}

TEST_CASE("every decoded field encodes to a field of the same value, and encoding is monotone") {
    for_each_quantizer([]<typename Q>() {
        Q const q;
        auto const p = q.fit({-1.7f, 1.3f});
        for (int field = static_cast<int>(Q::lowest); field < Q::element.patterns(); ++field) {
            float const x = q.decode(static_cast<std::uint8_t>(field), p);
            if (!std::isfinite(x)) continue;
            REQUIRE(q.decode(q.encode(x, p), p) == x);
        }
        float last = q.decode(q.encode(-2.0f, p), p);
        for (float x = -2.0f; x <= 2.0f; x += 0.001f) {
            float const now = q.decode(q.encode(x, p), p);
            REQUIRE(now >= last);
            last = now;
        }
    });
}

TEST_CASE("scaling by a power of two scales every code's value and nothing else") {
    sym4 const q;
    auto const p = q.fit({-1.7f, 1.3f}), four = q.fit({-6.8f, 5.2f});
    for (float x = -2.0f; x <= 2.0f; x += 0.01f)
        REQUIRE(q.encode(x, p) == q.encode(4.0f * x, four));
}

TEST_CASE("stochastic rounding meets the mean of every format") {
    for (auto const& [name, element] : qtk::known_formats) {
        CAPTURE(name);
        qtk::dispatch_format(element, []<qtk::format Element>() {
            tile_quantizer<Element, origin::fixed, qtk::rounding::stochastic> const q;
            auto const p = q.fit({-1.0f, 1.0f});
            for (float const x : {-0.83f, -0.21f, 0.037f, 0.4f}) {
                constexpr int tosses = 20'000;
                // Values below 1: quotient, product, and a toss has 24 bits.
                constexpr double ulps = 3.0 * 0x1p-24;
                double sum = 0.0, low = 2.0, high = -2.0;
                for (int i = 0; i < tosses; ++i) {
                    float const toss =
                        qtk::half_open_unit(qtk::word_at(7, static_cast<std::uint64_t>(i)));
                    auto const value = static_cast<double>(q.decode(q.encode(x, p, toss), p));
                    sum += value;
                    low = std::min(low, value);
                    high = std::max(high, value);
                }
                // The mean of coin tosses between two neighbours: five standard errors.
                REQUIRE(low <= static_cast<double>(x) + ulps);
                REQUIRE(high >= static_cast<double>(x) - ulps);
                double const error = 5.0 * 0.5 * (high - low) / std::sqrt(tosses);
                REQUIRE(std::fabs(sum / tosses - static_cast<double>(x)) <= error + ulps);
            }
        });
    }
}

TEST_CASE("stochastic rounding never moves a level, and the same toss gives the same field") {
    for (auto const& [name, element] : qtk::known_formats) {
        CAPTURE(name);
        qtk::dispatch_format(element, []<qtk::format Element>() {
            using quantizer = tile_quantizer<Element, origin::fixed, qtk::rounding::stochastic>;
            quantizer const q;
            // A power of two: levels are exact multiples of it.
            qtk::tile_params const p{0.25f, qtk::symmetric_zero(Element)};
            for (int field = static_cast<int>(quantizer::lowest); field < Element.patterns();
                 ++field) {
                float const x = q.decode(static_cast<std::uint8_t>(field), p);
                if (!std::isfinite(x)) continue;
                for (float const toss : {0.0f, 0.5f, 1.0f - 0x1p-24f})
                    REQUIRE(q.decode(q.encode(x, p, toss), p) == x);
            }
        });
    }
    using stochastic4 = tile_quantizer<qtk::i4, origin::fixed, qtk::rounding::stochastic>;
    stochastic4 const q;
    auto const p = q.fit({-7.0f, 7.0f});
    std::vector<int> fields[2];
    for (auto& run : fields)
        for (std::uint64_t i = 0; i < 100; ++i)
            run.push_back(q.encode(2.5f, p, qtk::half_open_unit(qtk::word_at(11, i))));
    CHECK(fields[0] == fields[1]);
    CHECK(std::ranges::count(fields[0], 10) + std::ranges::count(fields[0], 11) == 100);
}
