// SPDX-License-Identifier: Apache-2.0
//
// The front door: weights in, quantized weights out, and back.
//
//     constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(128)};
//     auto const q = qtk::quantize<w4>(weight);                        // round to nearest
//     auto const tight = qtk::quantize<w4>(weight, qtk::mse_range{});  // another range estimator
//     qtk::gemv(q, x, y);                                              // y = W x on packed codes
//     qtk::matrix const back = qtk::dequantize(q);
//
// Includes neither xtensor nor any method but round to nearest.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/gemm.hpp>
#include <qtk/kernel/gemv.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/stream.hpp>
#include <qtk/method/rtn.hpp>
#include <qtk/range/minmax.hpp>
#include <qtk/range/mse.hpp>
#include <qtk/version.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <utility>

namespace qtk {

/// Turns a whole matrix into a quantized one: GPTQ and its kind. The scheme is a value, since a method
/// computes the same for each.
template <typename M>
concept weight_method = requires(M const& method, scheme const& s, matrix_view<float const> w,
                                 quantize_options const& options) {
    { method.quantize(s, w, options) } -> std::convertible_to<any_qmatrix>;
};

inline namespace QTK_ABI_NS {

/// Quantizes `what`, a matrix [rows, cols], as S says. `how` is a range estimator (min-max if left
/// out) or a weight method. Throws nonfinite_error for NaN or infinity unless the options say
/// otherwise, shape_error for a container that is not a row-major matrix. Deterministic for any
/// number of threads.
template <scheme S, matrix_like M, typename How = minmax_range>
[[nodiscard]] qmatrix<S> quantize(M const& what, How const& how = {},
                                  quantize_options const& options = {}) {
    static_cast<void>(checked_scheme<S>{});
    if constexpr (weight_method<How>) {
        return qmatrix<S>(how.quantize(S, view_of(what), options));
    } else {
        static_assert(
            range_estimator<How>,
            "qtk: quantize<scheme>(what, how): `how` is a range estimator or a weight method");
        return qmatrix<S>(round_to_nearest<quantizer_for<S>>(S, view_of(what), how, options));
    }
}

/// Writes the decoded weights to `out`, which has the shape of q. Throws shape_error otherwise.
inline void dequantize(any_qmatrix const& q, matrix_view<float> out) {
    if (out.rows != q.rows() || out.cols != q.cols())
        throw shape_error("dequantize: expected room for " + std::to_string(q.rows()) + " x " +
                          std::to_string(q.cols()) + ", found " + std::to_string(out.rows) + " x " +
                          std::to_string(out.cols));
    instruction_set const set = active_isa();
    bool const is_large = outgrows_cache(q.size() * sizeof(float));
    // Rows of one decoder: enough that its tables and the fence at its end do not count.
    std::size_t const strip = 1 + (std::size_t{1} << 18) / (q.cols() + 1);
    parallel_for(div_ceil(q.rows(), strip), q.size(), [&](std::size_t at) {
        row_decoder decoder(q, set);
        for (std::size_t r = at * strip; r < std::min(q.rows(), (at + 1) * strip); ++r)
            if (is_large)
                decoder.stream(r, out.row(r).data());
            else
                decoder.decode(r, out.row(r).data());
        if (is_large) stream_fence();
    });
}

/// The decoded weights, [rows, cols], as a qtk::matrix or another container, e.g.
/// xt::xtensor<float, 2>.
template <float_container M = matrix>
[[nodiscard]] M dequantize(any_qmatrix const& q) {
    M out = M::from_shape(std::array<std::size_t, 2>{q.rows(), q.cols()});
    dequantize(q, matrix_view<float>(out.data(), q.rows(), q.cols()));
    return out;
}

/// What S leaves of the values: dequantize(quantize<S>(what, how)), bit for bit.
template <scheme S, matrix_like M, typename How = minmax_range>
[[nodiscard]] matrix fake_quantize(M const& what, How const& how = {},
                                   quantize_options const& options = {}) {
    static_cast<void>(checked_scheme<S>{});
    if constexpr (std::same_as<How, minmax_range> && S.grain.rows == 1 &&
                  S.scale != scale_type::e4m3) {
        matrix_view<float const> const w = view_of(what);
        matrix out(w.rows, w.cols);
        if (fake_round_to_nearest<quantizer_for<S>>(S, w, out.view(), options)) return out;
    }
    return dequantize(quantize<S>(what, how, options));  // also says what is wrong
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
