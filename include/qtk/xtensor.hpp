// SPDX-License-Identifier: Apache-2.0
//
// The bridge to xtensor, and the only header of qtk that names one of its headers (they moved in
// 0.26 without forwarding). Row-major xt::xtensor<float, 2> and xt::xarray<float> are quantized in
// place; expressions, other element types and column-major containers are evaluated into a
// row-major matrix of floats first. Results are containers, never lazy expressions that could
// outlive their operands.
#pragma once

#include <qtk/quantize.hpp>

#if __has_include(<xtensor/containers/xtensor.hpp>)  // 0.26 and later
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/core/xmath.hpp>
#include <xtensor/views/xview.hpp>
#elif __has_include(<xtensor/xtensor.hpp>)  // up to 0.25; Debian 12 has 0.24.3
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#else
#error "qtk: xtensor not found. Debian: apt install libxtensor-dev. Conan: xtensor/[>=0.24.3 <0.28]"
#endif

#include <cstddef>
#include <type_traits>

namespace qtk {

/// Row-major floats with N axes: what models and evaluation compute with.
template <std::size_t N>
using tensor = xt::xtensor<float, N>;

template <typename E>
concept xtensor_expression = xt::is_xexpression<E>::value;

namespace detail {

/// Can a container or view be read in place, or does a column order or a step between columns
/// forbid it?
template <typename E>
[[nodiscard]] bool lies_by_rows(E const& e) {
    return e.dimension() == 2 && (e.shape()[1] <= 1 || e.strides()[1] == 1);
}

template <scheme S, typename E, typename How>
[[nodiscard]] qmatrix<S> quantize_evaluated(E const& e, How const& how,
                                            quantize_options const& options) {
    if (e.dimension() != 2)
        throw shape_error("quantize: a matrix has 2 dimensions, this expression has " +
                          std::to_string(e.dimension()));
    tensor<2> const evaluated = xt::cast<float>(e);
    return quantize<S>(
        matrix_view<float const>(evaluated.data(), evaluated.shape()[0], evaluated.shape()[1]), how,
        options);
}

}  // namespace detail

/// Quantizes an expression, evaluated once, e.g. quantize<w4>(a * b + c), or a container of another
/// element type.
template <scheme S, xtensor_expression E, typename How = minmax_range>
requires(!matrix_like<E>) [[nodiscard]] qmatrix<S> quantize(E const& what, How const& how = {},
                                                            quantize_options const& options = {}) {
    return detail::quantize_evaluated<S>(what, how, options);
}

/// Quantizes a container or view of floats: in place if it lies row by row, else from a row-major
/// copy.
template <scheme S, matrix_like E, typename How = minmax_range>
requires xtensor_expression<E>
[[nodiscard]] qmatrix<S> quantize(E const& what, How const& how = {},
                                  quantize_options const& options = {}) {
    if (detail::lies_by_rows(what)) return quantize<S>(view_of(what), how, options);
    return detail::quantize_evaluated<S>(what, how, options);
}

/// The decoded weights as an xtensor container, [rows, cols].
[[nodiscard]] inline tensor<2> to_xtensor(any_qmatrix const& q) {
    return dequantize<tensor<2>>(q);
}

/// What S leaves of the values of a container, as an xtensor container.
template <scheme S, matrix_like E, typename How = minmax_range>
requires xtensor_expression<E>
[[nodiscard]] tensor<2> fake_quantize(E const& what, How const& how = {},
                                      quantize_options const& options = {}) {
    return to_xtensor(quantize<S>(what, how, options));
}
/// The same for an expression, evaluated once.
template <scheme S, xtensor_expression E, typename How = minmax_range>
requires(!matrix_like<E>)
    [[nodiscard]] tensor<2> fake_quantize(E const& what, How const& how = {},
                                          quantize_options const& options = {}) {
    return to_xtensor(quantize<S>(what, how, options));
}

static_assert(float_container<tensor<2>> && matrix_like<tensor<2>>);

}  // namespace qtk
