// SPDX-License-Identifier: Apache-2.0
//
// Which tensors of a published layout hold this quantized layer, and what was lost on the way? The
// parts that the layouts share: tensors in memory named by what stands after "LAYER.", scales in the
// type that a layout wants, codes in the order of the inputs.
//
// Codes and zero points are never changed. A scale may have to be rounded (f32 to f16): is_exact says
// whether any was, largest_scale_change by how much of itself at most.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/checkpoint_packing.hpp>
#include <qtk/format/ordered_qmatrix.hpp>
#include <qtk/format/scale.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/dtype.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// What is known of a tensor before its layer is quantized.
struct tensor_plan {
    std::string suffix;  ///< "qweight": what stands after "LAYER."
    dtype type = dtype::u8;
    std::vector<std::uint64_t> shape;
};

struct layer_tensor {
    tensor_plan plan;
    std::vector<std::byte> bytes;  ///< row-major, little endian
};

struct encoded_layer {
    std::vector<layer_tensor> tensors;
    /// The tensors stand for the same floats as the matrix.
    bool is_exact = true;
    /// max |stored - scale| / |scale|.
    double largest_scale_change = 0.0;

    /// Null if there is none.
    [[nodiscard]] layer_tensor const* find(std::string_view suffix) const noexcept {
        auto const found = std::ranges::find_if(
            tensors, [&](layer_tensor const& t) { return t.plan.suffix == suffix; });
        return found == tensors.end() ? nullptr : &*found;
    }
};

/// The shape of a layer that will be quantized: what a plan needs.
struct layer_shape {
    std::size_t out = 0, in = 0;
};

namespace detail {

template <typename T>
[[nodiscard]] std::vector<std::byte> little_endian_bytes(std::span<T const> values) {
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    for (std::size_t i = 0; i < values.size(); ++i)
        store_little_endian(values[i], bytes.data() + i * sizeof(T));
    return bytes;
}
[[nodiscard]] inline std::vector<std::byte> little_endian_bytes(
    row_major<std::uint32_t> const& words) {
    return little_endian_bytes(std::span<std::uint32_t const>(words.values));
}

/// `group` inputs of a row share a scale; 0: all.
[[nodiscard]] inline granularity file_grain(std::size_t group) {
    return {.rows = 1, .cols = checked_cast<int>(group)};
}

/// Columns that share a scale: of all, if the grain spans the row.
[[nodiscard]] inline std::size_t group_width(granularity const& grain, std::size_t in) noexcept {
    return tile_grid(grain, 1, in).cols;
}

/// Codes [out, in] with every column at its input.
[[nodiscard]] inline row_major<std::uint8_t> fields_by_input(ordered_qmatrix const& q) {
    any_qmatrix const& codes = q.matrix;
    row_major<std::uint8_t> fields{.rows = codes.rows(), .cols = codes.cols()};
    std::vector<std::uint8_t> row(codes.cols());
    for (std::size_t o = 0; o < fields.rows; ++o) {
        unpack_fields(codes.row_codes(o), codes.scheme().element.bits, row);
        for (std::size_t k = 0; k < row.size(); ++k) fields(o, input_of(q, k)) = row[k];
    }
    return fields;
}
/// Zero points [out, groups]; the code of zero where the scheme is symmetric. Tiles of several rows
/// are repeated.
[[nodiscard]] inline row_major<std::uint8_t> zeros_by_group(any_qmatrix const& q) {
    tile_grid const& grid = q.grid();
    row_major<std::uint8_t> zeros{.rows = q.rows(), .cols = grid.across};
    for (std::size_t o = 0; o < zeros.rows; ++o)
        for (std::size_t g = 0; g < zeros.cols; ++g)
            zeros(o, g) = static_cast<std::uint8_t>(q.params(o / grid.rows, g).zero);
    return zeros;
}

/// The group of every input, [in].
[[nodiscard]] inline std::vector<std::int32_t> groups_by_input(ordered_qmatrix const& q) {
    std::vector<std::int32_t> groups(q.matrix.cols());
    for (std::size_t k = 0; k < groups.size(); ++k)
        groups[input_of(q, k)] = static_cast<std::int32_t>(k / q.matrix.grid().cols);
    return groups;
}
/// Are groups runs of neighbours, so that no file needs to say which they are?
[[nodiscard]] inline bool has_runs(ordered_qmatrix const& q) noexcept {
    std::size_t const width = q.matrix.grid().cols;
    for (std::size_t k = 0; k < q.order.size(); ++k)
        if (q.order[k] / width != k / width) return false;
    return true;
}

/// Appends scales to a tensor and keeps what was lost.
class scale_writer {
  public:
    /// f32, f16 or bf16.
    explicit scale_writer(scale_type type) : type_(type) {}

