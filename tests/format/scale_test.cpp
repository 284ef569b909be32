// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/scale.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>

namespace {

using qtk::scale_type;

constexpr std::array<scale_type, 5> all_types{scale_type::f32, scale_type::f16, scale_type::bf16,
                                              scale_type::e8m0, scale_type::e4m3};

}  // namespace

TEST_CASE("scales take the bytes of their type") {
    std::array<std::size_t, 5> const bytes{4, 2, 2, 1, 1};
    for (std::size_t i = 0; i < all_types.size(); ++i)
        CHECK(qtk::scale_bytes(all_types[i]) == bytes[i]);
}

TEST_CASE("every stored scale loads and stores as itself") {
    for (auto const type : all_types) {
        CAPTURE(static_cast<int>(type));
        // f32 is swept, the others are exhausted; patterns with a sign are no scales.
        std::uint32_t const end = type == scale_type::f32    ? 0x7f800000u
                                  : type == scale_type::f16  ? 0x7c00u
                                  : type == scale_type::bf16 ? 0x7f80u
                                  : type == scale_type::e8m0 ? 255u
                                                             : 0x7fu;
        std::uint32_t const first = type == scale_type::e8m0 ? 0 : 1;  // e8m0 has no zero
        std::uint32_t const stride = type == scale_type::f32 ? 65521 : 1;
        int lost = 0;
        for (std::uint32_t pattern = first; pattern < end; pattern += stride)
            lost += qtk::store_scale(type, qtk::load_scale(type, pattern)) != pattern;
        CHECK(lost == 0);
    }
}

TEST_CASE("a positive scale is never stored as zero") {
    std::array<float, 5> const smallest{0x1p-149f, 0x1p-24f, 0x1p-133f, 0x1p-127f, 0x1p-9f};
    for (std::size_t i = 0; i < all_types.size(); ++i) {
        CAPTURE(i);
        CHECK(qtk::rounded_scale(all_types[i], 0x1p-149f) == smallest[i]);
        CHECK(qtk::rounded_scale(all_types[i], smallest[i]) == smallest[i]);
    }
}

TEST_CASE("a scale too large is infinite or NaN, and saturates in e4m3") {
    CHECK(std::isinf(qtk::rounded_scale(scale_type::f16, 65520.0f)));
    CHECK(std::isinf(qtk::rounded_scale(scale_type::bf16, 3.4e38f)));
    CHECK(std::isnan(qtk::rounded_scale(scale_type::e8m0, std::numeric_limits<float>::infinity())));
    CHECK(qtk::rounded_scale(scale_type::e8m0, 0x1p127f) == 0x1p127f);
    CHECK(qtk::rounded_scale(scale_type::e4m3, 1e9f) == 448.0f);
}

TEST_CASE("every type can hold NaN") {
    for (auto const type : all_types)
        CHECK(std::isnan(qtk::rounded_scale(type, std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("scales round to the nearest, e8m0 down to a power of two") {
    CHECK(qtk::rounded_scale(scale_type::f32, 0.1f) == 0.1f);
    CHECK(qtk::store_scale(scale_type::f16, 0.1f) == 0x2e66);
    CHECK(qtk::store_scale(scale_type::bf16, 0.1f) == 0x3dcd);
    CHECK(qtk::rounded_scale(scale_type::e8m0, 0.999f) == 0.5f);
    CHECK(qtk::store_scale(scale_type::e8m0, 1.0f) == 127);
    CHECK(qtk::rounded_scale(scale_type::e4m3, 1.05f) == 1.0f);
    // A stored scale is within half a unit of its type: 11, 8 and 4 significant bits.
    for (float scale = 0.01f; scale < 100.0f; scale *= 1.37f) {
        CHECK(std::fabs(qtk::rounded_scale(scale_type::f16, scale) - scale) <= scale * 0x1p-11f);
        CHECK(std::fabs(qtk::rounded_scale(scale_type::bf16, scale) - scale) <= scale * 0x1p-8f);
        if (scale >= 0x1p-6f)
            CHECK(std::fabs(qtk::rounded_scale(scale_type::e4m3, scale) - scale) <=
                  scale * 0x1p-4f);
    }
}
