// SPDX-License-Identifier: Apache-2.0
//
// How are rows of floats multiplied with 32 columns of weights at a time? A source puts a piece of a
// panel into the cache as floats [k][32], decoded or turned around, and tiles of a few rows of X
// pass over it. Every result is one chain of fused products from the first k to the last, so it
// does not depend on the rows beside it, on how k is cut or on the tile.
//
//   few rows    all of X is copied close together, then each panel is read from front to back
//   many rows   panels by eight, k by pieces: rows x k of X stay in the second cache for all eight
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/product_part.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace qtk {

/// Rows of n floats, `stride` apart.
struct dot_rows {
    float const* data = nullptr;
    std::size_t count = 0, stride = 0;
};

/// What an instruction set brings. Words are floats, or pairs of bf16.
struct panel_engine {
    /// c [rows][32] = (is_first) or += x [rows][words] times w [words][32]
    using tile = void (*)(float const* x, std::size_t stride, float const* w, std::size_t words,
                          float* c, bool is_first) noexcept;
    /// c [rows][32] to whole lines of y, past the caches.
    using stream = void (*)(float const* c, std::size_t rows, float* y,
                            std::size_t stride) noexcept;

    tile const* tiles = nullptr;  ///< of 1 .. most_rows rows
    std::size_t most_rows = 0;
    stream past_caches = nullptr;
    std::size_t k_per_word = 1;
};

namespace scalar {

/// What a tile of one row means.
inline void multiply_row(float const* x, std::size_t, float const* w, std::size_t words, float* c,
                         bool is_first) noexcept {
    for (std::size_t i = 0; i < panel_columns; ++i) {
        float sum = is_first ? 0.0f : c[i];
        for (std::size_t k = 0; k < words; ++k) sum = std::fma(x[k], w[k * panel_columns + i], sum);
        c[i] = sum;
    }
}
inline constexpr panel_engine::tile row_tiles[] = {multiply_row};
inline constexpr panel_engine engine{row_tiles, 1, nullptr, 1};

}  // namespace scalar

namespace detail {

/// How a part is cut: panels that are worked on together, k of X that are copied together, k of a
/// panel that are held as floats together.
struct product_blocks {
    std::size_t panels = 0, depth = 0, piece = 0;

    constexpr product_blocks(std::size_t all_depth, std::size_t rows) noexcept {
        constexpr std::size_t few = 16;
        bool const is_few = rows <= few;
        piece = is_few ? 128 : 256;
        depth = is_few ? std::max<std::size_t>(all_depth, 1) : piece;
        panels = is_few ? 1 : 8;
    }
};

/// May results go past the caches: whole lines of a matrix that no cache holds?
[[nodiscard]] inline bool is_streamed(output_rows const& y) noexcept {
    constexpr std::size_t large = std::size_t{4} << 20;
    return y.is_plain_f32() && y.stride % 16 == 0 &&
           reinterpret_cast<std::uintptr_t>(y.data) % cache_line == 0 &&
           y.rows * y.cols >= large / sizeof(float);
}

/// Results c [rows][32] of panel p.
inline void write_results(panel_engine const& engine, float* c, product_part const& part,
                          std::size_t p, output_rows const& y) noexcept {
    std::size_t const rows = part.row_end - part.row, left = p * panel_columns;
    if (engine.past_caches != nullptr && is_streamed(y) && left + panel_columns <= y.cols)
        engine.past_caches(c, rows, y.f32(part.row, left), y.stride);
    else
        write_panel(c, rows, part.row, p, y);
}

inline namespace QTK_ABI_NS {

struct purpose_of_product;

/// Rows of x times the panels of a source: `depth` k; load(p, k, n, to) writes the words of k .. k + n
/// of panel p to [words][32]; prepare(row, n) makes words of a copied piece of X, in place.
template <typename Source>
void product_by_pieces(panel_engine const& engine, Source const& source, float_rows const& x,
                       product_part const& part, output_rows const& y) {
    std::size_t const rows = part.row_end - part.row, depth = source.depth;
    product_blocks const cut(depth, rows);
    // A line more than a multiple of 128 bytes, so that rows do not fall on each other in the cache.
    std::size_t const stride = div_ceil(std::min(cut.depth, depth), unit_depth) * unit_depth + 16;
    std::size_t const sums = cut.panels * rows * panel_columns;
    auto* const copy = reinterpret_cast<float*>(thread_scratch<purpose_of_product>(
        (rows * stride + sums + cut.piece * panel_columns) * sizeof(float)));
    float* const c = copy + rows * stride;
    float* const weights = c + sums;
    auto const multiply_panel = [&](std::size_t first, std::size_t last, std::size_t p, float* to) {
        for (std::size_t k = first; k < last; k += cut.piece) {
            std::size_t const n = std::min(cut.piece, last - k);
            std::size_t const words = div_ceil(n, engine.k_per_word);
            float const* const from = copy + (k - first) / engine.k_per_word;
            source.load(p, k, n, weights);
            for (std::size_t r = 0; r < rows; r += engine.most_rows)
                engine.tiles[std::min(engine.most_rows, rows - r) - 1](
                    from + r * stride, stride, weights, words, to + r * panel_columns, k == 0);
        }
    };
    for (std::size_t block = part.panel; block < part.panel_end; block += cut.panels) {
        std::size_t const block_end = std::min(part.panel_end, block + cut.panels);
        if (depth == 0) std::memset(c, 0, sums * sizeof(float));
        for (std::size_t first = 0; first < depth; first += cut.depth) {
            std::size_t const last = std::min(depth, first + cut.depth);
            if (cut.depth < depth || block == part.panel)
                for (std::size_t r = 0; r < rows; ++r) {
                    std::memcpy(copy + r * stride, x.data + (part.row + r) * x.stride + first,
                                (last - first) * sizeof(float));
                    source.prepare(copy + r * stride, last - first);
                }
            for (std::size_t p = block; p < block_end; ++p)
                multiply_panel(first, last, p, c + (p - block) * rows * panel_columns);
        }
        for (std::size_t p = block; p < block_end; ++p)
            write_results(engine, c + (p - block) * rows * panel_columns, part, p, y);
    }
}

/// X times rows of floats: y[m * y_stride + r] = x_m . w_r. `Turn::run(w, first, k, n, to)` writes
/// columns k .. k + n of the 32 rows from `first` on to [n][32]; rows past the last are zero.
template <typename Turn>
struct turned_rows {
    dot_rows w;
    std::size_t depth = 0;

    void load(std::size_t p, std::size_t k, std::size_t n, float* to) const noexcept {
        Turn::run(w, p * panel_columns, k, n, to);
    }
    void prepare(float*, std::size_t) const noexcept {}
};
template <typename Turn>
void dot_all_by_panels(panel_engine const& engine, dot_rows x, dot_rows w, std::size_t n, float* y,
                       std::size_t y_stride) {
    constexpr std::size_t most = 256;  // rows of X: 256 x 256 floats leave room in the second cache
    if (x.count == 0 || w.count == 0) return;
    turned_rows<Turn> const source{w, n};
    output_rows const to(matrix_view<float>(y, x.count, w.count, y_stride));
    for (std::size_t row = 0; row < x.count; row += most)
        product_by_pieces(engine, source, {x.data, x.stride},
                          {row, std::min(x.count, row + most), 0, div_ceil(w.count, panel_columns)},
                          to);
}

}  // namespace QTK_ABI_NS
}  // namespace detail
}  // namespace qtk
