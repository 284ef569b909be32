// SPDX-License-Identifier: Apache-2.0
//
// Which scales make the least error in a run of 16 or 32 values? The searches behind ggml's quantizers
// of K types and iq4_xs: some dozens of first scales are tried, each gives codes, the codes give the best
// scale for them by weighted least squares, and the best of all stays. Weights w are x^2, or what an
// importance matrix makes of them (gguf_encode.hpp).
//
//   affine_run     l = round(f (x - low)), f = (nmax + first + step k) / (max - low), k = 0 .. steps;
//                  s, m = argmin sum w (s l + m - x)^2, m <= 0       q2_K, q4_K, q5_K
//   signed_run     l = round(-(nmax + 0.1 k) x / M), k = -9 .. 9, M the first largest value;
//                  s = sum w x l / sum w l^2                          q6_K
//   descended_run  k = 0 alone, then up to five passes that change one code at a time   q3_K
//   levels_run     the same with the levels T of iq4: trials (k - 127) / M, k = -7 .. 7  iq4_xs
//   positive_run   scales of scales: trials (nmax + 0.1 k) / max, k = -4 .. 4, then five passes
//
// All in floats, sums from the first value to the last, every product rounded by itself: the order of
// ggml, so that the bytes are. x must be finite.
#pragma once

#include <qtk/format/gguf_table_blocks.hpp>
#include <qtk/format/gguf_type.hpp>
#include <qtk/format/round.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk::detail {

/// Runs whose largest value is smaller are zero.
inline constexpr float least_magnitude = 1e-15f;

/// The nearest integer, half to even, within low .. high.
[[nodiscard]] inline int nearest_in(float v, int low, int high) noexcept {
    float const bottom = static_cast<float>(low), top = static_cast<float>(high);
    v = v < top ? v : top;
    v = v > bottom ? v : bottom;
    return static_cast<int>(round_half_even(v));
}

[[nodiscard]] inline float largest_with_sign(std::span<float const> x) noexcept {
    float largest = 0.0f;
    for (float const v : x)
        if (magnitude_of(v) > magnitude_of(largest)) largest = v;
    return largest;
}

/// Of value i: what it is given, or x^2.
[[nodiscard]] inline float weight_at(std::span<float const> weights, std::size_t i,
                                     float x) noexcept {
    return weights.empty() ? rounded_product(x, x) : weights[i];
}

/// sum w x l and sum w l^2: all that a scale without a minimum is made of.
struct fit {
    float with_x = 0.0f, with_level = 0.0f;

    /// K types: (w x) l.
    void add(float weight, float x, float level) noexcept {
        with_x += rounded_product(rounded_product(weight, x), level);
        with_level += rounded_product(rounded_product(weight, level), level);
    }
    /// Levels from a table: (w l) x, which rounds differently.
    void add_level(float weight, float x, float level) noexcept {
        float const weighted = rounded_product(weight, level);
        with_x += rounded_product(weighted, x);
        with_level += rounded_product(weighted, level);
    }
    [[nodiscard]] float scale() const noexcept {
        return with_level > 0.0f ? with_x / with_level : 0.0f;
    }
};

/// What a trial of an affine run costs.
enum class run_error { absolute, squared };

/// Codes 0 .. nmax of value code * scale - minimum; minimum >= 0.
struct affine_search {
    int nmax = 15;
    float first = -1.0f;  ///< of the numerators nmax + first + step k
    int steps = 20;
    run_error error = run_error::squared;
    float step = 0.1f;
};
struct affine_scale {
    float scale = 0.0f, minimum = 0.0f;
};

