// SPDX-License-Identifier: Apache-2.0
//
// What can be quantized? Anything two-dimensional that lies row by row in memory: a matrix_view, or
// a container with data() and shape() (xtensor's among them, which qtk does not need to know). A
// view borrows: it never owns.
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/error.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#if defined(__CUDACC__)
#pragma nv_diag_suppress 554  // the conversion below does not exist for constant elements
#endif

namespace qtk {

/// Rows of `cols` neighbours, `stride` elements apart; element (r, c) is data[r * stride + c].
template <typename T>
struct matrix_view {
    T* data = nullptr;
    std::size_t rows = 0, cols = 0;
    std::size_t stride = 0;

    constexpr matrix_view() = default;
    constexpr matrix_view(T* first, std::size_t height, std::size_t width) noexcept
        : data(first), rows(height), cols(width), stride(width) {}
    /// Throws shape_error if rows overlap, that is if row_stride < width.
    constexpr matrix_view(T* first, std::size_t height, std::size_t width, std::size_t row_stride)
        : data(first), rows(height), cols(width), stride(row_stride) {
        if (row_stride < width)
            throw shape_error("matrix_view: a row stride of " + std::to_string(row_stride) +
                              " is less than the " + std::to_string(width) + " columns");
    }
    /// A flat container with a shape; throws shape_error if the sizes differ.
    constexpr matrix_view(std::span<T> flat, std::size_t height, std::size_t width)
        : matrix_view(flat.data(), height, width) {
        if (width != 0 ? (flat.size() / width != height || flat.size() % width != 0)
                       : !flat.empty())
            throw shape_error("matrix_view: " + std::to_string(flat.size()) + " values are not " +
                              std::to_string(height) + " x " + std::to_string(width));
    }
    /// A view of mutable elements is one of constant elements.
    constexpr operator matrix_view<T const>() const noexcept requires(!std::is_const_v<T>) {
        matrix_view<T const> view(data, rows, cols);
        view.stride = stride;
        return view;
    }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return rows * cols; }
    [[nodiscard]] constexpr bool is_contiguous() const noexcept {
        return stride == cols || rows <= 1;
    }
    [[nodiscard]] constexpr std::span<T> row(std::size_t r) const noexcept {
        QTK_EXPECTS(r < rows);
        return {data + r * stride, cols};
    }
    /// Every element in one span. Precondition: is_contiguous().
    [[nodiscard]] constexpr std::span<T> flat() const noexcept {
        QTK_EXPECTS(is_contiguous());
        return {data, rows * cols};
    }
    constexpr T& operator()(std::size_t r, std::size_t c) const noexcept {
        QTK_EXPECTS(r < rows && c < cols);
        return data[r * stride + c];
    }
};

namespace detail {

/// Rows of `bytes` bytes, `stride` bytes apart.
struct byte_rows {
    std::uintptr_t first = 0;
    std::size_t rows = 0, bytes = 0, stride = 0;

    byte_rows(void const* data, std::size_t height, std::size_t width,
              std::size_t row_stride) noexcept
        : first(reinterpret_cast<std::uintptr_t>(data)),
          rows(height),
          bytes(width),
          stride(row_stride) {}
    template <typename T>
    byte_rows(matrix_view<T> m) noexcept
        : byte_rows(m.data, m.rows, m.cols * sizeof(T), m.stride * sizeof(T)) {}

    [[nodiscard]] std::uintptr_t end() const noexcept {
        return first + (rows - 1) * stride + bytes;
    }
};

/// Do two matrices share a byte? Columns of one buffer that lie beside each other do not. Of rows with
/// different strides it is enough that they begin before the others end.
[[nodiscard]] inline bool share_memory(byte_rows const& a, byte_rows const& b) noexcept {
    if (a.rows * a.bytes == 0 || b.rows * b.bytes == 0) return false;
    if (a.end() <= b.first || b.end() <= a.first) return false;
    std::size_t const stride = a.rows > 1 ? a.stride : b.stride;
    if ((a.rows > 1 && b.rows > 1 && a.stride != b.stride) || (a.rows == 1 && b.rows == 1) ||
        a.bytes > stride || b.bytes > stride)
        return true;
    // Where b begins in a row of a.
    std::size_t const after = b.first >= a.first ? (b.first - a.first) % stride
                                                 : (stride - (a.first - b.first) % stride) % stride;
    return after < a.bytes || after + b.bytes > stride;
}

/// Throws value_error if a result would be written over an operand that is still read.
inline void require_apart(char const* name, char const* operand, byte_rows const& x,
                          byte_rows const& y) {
    if (share_memory(x, y))
        throw value_error(
            std::string(name) + ": the result lies over " + operand +
            ", which is still read while it is written. Hint: give it memory of its own");
}

template <typename M>
concept shaped_floats = requires(M const& m) {
    { m.data() } -> std::convertible_to<float const*>;
    { m.shape()[0] } -> std::convertible_to<std::size_t>;
    { m.shape().size() } -> std::convertible_to<std::size_t>;
};
}  // namespace detail

/// A matrix of floats that qtk can read in place.
template <typename M>
concept matrix_like =
    std::convertible_to<M const&, matrix_view<float const>> || detail::shaped_floats<M>;

/// The view of a matrix-like thing, [rows, cols]. Throws shape_error if it is not two-dimensional
/// or does not lie row by row.
template <matrix_like M>
[[nodiscard]] constexpr matrix_view<float const> view_of(M const& m) {
    if constexpr (std::convertible_to<M const&, matrix_view<float const>>) {
        return m;
    } else {
        if (m.shape().size() != 2)
            throw shape_error("a matrix has 2 dimensions, this container has " +
                              std::to_string(m.shape().size()));
        auto const rows = static_cast<std::size_t>(m.shape()[0]);
        auto const cols = static_cast<std::size_t>(m.shape()[1]);
        float const* first = m.data();
        std::size_t stride = cols;
        if constexpr (requires { m.data_offset(); }) first += m.data_offset();
        if constexpr (requires { m.strides()[0]; }) {
            // Containers report stride 0 along an axis of length one.
            if (cols > 1 && m.strides()[1] != 1)
                throw shape_error(
                    "the container lies column by column; qtk reads rows: copy it to row-major "
                    "order");
            if (rows > 1) {
                if (m.strides()[0] < 0)
                    throw shape_error("the rows of the container run backwards: copy it first");
                stride = static_cast<std::size_t>(m.strides()[0]);
            }
        }
        return matrix_view<float const>(first, rows, cols, stride);
    }
}

static_assert(matrix_like<matrix_view<float>> && matrix_like<matrix_view<float const>>);
static_assert(!matrix_like<float*>);

}  // namespace qtk
