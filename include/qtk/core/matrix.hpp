// SPDX-License-Identifier: Apache-2.0
//
// Who owns the floats that come back? The least that a result needs: a row-major matrix, [rows,
// cols], for users without a tensor library. It has data(), shape() and from_shape() like xtensor's
// containers, so that code which makes a matrix can make either.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/matrix_view.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace qtk {

class matrix {
  public:
    using value_type = float;

    matrix() = default;
    /// Zeros.
    matrix(std::size_t rows, std::size_t cols)
        : shape_{rows, cols}, values_(checked_mul(rows, cols)) {}
    [[nodiscard]] static matrix from_shape(std::array<std::size_t, 2> const& shape) {
        return matrix(shape[0], shape[1]);
    }

    [[nodiscard]] float* data() noexcept { return values_.data(); }
    [[nodiscard]] float const* data() const noexcept { return values_.data(); }
    [[nodiscard]] std::array<std::size_t, 2> const& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t rows() const noexcept { return shape_[0]; }
    [[nodiscard]] std::size_t cols() const noexcept { return shape_[1]; }

    [[nodiscard]] matrix_view<float> view() noexcept { return {data(), rows(), cols()}; }
    [[nodiscard]] matrix_view<float const> view() const noexcept {
        return {data(), rows(), cols()};
    }
    float& operator()(std::size_t r, std::size_t c) noexcept { return view()(r, c); }
    float operator()(std::size_t r, std::size_t c) const noexcept { return view()(r, c); }

    friend bool operator==(matrix const&, matrix const&) = default;

  private:
    std::array<std::size_t, 2> shape_{};
    std::vector<float> values_;
};

static_assert(matrix_like<matrix>);

/// A matrix that somebody keeps on reading: borrowed from a caller who holds it, kept where it is given away.
/// A temporary of another type than qtk::matrix is refused by the compiler: nobody would hold it.
class kept_matrix {
  public:
    template <matrix_like M>
    requires(!std::same_as<M, kept_matrix>) kept_matrix(M const& borrowed)
        : view_(view_of(borrowed)) {}
    kept_matrix(matrix&& given)
        : owner_(std::make_shared<matrix const>(std::move(given))), view_(owner_->view()) {}
    template <matrix_like M>
    requires(!std::same_as<M, kept_matrix> && !std::same_as<M, matrix_view<float const>> &&
             !std::same_as<M, matrix_view<float>>) kept_matrix(M const&& lost)
    = delete;

    [[nodiscard]] matrix_view<float const> view() const noexcept { return view_; }

  private:
    std::shared_ptr<matrix const> owner_;
    matrix_view<float const> view_;
};

/// A container of floats that can be made from a shape and filled through data().
template <typename M>
concept float_container = requires(std::array<std::size_t, 2> shape, M m) {
    { M::from_shape(shape) } -> std::convertible_to<M>;
    { m.data() } -> std::same_as<float*>;
};
static_assert(float_container<matrix>);

}  // namespace qtk
