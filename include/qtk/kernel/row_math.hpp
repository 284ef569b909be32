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

/// e^x within 2 units in the last place for |x| <= 87.3; beyond, e^ of the nearer end; NaN stays
/// NaN. No branch and no call, so that loops over it become vector code:
///
///   n = round(x / ln 2),  r = x - n ln 2 in two steps,  e^x = 2^n (1 + r + r^2 q(r))
///
/// with q of degree 4, fitted for the least relative error (3e-9) on |r| <= ln(2) / 2.
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
    float q = 0x1.6a2434p-10f;
    q = q * r + 0x1.1239e2p-7f;
    q = q * r + 0x1.5558f2p-5f;
    q = q * r + 0x1.555492p-3f;
    q = q * r + 0x1.fffffcp-2f;
    float const mantissa = (q * r * r + r) + 1.0f;
    std::uint32_t const exponent = std::bit_cast<std::uint32_t>(shifted) << 23;
    return mantissa * std::bit_cast<float>(exponent + 0x3f800000u);
}

/// e^(z^2) erfc(z) for z >= 0, within 5e-7 of its size up to z = 9.4, where erfc is the least float; too
/// small beyond. Without branch and call, like fast_exp:
///
///   sum over k = 1..9 of c_k t^k,  t = 1 / (1 + 0.3 z)
///
/// with c fitted for the least relative error (2e-8, 6e-8 once they are floats) by weighted least squares
/// on Chebyshev's points of t.
[[nodiscard]] inline float fast_scaled_erfc(float z) noexcept {
    float const t = 1.0f / (1.0f + 0.3f * z);
    float q = -0x1.09065cp-3f;
    q = q * t + 0x1.f0975p-2f;
    q = q * t - 0x1.0594d2p-1f;
    q = q * t + 0x1.178b48p-1f;
    q = q * t - 0x1.7e37b2p-4f;
    q = q * t + 0x1.b6da84p-3f;
    q = q * t + 0x1.302ef6p-3f;
    q = q * t + 0x1.5d8fecp-3f;
    q = q * t + 0x1.5a805ap-3f;
    return q * t;
}

/// x[i] = e^(x[i] - shift); returns the sum of the results.
inline float row_exp(std::span<float> x, float shift) noexcept {
    row_map(x, [shift](float v) { return fast_exp(v - shift); });
    return row_sum(x);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::detail
