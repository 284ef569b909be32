// SPDX-License-Identifier: Apache-2.0
//
// How wide are the tiles of a row, and is everything finite? One pass answers both, because bits
// are compared: those of NaN and infinity are larger than any number's. What minmax_range says of
// finite values, widened to hold zero, which every quantizer needs anyway.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx2/measure.hpp>
#include <qtk/kernel/avx512/measure.hpp>
#include <qtk/kernel/code_rule.hpp>
#include <qtk/kernel/isa.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace qtk {

/// The extremes of the tiles of a row, widened to hold zero, by bits: positive floats rise with
/// them as signed integers, negative ones as soon as their sign is flipped. If not is_signed, plus
/// and minus the largest magnitude. False if a value is NaN or infinite, whose bits are larger than
/// any number's.
[[nodiscard]] inline bool measure_tiles_scalar(std::span<float const> x, std::size_t tile,
                                               bool is_signed, extremes* out) noexcept {
    std::int32_t largest = 0;
    for (std::size_t left = 0; left < x.size(); left += tile, ++out) {
        std::int32_t up = 0, down = 0;
        for (float const v : x.subspan(left, std::min(tile, x.size() - left))) {
            auto const bits = std::bit_cast<std::int32_t>(v);
            up = std::max(up, bits);
            down = std::max(down, bits ^ std::numeric_limits<std::int32_t>::min());
        }
        largest = std::max({largest, up, down});
        if (!is_signed) up = down = std::max(up, down);
        *out = {-std::bit_cast<float>(down), std::bit_cast<float>(up)};
    }
    return largest < 0x7f800000;
}

inline namespace QTK_ABI_NS {

/// The same as measure_tiles_scalar with the instructions of `set`, which must be usable.
[[nodiscard]] inline bool measure_tiles(instruction_set set, std::span<float const> x,
                                        std::size_t tile, bool is_signed, extremes* out) noexcept {
#if QTK_HAS_X86
    if (set >= instruction_set::avx512)
        return avx512::measure_tiles(x.data(), x.size(), tile, is_signed, out);
    if (set == instruction_set::avx2)
        return avx2::measure_tiles(x.data(), x.size(), tile, is_signed, out);
#endif
    static_cast<void>(set);
    return measure_tiles_scalar(x, tile, is_signed, out);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