/// The codes of the best trial are left in `best_codes` if it has room for them.
[[nodiscard]] inline affine_scale affine_run(affine_search const& how, std::span<float const> x,
                                             std::span<float const> weights,
                                             std::span<float> best_codes = {}) noexcept {
    float low = x[0], high = x[0], sum_w = weights[0], sum_x = rounded_product(weights[0], x[0]);
    for (std::size_t i = 1; i < x.size(); ++i) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        sum_w += weights[i];
        sum_x += rounded_product(weights[i], x[i]);
    }
    low = low > 0.0f ? 0.0f : low;
    std::ranges::fill(best_codes, 0.0f);
    if (high == low) return {0.0f, -low};
    std::array<float, 32> codes{};
    auto const code_all = [&](float factor) {
        for (std::size_t i = 0; i < x.size(); ++i)
            codes[i] =
                static_cast<float>(nearest_in(rounded_product(factor, x[i] - low), 0, how.nmax));
    };
    auto const cost_of = [&](float scale, float least) {
        float cost = 0.0f;
        for (std::size_t i = 0; i < x.size(); ++i) {
            float const off = rounded_product(scale, codes[i]) + least - x[i];
            float const one =
                how.error == run_error::absolute ? magnitude_of(off) : rounded_product(off, off);
            cost += rounded_product(weights[i], one);
        }
        return cost;
    };
    float const top = static_cast<float>(how.nmax), factor = top / (high - low);
    float scale = 1.0f / factor;
    code_all(factor);
    float best = cost_of(scale, low);
    auto const keep_codes = [&] {
        std::copy_n(codes.begin(), best_codes.size(), best_codes.begin());
    };
    keep_codes();
    for (int k = 0; k <= how.steps; ++k) {
        // `low` is the best one so far: a better minimum moves where the codes start.
        code_all((how.first + rounded_product(how.step, static_cast<float>(k)) + top) /
                 (high - low));
        float sum_l = 0.0f, sum_l2 = 0.0f, sum_xl = 0.0f;
        for (std::size_t i = 0; i < x.size(); ++i) {
            float const weighted = rounded_product(weights[i], codes[i]);
            sum_l += weighted;
            sum_l2 += rounded_product(weighted, codes[i]);
            sum_xl += rounded_product(weighted, x[i]);
        }
        float const determinant = rounded_product(sum_w, sum_l2) - rounded_product(sum_l, sum_l);
        if (!(determinant > 0.0f)) continue;
        float this_scale =
            (rounded_product(sum_w, sum_xl) - rounded_product(sum_x, sum_l)) / determinant;
        float this_low =
            (rounded_product(sum_l2, sum_x) - rounded_product(sum_l, sum_xl)) / determinant;
        if (this_low > 0.0f) {
            this_low = 0.0f;
            this_scale = sum_xl / sum_l2;
        }
        if (float const cost = cost_of(this_scale, this_low); cost < best) {
            best = cost;
            scale = this_scale;
            low = this_low;
            keep_codes();
        }
    }
    return {scale, -low};
}

/// Codes -nmax .. nmax - 1 of one scale, which may be negative; codes are left in `codes`.
[[nodiscard]] inline float signed_run(int nmax, std::span<float const> x, std::span<int> codes,
                                      std::span<float const> weights = {}) noexcept {
    float const largest = largest_with_sign(x), top = static_cast<float>(nmax);
    std::ranges::fill(codes, 0);
    if (magnitude_of(largest) < least_magnitude) return 0.0f;
    float scale = 0.0f, best = 0.0f;
    auto const attempt = [&](float factor, bool is_first) {
        fit sums;
        for (std::size_t i = 0; i < x.size(); ++i)
            sums.add(
                weight_at(weights, i, x[i]), x[i],
                static_cast<float>(nearest_in(rounded_product(factor, x[i]), -nmax, nmax - 1)));
        if (!is_first && !(sums.with_level > 0.0f && rounded_product(sums.with_x, sums.with_x) >
                                                         rounded_product(best, sums.with_level)))
            return;
        for (std::size_t i = 0; i < x.size(); ++i)
            codes[i] = nearest_in(rounded_product(factor, x[i]), -nmax, nmax - 1);
        scale = sums.scale();
        best = rounded_product(scale, sums.with_x);
    };
    attempt(-top / largest, true);
    for (int k = -9; k <= 9; ++k)
        if (k != 0) attempt(-(top + rounded_product(0.1f, static_cast<float>(k))) / largest, false);
    return scale;
}

