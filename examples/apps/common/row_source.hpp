// SPDX-License-Identifier: Apache-2.0
//
// How is a tensor read that need not fit into memory? A few rows at a time, as floats, whatever it is in
// its file; what was read is given back to the system at once.
#pragma once

#include <qtk/core/matrix_view.hpp>
#include <qtk/io/gguf.hpp>
#include <qtk/io/qmatrix_file.hpp>
#include <qtk/io/safetensors.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

namespace app {

using release_function = std::function<void(std::span<std::byte const>)>;

/// A matrix [rows, cols]; of other ranks, the last dimension is a row.
class row_source {
  public:
    row_source(std::size_t rows, std::size_t cols) : rows_(rows), cols_(cols) {}
    row_source(row_source const&) = delete;
    row_source& operator=(row_source const&) = delete;
    virtual ~row_source() = default;

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t cols() const noexcept { return cols_; }

    /// Can read() be called?
    [[nodiscard]] virtual bool has_floats() const noexcept { return true; }
    /// Rows first .. first + to.rows as floats.
    virtual void read(std::size_t first, qtk::matrix_view<float> to) const = 0;
    /// Which row of the weight row r is, where they are in another order.
    [[nodiscard]] virtual std::size_t source_row(std::size_t r) const noexcept { return r; }
    /// Memory that reading takes for each row, beside the floats.
    [[nodiscard]] virtual std::size_t row_bytes() const noexcept = 0;
    /// The bytes in the file, where they are the rows one after the other; empty otherwise.
    [[nodiscard]] virtual std::span<std::byte const> raw() const noexcept { return {}; }
    virtual void release(std::span<std::byte const>) const {}

  private:
    std::size_t rows_, cols_;
};

using shared_rows = std::shared_ptr<row_source const>;

/// A tensor of a safetensors file, which outlives the source. Types that are no floats can be copied.
[[nodiscard]] shared_rows rows_of(qtk::safetensors_file const& file, qtk::tensor_info const& info);
/// The same, stored as [in, out] and read as [out, in]. Throws io_error where it is no float matrix.
[[nodiscard]] shared_rows transposed_rows_of(qtk::safetensors_file const& file,
                                             qtk::tensor_info const& info);
/// A quantized matrix of a safetensors file; `is_transposed`: it is read as [cols, rows].
[[nodiscard]] shared_rows rows_of(qtk::safetensors_file const& file, qtk::stored_qmatrix const& q,
                                  bool is_transposed);
/// A tensor of a GGUF file, which outlives the source.
[[nodiscard]] shared_rows rows_of(qtk::gguf_file const& file, qtk::gguf_tensor const& tensor);
/// Rows in the order in which GGUF has Llama's queries and keys: of each head of d rows, row 2i is i
/// and row 2i + 1 is i + d/2 of `from`.
[[nodiscard]] shared_rows paired_rows_of(shared_rows from, std::size_t head_dim);
/// Blocks of GGUF that are in memory.
[[nodiscard]] shared_rows rows_of(qtk::gguf_type type, std::vector<std::uint8_t> blocks,
                                  std::size_t rows, std::size_t cols);
/// Floats that are in memory, as one row.
[[nodiscard]] shared_rows rows_of(std::vector<float> values);

}  // namespace app
