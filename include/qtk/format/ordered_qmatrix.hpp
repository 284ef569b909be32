// SPDX-License-Identifier: Apache-2.0
//
// Which input does a column of codes belong to? A method that quantizes the most important columns
// first (GPTQ's act-order, Frantar et al. 2023) lets neighbours in that order share a scale, so the
// columns of a group lie apart in the weight. Here they lie side by side, group after group, and a
// permutation says where each one came from:
//
//   W[o, order[k]] = (level[field(o, k)] - zero(o, k / g)) * scale(o, k / g)
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/qmatrix.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace qtk {

/// Codes [out, in] and the input that each of their columns belongs to.
struct ordered_qmatrix {
    any_qmatrix matrix;
    /// order[k] is the input of column k; empty: columns are where they were.
    std::vector<std::uint32_t> order;

    friend bool operator==(ordered_qmatrix const&, ordered_qmatrix const&) = default;
};

/// Throws shape_error unless there are as many inputs as columns (or none), value_error unless each
/// of 0 .. in - 1 is there once.
inline void require_order(ordered_qmatrix const& q) {
    std::size_t const in = q.matrix.cols();
    if (q.order.empty()) return;
    if (q.order.size() != in)
        throw shape_error("ordered matrix: expected an order of " + std::to_string(in) +
                          " columns, found " + std::to_string(q.order.size()));
    std::vector<bool> is_taken(in);
    for (std::size_t k = 0; k < in; ++k) {
        std::uint32_t const input = q.order[k];
        if (input >= in || is_taken[input])
            throw value_error("ordered matrix: expected each input below " + std::to_string(in) +
                              " once, found " + std::to_string(input) +
                              (input >= in ? "" : " again") + " at column " + std::to_string(k));
        is_taken[input] = true;
    }
}

/// The input of column k.
[[nodiscard]] inline std::size_t input_of(ordered_qmatrix const& q, std::size_t k) noexcept {
    return q.order.empty() ? k : q.order[k];
}

/// The inverse: the column that holds each input, [in]. The order must be one (require_order).
[[nodiscard]] inline std::vector<std::uint32_t> columns_by_input(ordered_qmatrix const& q) {
    std::vector<std::uint32_t> columns(q.matrix.cols());
    for (std::size_t k = 0; k < columns.size(); ++k)
        columns[input_of(q, k)] = static_cast<std::uint32_t>(k);
    return columns;
}

/// The weight [out, in] as floats, its columns where they were before they were sorted. The order
/// must be one (require_order).
[[nodiscard]] inline matrix decode_in_order(ordered_qmatrix const& q) {
    any_qmatrix const& codes = q.matrix;
    tile_grid const& grid = codes.grid();
    auto const level = levels_of(codes.scheme().element);
    matrix weight(codes.rows(), codes.cols());
    std::vector<std::uint8_t> fields(codes.cols());
    for (std::size_t r = 0; r < codes.rows(); ++r) {
        unpack_fields(codes.row_codes(r), codes.scheme().element.bits, fields);
        for (std::size_t j = 0; j < grid.across; ++j) {
            tile_params const p = codes.params(r / grid.rows, j);
            std::size_t const first = j * grid.cols, end = first + grid.width(j);
            for (std::size_t k = first; k < end; ++k)
                weight(r, input_of(q, k)) =
                    (level[fields[k]] - static_cast<float>(p.zero)) * p.scale;
        }
    }
    return weight;
}

}  // namespace qtk