/// Up to five passes over codes lowest .. highest that change one at a time where that helps.
inline void descend(int lowest, int highest, std::span<float const> x,
                    std::span<float const> weights, fit& sums, std::span<int> codes) noexcept {
    constexpr int passes = 5;
    for (int pass = 0; pass < passes; ++pass) {
        bool has_changed = false;
        for (std::size_t i = 0; i < x.size(); ++i) {
            float const weight = weight_at(weights, i, x[i]);
            auto const with_x_of = [&](float level) {
                return rounded_product(rounded_product(weight, x[i]), level);
            };
            auto const with_level_of = [&](float level) {
                return rounded_product(rounded_product(weight, level), level);
            };
            float const level = static_cast<float>(codes[i]);
            float without_x = sums.with_x - with_x_of(level);
            float without_level = sums.with_level - with_level_of(level);
            if (!(without_x > 0.0f) || (lowest == 0 && !(without_level > 0.0f))) continue;
            int const code =
                nearest_in(rounded_product(x[i], without_level) / without_x, lowest, highest);
            if (code == codes[i]) continue;
            without_x += with_x_of(static_cast<float>(code));
            without_level += with_level_of(static_cast<float>(code));
            if (!(without_level > 0.0f &&
                  rounded_product(rounded_product(without_x, without_x), sums.with_level) >
                      rounded_product(rounded_product(sums.with_x, sums.with_x), without_level)))
                continue;
            codes[i] = code;
            sums = {without_x, without_level};
            has_changed = true;
        }
        if (!has_changed) break;
    }
}

/// The same from one first scale, improved code by code.
[[nodiscard]] inline float descended_run(int nmax, std::span<float const> x,
                                         std::span<int> codes) noexcept {
    float const largest = largest_with_sign(x);
    std::ranges::fill(codes, 0);
    if (magnitude_of(largest) < least_magnitude) return 0.0f;
    float const factor = -static_cast<float>(nmax) / largest;
    fit sums;
    for (std::size_t i = 0; i < x.size(); ++i) {
        codes[i] = nearest_in(rounded_product(factor, x[i]), -nmax, nmax - 1);
        sums.add(rounded_product(x[i], x[i]), x[i], static_cast<float>(codes[i]));
    }
    descend(-nmax, nmax - 1, x, {}, sums, codes);
    return sums.scale();
}

/// The scale of the levels T.
[[nodiscard]] inline float levels_run(std::span<float const> x,
                                      std::span<float const> weights = {}) noexcept {
    float const largest = largest_with_sign(x), end = static_cast<float>(iq4_levels[0]);
    if (magnitude_of(largest) < least_magnitude) return 0.0f;
    constexpr int trials = 7;
    float scale = -largest / end, best = 0.0f;
    auto const attempt = [&](float factor, bool is_first) {
        fit sums;
        for (std::size_t i = 0; i < x.size(); ++i)
            sums.add_level(
                weight_at(weights, i, x[i]), x[i],
                static_cast<float>(iq4_levels[nearest_iq4(rounded_product(factor, x[i]))]));
        if (!is_first && !(sums.with_level > 0.0f && rounded_product(sums.with_x, sums.with_x) >
                                                         rounded_product(best, sums.with_level)))
            return;
        scale = sums.scale();
        best = rounded_product(scale, sums.with_x);
    };
    attempt(1.0f / scale, true);
    for (int k = -trials; k <= trials; ++k) attempt((static_cast<float>(k) + end) / largest, false);
    return scale;
}

/// Codes 0 .. nmax of one scale for values that are not negative.
[[nodiscard]] inline float positive_run(int nmax, std::span<float const> x, std::span<int> codes,
                                        std::span<float const> weights) noexcept {
    float largest = 0.0f;
    for (float const v : x) largest = v > largest ? v : largest;
    std::ranges::fill(codes, 0);
    if (largest < least_magnitude) return 0.0f;
    float const top = static_cast<float>(nmax);
    auto const code_of = [&](float v, float factor) {
        return nearest_in(rounded_product(factor, v), 0, nmax);
    };
    auto const cost_of = [&](float factor) {
        float const scale = 1.0f / factor;
        float cost = 0.0f;
        for (std::size_t i = 0; i < x.size(); ++i) {
            float const off =
                x[i] - rounded_product(scale, static_cast<float>(code_of(x[i], factor)));
            cost += rounded_product(rounded_product(weights[i], off), off);
        }
        return cost;
    };
    float best_factor = top / largest, best = cost_of(best_factor);
    for (int k = -4; k <= 4; ++k) {
        float const factor = (rounded_product(0.1f, static_cast<float>(k)) + top) / largest;
        if (float const cost = k == 0 ? best : cost_of(factor); cost < best) {
            best = cost;
            best_factor = factor;
        }
    }
    fit sums;
    for (std::size_t i = 0; i < x.size(); ++i) {
        codes[i] = code_of(x[i], best_factor);
        sums.add(weights[i], x[i], static_cast<float>(codes[i]));
    }
    descend(0, nmax, x, weights, sums, codes);
    return sums.scale();
}

}  // namespace qtk::detail
