// SPDX-License-Identifier: Apache-2.0
//
// In which order do weights reach the tiles? A segment (what one result of 32-bit sums covers) is a
// number of steps; a step is as deep as a tile of activations:
//
//   64 k   two units, 16 rows of a tile, where segments begin on whole tiles of activations
//   32 k   one unit, 8 rows and half a tile of activations, where they do not: groups of 32, 96, ...
//
// A step of operands is [half][16 or 8 rows][64 bytes]; rows past the end of a segment are zero.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/amx/operands.hpp>
#include <qtk/kernel/avx512/block_header.hpp>
#include <qtk/kernel/avx512/stream_int8.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::amx {
inline namespace QTK_ABI_NS {

/// How a panel is cut into steps.
struct step_shape {
    std::size_t units = 2;     ///< of a step
    std::size_t half = 1024;   ///< bytes of one half's operands
    std::size_t bytes = 2048;  ///< of a step's operands

    constexpr explicit step_shape(packed_layout const& w) noexcept
        : units(w.group_units % 2 == 0 || w.groups <= 1 ? 2 : 1),
          half(512 * units),
          bytes(2 * half) {}

    /// Where step k of a row tile of activations lies, whose tiles are `tile` bytes.
    [[nodiscard]] constexpr std::size_t offset(std::size_t k, std::size_t tile) const noexcept {
        return units == 2 ? k * tile : k / 2 * tile + k % 2 * unit_depth;
    }
};

/// A walk over the segments of panels [panel, panel_end).
struct segment_cursor {
    packed_view const* w = nullptr;
    segment_plan const* plan = nullptr;
    std::size_t panel = 0, panel_end = 0;
    std::size_t block = 0, unit = 0;  ///< the segment begins at this unit of this block
    std::size_t index = 0;            ///< of the segment in its panel

    [[nodiscard]] bool is_done() const noexcept { return panel == panel_end; }
    [[nodiscard]] std::size_t units() const noexcept {
        std::size_t const left = w->layout.units_of(block) - unit;
        return left < plan->units ? left : plan->units;
    }
    [[nodiscard]] bool is_last_of_panel() const noexcept { return index + 1 == plan->total; }
    [[nodiscard]] std::uint8_t const* header() const noexcept { return w->block(panel, block); }
    /// Past the segment, of which units() was asked before.
    void advance(std::size_t count) noexcept {
        unit += count;
        ++index;
        if (unit < w->layout.units_of(block)) return;
        unit = 0;
        if (++block < w->layout.groups) return;
        block = index = 0;
        ++panel;
    }
};

/// Scales and shifts of a segment, [32] each.
inline constexpr std::size_t scales_of_segment = 2 * panel_columns;

/// Reads units in order; the scales of each segment go to a ring (or array) of `slots`.
struct panel_reader {
    avx512::int8_context const* job = nullptr;
    segment_cursor next;      ///< the segment after the one that is read
    float* scales = nullptr;  // [slots][scales_of_segment]
    std::size_t slots = 0;    ///< of that ring
    std::size_t slot = 0;     ///< where the next segment's scales go

    /// What is left of a segment. It lives beside the reader, in registers of whoever reads.
    struct place {
        std::uint8_t const* unit = nullptr;  ///< the next one
        std::size_t left = 0;                ///< units
    };
};

QTK_AMX_REGION

/// Begins the next segment. After the last one its last unit is read once more, for nobody: whoever
/// reads ahead needs not ask where the end is.
[[nodiscard]] QTK_ALWAYS_INLINE panel_reader::place next_segment(
    panel_reader& r, std::uint8_t const* last) noexcept {
    if (r.next.is_done()) return {last, 1};
    packed_layout const& w = r.next.w->layout;
    std::uint8_t const* const header = r.next.header();
    avx512::prefetch<1>(header + 1024);
    avx512::block_scales const s =
        avx512::load_header(w, header, r.next.w->tensor_scale, r.job->unit, r.job->middle);
    float* const to = r.scales + r.slot * scales_of_segment;
    _mm512_store_ps(to, s.scale[0]);
    _mm512_store_ps(to + 16, s.scale[1]);
    _mm512_store_ps(to + 32, s.shift[0]);
    _mm512_store_ps(to + 48, s.shift[1]);
    if (++r.slot == r.slots) r.slot = 0;
    panel_reader::place const first{header + w.header_bytes + r.next.unit * w.unit_bytes,
                                    r.next.units()};
    r.next.advance(first.left);
    return first;
}

/// Unit `Place` of a step: its operands, or zeros if the segment ended before. Lines `Ahead` bytes
/// further on are asked for.
template <int Kind, int Place, std::size_t Ahead>
QTK_ALWAYS_INLINE void read_unit(panel_reader& r, panel_reader::place& at, __m512i constant,
                                 std::uint8_t* step, std::size_t half) noexcept {
    if (at.left == 0) {
        if constexpr (Place == 0) {
            at = next_segment(r, at.unit);
        } else {
            for (std::size_t i = 512; i < 1024; i += 64) {
                _mm512_store_si512(step + i, _mm512_setzero_si512());
                _mm512_store_si512(step + half + i, _mm512_setzero_si512());
            }
            return;
        }
    }
    constexpr std::size_t bytes = cache_line * avx512::lines_of(Kind);
    avx512::prefetch<avx512::lines_of(Kind)>(at.unit + Ahead);
    unpack_unit<Kind>(at.unit, constant, step + 512 * Place, half);
    // The last unit stays: it may be read again.
    if (--at.left > 0) at.unit += bytes;
}

/// float(sum) times the scale of the segment, for the rows of a part whose first segment of the first
/// row is number `first`: what zero points are multiplied with.
inline void scaled_sums(quantized_rows const& x, std::size_t first, std::size_t count,
                        float* to) noexcept {
    bool const by_segment = !x.has_row_scales();
    for (std::size_t i = 0; i < count; ++i) {
        float const sum = static_cast<float>(x.sums[first + i]);
        to[i] = by_segment ? x.scales[first + i] * sum : sum;
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::amx

#endif
