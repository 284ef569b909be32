// SPDX-License-Identifier: Apache-2.0
//
// How is a product with int8 activations done on tiles? Up to two rows are left to vectors, up to 32
// go through stream_int8.hpp; more are multiplied here, in blocks of 256 rows whose codes stay in the
// second-level cache, by the steps of block_int8.hpp.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/contract.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/amx/block_int8.hpp>
#include <qtk/kernel/amx/stream_int8.hpp>
#include <qtk/kernel/amx/tile.hpp>
#include <qtk/kernel/avx512/product_int8.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86

namespace qtk::amx {
inline namespace QTK_ABI_NS {

/// Scratch of a part: two panels of operands with their scales, two of results, sums in flight.
struct block_scratch {
    static constexpr std::size_t most_rows = 256;
    static constexpr std::size_t chunk_bytes = 16384;  ///< operands that stay in the nearest cache

    std::uint8_t* codes[2];        // [step][half][rows][64]
    float* scales[2];              // [segment][scales_of_segment]
    float* c[2];                   // [row tile pair][2][2][16][16]
    std::int32_t* tiles[2];        // [4][16][16]
    float* sums = nullptr;         // as scaled_sums() makes them
    step_range* ranges = nullptr;  // [segment]

    struct purpose;
    /// The sums in flight start 512 bytes off the 4 KiB grid of the results: the two are read and
    /// written together, and would share cache sets and delay each other's loads.
    block_scratch(std::size_t code_bytes, std::size_t segments, std::size_t rows,
                  std::size_t sum_count) {
        constexpr std::size_t page = 4096;
        std::size_t const scale_bytes = segments * scales_of_segment * sizeof(float);
        std::size_t const c_bytes = (rows + 31) / 32 * page;
        std::size_t const c_at = (2 * (code_bytes + scale_bytes) + page - 1) / page * page;
        std::size_t const tiles_at = c_at + 2 * c_bytes + 512, sums_at = tiles_at + 2 * page;
        std::size_t const ranges_at = sums_at + sum_count * sizeof(float);
        std::uint8_t* const base =
            thread_scratch<purpose>(ranges_at + segments * sizeof(step_range));
        for (std::size_t i = 0; i < 2; ++i) {
            codes[i] = base + i * code_bytes;
            scales[i] = reinterpret_cast<float*>(base + 2 * code_bytes + i * scale_bytes);
            c[i] = reinterpret_cast<float*>(base + c_at + i * c_bytes);
            tiles[i] = reinterpret_cast<std::int32_t*>(base + tiles_at + i * page);
        }
        sums = reinterpret_cast<float*>(base + sums_at);
        ranges = reinterpret_cast<step_range*>(base + ranges_at);
    }
};

/// Spreads `total` pieces of work evenly over `turns`.
struct even_pace {
    std::size_t total = 0, turns = 1, credit = 0;
    [[nodiscard]] std::size_t next() noexcept {
        std::size_t due = 0;
        for (credit += total; credit >= turns; credit -= turns) ++due;
        return due;
    }
};

QTK_AMX_REGION

/// Rows [row, row + rows), at most 256, of a part.
template <bool BySegment, bool HasZero>
inline void multiply_block(avx512::int8_context const& job, product_part const& part,
                           std::size_t row, std::size_t rows, unpacker unpack, output_rows const& y,
                           block_scratch const& scratch, float const* row_sums) noexcept {
    quantized_rows const& x = *job.x;
    step_shape const shape(job.w->layout);
    std::size_t const segments = x.plan.total, pairs = (rows + 31) / 32;
    step_range const* const ranges = scratch.ranges;
    std::size_t const steps = ranges[segments - 1].depth + ranges[segments - 1].steps;
    std::size_t const units = steps * shape.units, turns = pairs * segments;
    std::size_t const first = x.at(part.row, 0);
    alignas(64) static constexpr float nothing[scales_of_segment] = {};
    alignas(64) float sink[1024] = {};
    block_scaling const none{{nothing, nothing}, {nothing, nothing}, nothing, sink};
    block_scaling stored = none, scaled = none;  // the steps one and two turns ago
    std::int32_t *out = scratch.tiles[0], *in = scratch.tiles[1];
    std::memset(in, 0, 4096);
    std::memset(scratch.c[0], 0, pairs * 4096);
    std::memset(scratch.c[1], 0, pairs * 4096);
    auto const unpacker_of = [&](std::size_t p) {
        return panel_unpacker{{&job, {job.w, &x.plan, p, p + 1}, scratch.scales[p & 1], segments},
                              {},
                              scratch.codes[p & 1]};
    };
    panel_unpacker unpacked = unpacker_of(part.panel);
    unpack(unpacked, shape, units);
    panel_writer writer{&x, &y, nullptr, row, 0, 0};
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        bool const is_last = p + 1 == part.panel_end;
        unpacked = unpacker_of(p + 1);
        even_pace unpacking{is_last ? 0 : units, turns};
        // The results of the panel before are complete after two turns.
        even_pace writing{writer.rows, turns > 3 ? turns - 3 : 1};
        std::size_t turn = 0;
        for (std::size_t from = 0, to = 0; from < segments; from = to) {
            std::size_t const end = ranges[from].b + block_scratch::chunk_bytes;
            for (to = from + 1; to < segments; ++to)
                if (ranges[to].b + ranges[to].steps * shape.bytes > end) break;
            for (std::size_t pair = 0; pair < pairs; ++pair) {
                std::size_t const r0 = row + 32 * pair;
                // A last single row tile is multiplied twice: into results that nobody writes.
                std::size_t const r1 = 32 * pair + 16 < rows ? r0 + 16 : r0;
                block_operands const operands{x.code(r0, 0), x.code(r1, 0), scratch.codes[p & 1]};
                std::size_t const i0 = x.at(r0, from), i1 = x.at(r1, from);
                block_scaling next{
                    {x.scales + (BySegment ? i0 : 0), x.scales + (BySegment ? i1 : 0)},
                    {row_sums + (i0 - first), row_sums + (i1 - first)},
                    scratch.scales[p & 1] + from * scales_of_segment,
                    scratch.c[p & 1] + 1024 * pair};
                for (std::size_t s = from; s < to; ++s, ++turn) {
                    run_step<BySegment, HasZero>(operands, ranges[s], shape, out, in, scaled);
                    std::int32_t* const ripe = out;
                    out = in;
                    in = ripe;
                    scaled = stored;
                    stored = next;
                    next.column += scales_of_segment;
                    for (std::size_t i = 0; i < 2; ++i)
                        next.row[i] += BySegment ? 16 : 0, next.sum[i] += HasZero ? 16 : 0;
                    if (std::size_t const due = unpacking.next()) unpack(unpacked, shape, due);
                    if (turn >= 2)
                        if (std::size_t const due = writing.next()) write_some(writer, due);
                }
            }
        }
        // Few turns a panel: the pipeline must not reach over more than one of them.
        for (int i = 0; i < 2 && (is_last || turns < 3); ++i) {
            run_step<BySegment, HasZero, false>({}, {}, shape, out, in, scaled);
            std::int32_t* const ripe = out;
            out = in;
            in = ripe;
            scaled = stored;
            stored = none;
        }
        write_some(writer, writer.rows);
        writer = {&x, &y, scratch.c[p & 1], row, rows, p};
    }
    write_some(writer, writer.rows);
}

/// More than 32 rows.
inline void multiply_part(avx512::int8_context const& job, product_part const& part,
                          unpacker unpack, output_rows const& y) {
    quantized_rows const& x = *job.x;
    bool const has_zero = job.w->layout.has_zero;
    step_shape const shape(job.w->layout);
    std::size_t const units = job.w->layout.depth() / unit_depth;
    std::size_t const all = part.row_end - part.row, segments = x.plan.total;
    std::size_t const first = x.at(part.row, 0), tiles = (all + 15) / 16;
    std::size_t const sum_count = has_zero ? tiles * segments * 16 : 0;
    constexpr std::size_t most = block_scratch::most_rows;
    block_scratch const scratch((units + shape.units - 1) / shape.units * shape.bytes, segments,
                                all < most ? all : most, sum_count);
    if (has_zero) scaled_sums(x, first, sum_count, scratch.sums);
    float const* const row_sums =
        has_zero ? scratch.sums : reinterpret_cast<float const*>(x.sums + first);
    std::size_t depth = 0;
    for (segment_cursor at{job.w, &x.plan, 0, 1}; !at.is_done();) {
        std::size_t const steps = (at.units() + shape.units - 1) / shape.units;
        constexpr std::size_t tile = 16 * tile_depth;
        scratch.ranges[at.index] = {steps, shape.offset(depth, tile), shape.offset(depth + 1, tile),
                                    depth * shape.bytes, depth};
        depth += steps;
        at.advance(at.units());
    }
    int const bytes = 32 * static_cast<int>(shape.units), rows = 8 * static_cast<int>(shape.units);
    tile_config config;
    config.shape(4, 16, bytes).shape(5, 16, bytes).shape(6, rows, 64).shape(7, rows, 64);
    tile_session const session(config);
    auto* const multiply =
        x.has_row_scales() ? (has_zero ? multiply_block<false, true> : multiply_block<false, false>)
                           : (has_zero ? multiply_block<true, true> : multiply_block<true, false>);
    for (std::size_t row = 0; row < all; row += most)
        multiply(job, part, part.row + row, all - row < most ? all - row : most, unpack, y, scratch,
                 row_sums);
    _mm_sfence();
}

/// 3 to 32 rows.
inline void stream_part(avx512::int8_context const& job, product_part const& part,
                        void (*one)(stream_rows_job const&, stream_scratch&) noexcept,
                        void (*two)(stream_rows_job const&, stream_scratch&) noexcept,
                        output_rows const& y) {
    alignas(64) static constexpr float ones[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                   1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    quantized_rows const& x = *job.x;
    std::size_t const rows = part.row_end - part.row, first = x.at(part.row, 0);
    std::size_t const tiles = rows > 16 ? 2 : 1, count = tiles * x.plan.total * x.tile_rows;
    float const* sums = reinterpret_cast<float const*>(x.sums + first);
    if (job.w->layout.has_zero) {
        struct purpose;
        auto* const scaled =
            reinterpret_cast<float*>(thread_scratch<purpose>(count * sizeof(float)));
        scaled_sums(x, first, count, scaled);
        sums = scaled;
    }
    stream_scratch scratch;
    std::memset(scratch.tiles, 0, sizeof scratch.tiles);
    std::memset(scratch.c, 0, sizeof scratch.c);
    int const units = static_cast<int>(step_shape(job.w->layout).units);
    int const upper = static_cast<int>(rows < 16 ? rows : 16);
    int const lower = tiles == 2 ? static_cast<int>(rows) - 16 : 16;
    tile_config config;
    config.shape(0, upper, 64).shape(2, upper, 64).shape(4, upper, 32 * units);
    config.shape(1, lower, 64).shape(3, lower, 64).shape(5, lower, 32 * units);
    config.shape(6, 8 * units, 64).shape(7, 8 * units, 64);
    tile_session const session(config);
    stream_rows_job const job_of_rows{&job, &part, &y, sums, ones, rows, (rows + 3) / 4};
    (tiles == 2 ? two : one)(job_of_rows, scratch);
    _mm_sfence();
}

template <int Kind>
inline void product_of_kind(avx512::int8_context const& job, product_part const& part,
                            output_rows const& y) {
    if (part.row_end - part.row <= most_streamed)
        stream_part(job, part, stream_panels<Kind, 1>, stream_panels<Kind, 2>, y);
    else
        multiply_part(job, part, unpack_some<Kind>, y);
}

/// The bits of scalar::product_int8. A part begins at a multiple of 16 rows.
inline void product_int8(packed_view const& w, quantized_rows const& x, product_part const& part,
                         output_rows const& y) {
    QTK_EXPECTS(part.row % x.tile_rows == 0);
    if (part.row_end - part.row < fewest_streamed || w.layout.groups == 0)
        return avx512::product_int8(w, x, part, y);
    avx512::int8_context const job(w, x);
    switch (is_looked_up(w.element) ? looked_up : w.layout.planes.low + w.layout.planes.high) {
        case 2:
            return product_of_kind<2>(job, part, y);
        case 3:
            return product_of_kind<3>(job, part, y);
        case 4:
            return product_of_kind<4>(job, part, y);
        case 5:
            return product_of_kind<5>(job, part, y);
        case 6:
            return product_of_kind<6>(job, part, y);
        case 8:
            return product_of_kind<8>(job, part, y);
        default:
            return product_of_kind<looked_up>(job, part, y);
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::amx

#endif
