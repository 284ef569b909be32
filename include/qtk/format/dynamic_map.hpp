// SPDX-License-Identifier: Apache-2.0
//
// How does bitsandbytes put a scale into a byte? As the nearest of 256 levels in [-1, 1] that lie
// denser towards zero (dynamic data type, Dettmers 2015, arXiv 1511.04561; signed, 7 exponents). For
// e = 0 .. 6 the interval [0.1, 1] is cut into 2^e cells; their midpoints times 10^(e - 6), with both
// signs, and 0 and 1 make the levels:
//
//   field   0 -> -0.99296875   ...   127 -> 0   ...   254 -> 0.99296875   255 -> 1
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace qtk {

/// By field, rising. In floats, as bitsandbytes computes them with fused additions, so that the table is
/// the same to the last bit: edges count from the nearer end of [0.1, 1].
inline constexpr std::array<float, 256> dynamic_levels = [] {
    constexpr std::array<float, 7> powers{1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
    std::array<float, 256> levels{};
    std::size_t n = 0;
    for (std::size_t e = 0; e < powers.size(); ++e) {
        int const cells = 1 << e;
        float const step = (1.0f - 0.1f) / static_cast<float>(cells);
        auto const edge = [&](int i) {
            auto const from = static_cast<double>(0.1f), width = static_cast<double>(step);
            return static_cast<float>(i < (cells + 1) / 2 ? from + width * i
                                                          : 1.0 - width * (cells - i));
        };
        for (int k = 0; k < cells; ++k) {
            float const level = (edge(k) + edge(k + 1)) / 2.0f * powers[e];
            levels[n++] = level;
            levels[n++] = -level;
        }
    }
    levels[n++] = 0.0f;
    levels[n++] = 1.0f;
    std::sort(levels.begin(), levels.end());
    return levels;
}();

/// The field of the level nearest to v; between two, the lower one.
[[nodiscard]] constexpr std::uint8_t nearest_dynamic_field(float v) noexcept {
    auto const* const above = std::lower_bound(dynamic_levels.begin(), dynamic_levels.end(), v);
    if (above == dynamic_levels.begin()) return 0;
    if (above == dynamic_levels.end()) return 255;
    auto const i = static_cast<std::size_t>(above - dynamic_levels.begin());
    bool const is_lower_nearer = v - dynamic_levels[i - 1] <= dynamic_levels[i] - v;
    return static_cast<std::uint8_t>(is_lower_nearer ? i - 1 : i);
}

static_assert(dynamic_levels[0] == -0.99296875f && dynamic_levels[127] == 0.0f &&
              dynamic_levels[255] == 1.0f);
static_assert(nearest_dynamic_field(0.0f) == 127 && nearest_dynamic_field(2.0f) == 255 &&
              nearest_dynamic_field(-2.0f) == 0 && nearest_dynamic_field(0.99296875f) == 254);

}  // namespace qtk
