// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/half.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// The half nearest to x by another road: scale the unit of x's binade to 1, round in double
/// precision by the definition of half to even.
std::uint16_t half_by_arithmetic(float x) {
    auto const sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000 : 0);
    double const magnitude = std::fabs(double{x});
    if (magnitude >= 65520.0) return static_cast<std::uint16_t>(sign | 0x7c00);
    int const exponent = magnitude > 0.0 ? std::max(std::ilogb(magnitude), -14) : -14;
    double const steps = std::ldexp(magnitude, 10 - exponent);
    double whole = std::floor(steps);
    double const rest = steps - whole;
    if (rest > 0.5 || (rest == 0.5 && std::fmod(whole, 2.0) == 1.0)) whole += 1.0;
    // Codes of one binade follow each other, and so do binades: a carry needs no case of its own.
    int const below = (exponent + 14) * 1024;
    return static_cast<std::uint16_t>(sign | (below + static_cast<int>(whole)));
}

}  // namespace

TEST_CASE("every half pattern survives the way to float and back") {
    int lost = 0, noisy = 0;
    for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
        auto const half = static_cast<std::uint16_t>(pattern);
        bool const is_nan = (half & 0x7fff) > 0x7c00;
        float const x = qtk::f16_to_float(half);
        noisy += std::isnan(x) != is_nan;
        // A signalling NaN comes back quiet, with the rest of its payload.
        lost += qtk::float_to_f16(x) != (is_nan ? half | 0x200 : half);
    }
    CHECK(lost == 0);
    CHECK(noisy == 0);
}

TEST_CASE("half has its landmarks") {
    CHECK(qtk::f16_to_float(0x0001) == 0x1p-24f);
    CHECK(qtk::f16_to_float(0x03ff) == 1023.0f * 0x1p-24f);
    CHECK(qtk::f16_to_float(0x0400) == 0x1p-14f);
    CHECK(qtk::f16_to_float(0x7bff) == 65504.0f);
    CHECK(qtk::f16_to_float(0xfc00) == -infinity);
    CHECK(qtk::float_to_f16(-0.0f) == 0x8000);
    CHECK(qtk::float_to_f16(65519.996f) == 0x7bff);
    CHECK(qtk::float_to_f16(65520.0f) == 0x7c00);
    CHECK(qtk::float_to_f16(-infinity) == 0xfc00);
    CHECK(qtk::float_to_f16(std::numeric_limits<float>::denorm_min()) == 0);
    CHECK(qtk::float_to_f16(std::numeric_limits<float>::max()) == 0x7c00);
}

TEST_CASE("a value between two halves goes to the even one") {
    CHECK(qtk::float_to_f16(1.0f + 0x1p-11f) == 0x3c00);
    CHECK(qtk::float_to_f16(1.0f + 3 * 0x1p-11f) == 0x3c02);
    CHECK(qtk::float_to_f16(std::nextafter(1.0f + 0x1p-11f, 2.0f)) == 0x3c01);
    CHECK(qtk::float_to_f16(0x1p-25f) == 0);
    CHECK(qtk::float_to_f16(3 * 0x1p-25f) == 2);
    CHECK(qtk::float_to_f16(std::nextafter(0x1p-25f, 1.0f)) == 1);
    // The largest subnormal rounds into the first normal.
    CHECK(qtk::float_to_f16(0x1p-14f - 0x1p-25f) == 0x0400);
}

TEST_CASE("a sweep of the floats agrees with rounding by arithmetic") {
    int wrong = 0;
    // The stride is odd and prime to the mantissa's cells, so that ties and both neighbours occur.
    for (std::uint64_t pattern = 0; pattern < 0x100000000u; pattern += 4093) {
        auto const x = std::bit_cast<float>(static_cast<std::uint32_t>(pattern));
        if (std::isnan(x)) continue;
        wrong += qtk::float_to_f16(x) != half_by_arithmetic(x);
    }
    // All ties and their neighbours: the middle between each two finite halves of one sign.
    for (std::uint16_t half = 0; half < 0x7bff; ++half) {
        auto const next = static_cast<std::uint16_t>(half + 1);
        float const middle = (qtk::f16_to_float(half) + qtk::f16_to_float(next)) / 2.0f;
        for (float const x : {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, 1e9f)})
            wrong += qtk::float_to_f16(x) != half_by_arithmetic(x);
    }
    CHECK(wrong == 0);
}

#if defined(__FLT16_MANT_DIG__)
TEST_CASE("half agrees with the compiler's own type") {
    int wrong = 0;
    for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
        auto const half = static_cast<std::uint16_t>(pattern);
        auto const theirs = static_cast<float>(std::bit_cast<_Float16>(half));
        float const ours = qtk::f16_to_float(half);
        wrong += std::isnan(ours)
                     ? !std::isnan(theirs)
                     : std::bit_cast<std::uint32_t>(ours) != std::bit_cast<std::uint32_t>(theirs);
    }
    for (std::uint64_t pattern = 0; pattern < 0x100000000u; pattern += 65521) {
        auto const x = std::bit_cast<float>(static_cast<std::uint32_t>(pattern));
        if (std::isnan(x)) continue;
        wrong += qtk::float_to_f16(x) != std::bit_cast<std::uint16_t>(static_cast<_Float16>(x));
    }
    CHECK(wrong == 0);
}
#endif

TEST_CASE("every bfloat16 pattern survives the way to float and back") {
    int lost = 0;
    for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
        auto const bf16 = static_cast<std::uint16_t>(pattern);
        bool const is_nan = (bf16 & 0x7fff) > 0x7f80;
        lost += qtk::float_to_bf16(qtk::bf16_to_float(bf16)) != (is_nan ? bf16 | 0x40 : bf16);
    }
    CHECK(lost == 0);
}

TEST_CASE("bfloat16 rounds to the nearest, half to even") {
    int wrong = 0;
    // Every positive finite pattern and the places that matter between it and the next one.
    for (std::uint32_t upper = 0; upper < 0x7f80; ++upper)
        for (std::uint32_t const lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
            auto const x = std::bit_cast<float>(upper << 16 | lower);
            bool const up = lower > 0x8000 || (lower == 0x8000 && upper % 2 == 1);
            wrong += qtk::float_to_bf16(x) != upper + (up ? 1 : 0);
            wrong += qtk::float_to_bf16(-x) != (0x8000 | (upper + (up ? 1 : 0)));
        }
    CHECK(wrong == 0);
    CHECK(qtk::float_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
    CHECK(qtk::float_to_bf16(-infinity) == 0xff80);
    CHECK(qtk::float_to_bf16(-0.0f) == 0x8000);
    CHECK(std::isnan(qtk::bf16_to_float(qtk::float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
}