    /// Throws value_error for a scale that is not finite or too large for its type.
    void add(float scale, std::size_t row, std::size_t group) {
        std::uint32_t const pattern = scale == 0.0f ? 0u : store_scale(type_, scale);
        float const stored = scale == 0.0f ? 0.0f : load_scale(type_, pattern);
        if (is_nonfinite(stored))
            throw value_error("the scale of row " + std::to_string(row) + ", group " +
                              std::to_string(group) + " is " + std::to_string(scale) +
                              ", expected a finite number that " +
                              std::string(word_for(scale_types, type_)) + " can hold");
        for (std::size_t b = 0; b < scale_bytes(type_); ++b)
            bytes_.push_back(static_cast<std::byte>(pattern >> (8 * b)));
        note(scale, stored);
    }
    /// A scale and what a file makes of it.
    void note(float scale, float stored) noexcept {
        if (scale == stored) return;
        is_exact_ = false;
        auto const was = static_cast<double>(scale), is = static_cast<double>(stored);
        largest_change_ = std::max(largest_change_, std::abs(is - was) / std::abs(was));
    }
    [[nodiscard]] std::vector<std::byte> take() noexcept { return std::move(bytes_); }
    void report(encoded_layer& layer) const noexcept {
        layer.is_exact = is_exact_;
        layer.largest_scale_change = largest_change_;
    }

  private:
    scale_type type_;
    std::vector<std::byte> bytes_;
    bool is_exact_ = true;
    double largest_change_ = 0.0;
};

/// Scales as [groups, out] or, by rows, as [out, groups].
[[nodiscard]] inline scale_writer write_scales(any_qmatrix const& q, scale_type type,
                                               bool by_rows) {
    scale_writer writer(type);
    tile_grid const& grid = q.grid();
    std::size_t const first = by_rows ? q.rows() : grid.across,
                      second = by_rows ? grid.across : q.rows();
    for (std::size_t a = 0; a < first; ++a)
        for (std::size_t b = 0; b < second; ++b) {
            std::size_t const o = by_rows ? a : b, g = by_rows ? b : a;
            writer.add(q.params(o / grid.rows, g).scale, o, g);
        }
    return writer;
}

[[noreturn]] inline void refuse_layout(std::string const& layout, std::string const& expected,
                                       std::string const& found, std::string const& hint = {}) {
    throw value_error(layout + ": expected " + expected + ", found " + found +
                      (hint.empty() ? "" : ". Hint: " + hint));
}

/// Throws value_error unless these are codes of that format, the signedness of integers aside, with
/// `group` columns a scale (0: all) and without zero points under a symmetric layout.
inline void require_grid(std::string const& layout, any_qmatrix const& q, format const& element,
                         std::size_t group, bool is_symmetric) {
    scheme const& s = q.scheme();
    bool const is_same = element.is_integer()
                             ? s.element.is_integer() && s.element.bits == element.bits
                             : s.element == element;
    if (!is_same) refuse_layout(layout, "codes of " + std::string(name_of(element)), to_string(s));
    std::size_t const in = q.cols(), width = group == 0 ? in : group;
    if (in == 0 || q.rows() == 0) refuse_layout(layout, "rows and columns", "an empty matrix");
    if (std::min(q.grid().cols, in) != std::min(width, in))
        refuse_layout(layout, "one scale for " + std::to_string(width) + " columns", to_string(s));
    if (is_symmetric && s.has_zero_point())
        refuse_layout(layout, "symmetric codes, as the configuration says", to_string(s));
}

}  // namespace detail
}  // namespace qtk
