// SPDX-License-Identifier: Apache-2.0
//
// What do normalization, softmax and activations need of a row of floats? Sums, maxima and e^x over
// whole rows, written in lanes of 16 independent steps so that any compiler turns them into vector
// code, at -O2 and without flags. The lanes are added in one fixed order: the result does not
// depend on the width of the machine's vectors.
#pragma once

#include <qtk/core/abi.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace qtk::detail {
inline namespace QTK_ABI_NS {

inline constexpr std::size_t lanes = 16;

/// step(lane, x[i]) with lane = i mod 16, for all i: 16 chains instead of one.
template <typename Step>
void for_each_lane(std::span<float const> x, Step const& step) {
    std::size_t const whole = x.size() / lanes * lanes;
    for (std::size_t i = 0; i < whole; i += lanes)
        for (std::size_t lane = 0; lane < lanes; ++lane) step(lane, x[i + lane]);
    for (std::size_t lane = 0; lane < x.size() % lanes; ++lane) step(lane, x[whole + lane]);
}

/// x[i] = f(x[i]). A block is a local array while it is worked on: nothing can alias it, which g++
/// wants to know at -O2 before it makes vectors.
template <typename F>
void row_map(std::span<float> x, F const& f) {
    std::size_t const whole = x.size() / lanes * lanes;
    for (std::size_t i = 0; i < whole; i += lanes) {
        std::array<float, lanes> block;
        for (std::size_t lane = 0; lane < lanes; ++lane) block[lane] = x[i + lane];
        for (std::size_t lane = 0; lane < lanes; ++lane) block[lane] = f(block[lane]);
        for (std::size_t lane = 0; lane < lanes; ++lane) x[i + lane] = block[lane];
    }
    for (float& v : x.subspan(whole)) v = f(v);
}

/// y += a x, every product rounded by itself; x has y.size() values.
template <typename T>
void row_add_scaled(std::span<T> y, T a, T const* x) noexcept {
    std::size_t const whole = y.size() / lanes * lanes;
    for (std::size_t i = 0; i < whole; i += lanes) {
        std::array<T, lanes> block;
        for (std::size_t lane = 0; lane < lanes; ++lane)
            block[lane] = y[i + lane] + a * x[i + lane];
        for (std::size_t lane = 0; lane < lanes; ++lane) y[i + lane] = block[lane];
    }
    for (std::size_t i = whole; i < y.size(); ++i) y[i] += a * x[i];
}

[[nodiscard]] inline float sum_of(std::array<float, lanes> const& partial) noexcept {
    float sum = 0.0f;
    for (float const x : partial) sum += x;
    return sum;
}

[[nodiscard]] inline float row_sum(std::span<float const> x) noexcept {
    std::array<float, lanes> partial{};
    for_each_lane(x, [&](std::size_t lane, float v) { partial[lane] += v; });
    return sum_of(partial);
}

/// sum (x - center)^2
[[nodiscard]] inline float row_square_sum(std::span<float const> x, float center = 0.0f) noexcept {
    std::array<float, lanes> partial{};
    for_each_lane(x,
                  [&](std::size_t lane, float v) { partial[lane] += (v - center) * (v - center); });
    return sum_of(partial);
}

/// The largest value; minus infinity for an empty row. A NaN may or may not be seen.
[[nodiscard]] inline float row_max(std::span<float const> x) noexcept {
    std::array<float, lanes> partial;
    partial.fill(-std::numeric_limits<float>::infinity());
    for_each_lane(x, [&](std::size_t lane, float v) {
        partial[lane] = partial[lane] < v ? v : partial[lane];
    });
    return *std::max_element(partial.begin(), partial.end());
}

/// e^r for |r| <= 0.43: 1 + r + r^2 q(r) with q of degree 4, fitted for the least relative error (3e-9) on
/// |r| <= ln(2) / 2.
[[nodiscard]] inline float exp_near_zero(float r) noexcept {
    float q = 0x1.6a2434p-10f;
    q = q * r + 0x1.1239e2p-7f;
    q = q * r + 0x1.5558f2p-5f;
    q = q * r + 0x1.555492p-3f;
    q = q * r + 0x1.fffffcp-2f;
    return (q * r * r + r) + 1.0f;
}

/// e^x within 2 units in the last place for |x| <= 87.3; beyond, e^ of the nearer end; NaN stays
/// NaN. No branch and no call, so that loops over it become vector code:
///
///   n = round(x / ln 2),  r = x - n ln 2 in two steps,  e^x = 2^n e^r
[[nodiscard]] inline float fast_exp(float x) noexcept {
    // Clamped by its bits: a comparison of floats may trap, which keeps compilers from vectors.
    constexpr auto end = std::bit_cast<std::int32_t>(87.3f);
    constexpr std::int32_t infinity = 0x7f800000, sign = std::numeric_limits<std::int32_t>::min();
    auto const bits = std::bit_cast<std::int32_t>(x);
    std::int32_t const magnitude = bits & ~sign;
    std::int32_t const near = magnitude > end ? end : magnitude;
    x = std::bit_cast<float>((magnitude > infinity ? magnitude : near) | (bits & sign));
    // Added to 1.5 * 2^23, a float has no fraction: its low bits are the rounded integer.
    constexpr float magic = 0x1.8p23f;
    float const shifted = x * 0x1.715476p0f + magic;
    float const n = shifted - magic;
    float const r = (x - n * 0.693359375f) + n * 0x1.bd0106p-13f;
    float const mantissa = exp_near_zero(r);
    std::uint32_t const exponent = std::bit_cast<std::uint32_t>(shifted) << 23;
    return mantissa * std::bit_cast<float>(exponent + 0x3f800000u);
}

/// The chance that a normal value is greater than m = |x|, erfc(m / sqrt 2) / 2, within 6 units in the last
/// place for m <= 12.9 (4 for m < 1); zero beyond 13.2, also for NaN. No branch and no call, and inlined
/// where it is large, so that loops over it become vector code:
///
///   m < 1    1/2 - m p(m^2)                     p of degree 5, relative error 7e-10
///   others   e^(-m^2 / 2) h(u) / (m + 4.25),    u = (m - 4.25) / (m + 4.25), h of degree 9, 1.5e-9
///
/// Both are fitted by Remez' exchange for the least relative error, in rational arithmetic on values in
/// doubles: p to (1/2 - tail) / m, h on 0..13.2 to e^(m^2 / 2) (m + 4.25) tail. The square of the exponent is
/// exact: m = a + b with 12 bits in a, and m^2 = a^2 + b (m + a).
[[nodiscard, gnu::always_inline]] inline float normal_tail(float x) noexcept {
    constexpr auto end = std::bit_cast<std::int32_t>(13.2f),
                   near = std::bit_cast<std::int32_t>(1.0f);
    std::int32_t const bits = std::bit_cast<std::int32_t>(x) & 0x7fffffff;
    float const m = std::bit_cast<float>(bits > end ? end : bits);
    float const a = std::bit_cast<float>(std::bit_cast<std::int32_t>(m) & ~0xfff);
    float const square = -0.5f * a * a, rest = -0.5f * (m - a) * (m + a);
    constexpr float magic = 0x1.8p23f;
    float const shifted = square * 0x1.715476p0f + magic;
    float const n = shifted - magic;
    float const r = ((square - n * 0.693359375f) + n * 0x1.bd0106p-13f) + rest;
    std::uint32_t const exponent = std::bit_cast<std::uint32_t>(shifted) << 23;
    float const power = exp_near_zero(r) * std::bit_cast<float>(exponent + 0x3f800000u);
    float const inverse = 1.0f / (m + 4.25f);
    float const u = (m - 4.25f) * inverse;
    float h = -0x1.ed23ecp-13f;
    h = h * u - 0x1.80bd9cp-12f;
    h = h * u + 0x1.1e1e86p-9f;
    h = h * u - 0x1.8996bep-11f;
    h = h * u - 0x1.3d4c28p-6f;
    h = h * u + 0x1.5d4672p-4f;
    h = h * u - 0x1.c39d88p-3f;
    h = h * u + 0x1.ac43d6p-2f;
    h = h * u - 0x1.401104p-1f;
    h = h * u + 0x1.84e44ap-1f;
    float const s = m * m;
    float p = -0x1.00d528p-17f;
    p = p * s + 0x1.dbff12p-14f;
    p = p * s - 0x1.36fd42p-10f;
    p = p * s + 0x1.46ce4cp-7f;
    p = p * s - 0x1.105832p-4f;
    p = p * s + 0x1.988454p-2f;
    // A mask, not a choice: compilers would jump around the work above.
    std::int32_t const far = std::bit_cast<std::int32_t>(h * inverse * power),
                       close = std::bit_cast<std::int32_t>(0.5f - m * p),
                       is_close = (bits - near) >> 31, is_kept = (bits - end - 1) >> 31;
    return std::bit_cast<float>(((far & ~is_close) | (close & is_close)) & is_kept);
}

/// The exact GELU x (1 + erf(x / sqrt 2)) / 2, within 6 units in the last place for |x| <= 12.9;
/// NaN stays NaN.
[[nodiscard, gnu::always_inline]] inline float exact_gelu(float x) noexcept {
    float const tail = normal_tail(x);
    std::int32_t const below = std::bit_cast<std::int32_t>(tail),
                       above = std::bit_cast<std::int32_t>(1.0f - tail),
                       is_below = std::bit_cast<std::int32_t>(x) >> 31;
    return x * std::bit_cast<float>((below & is_below) | (above & ~is_below));
}

/// x[i] = e^(x[i] - shift); returns the sum of the results.
inline float row_exp(std::span<float> x, float shift) noexcept {
    row_map(x, [shift](float v) { return fast_exp(v - shift); });
    return row_sum(x);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::detail
