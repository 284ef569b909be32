// SPDX-License-Identifier: Apache-2.0
//
// How is a weight without outliers made from one with some? Rotating its columns spreads every large
// value over a row (Ashkboos et al. 2024, "QuaRot"; Chee et al. 2023, "QuIP": incoherence). The
// product stays, since a rotation R (math/hadamard.hpp) is orthogonal:
//
//   x W^T = (x R) (W R)^T        any method may round W R; its Hessian is R^T H R
//   (x W^T) R = x (R^T W)^T      rows of the weight that writes what is read rotated
//
// Differs from the papers: R is (x * signs) H for any size, not only for powers of two.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/hadamard.hpp>
#include <qtk/math/transpose.hpp>
#include <qtk/method/column_scaling.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {
namespace detail {

inline void require_rotation(hadamard const& rotation, char const* what, std::size_t size) {
    if (rotation.size() != size)
        throw shape_error("rotation: expected one of " + std::to_string(size) + " " + what +
                          ", found one of " + std::to_string(rotation.size()));
}

inline void rotate_rows(matrix_view<float> w, hadamard const& rotation, bool is_inverse) {
    parallel_for(w.rows, 4 * w.size(), [&](std::size_t r) {
        is_inverse ? rotation.apply_inverse(w.row(r)) : rotation.apply(w.row(r));
    });
}

}  // namespace detail

/// W R for W [out, in], or x R for rows x: every row rotated. Throws shape_error for a rotation of
/// another size.
[[nodiscard]] inline matrix rotated_columns(matrix_view<float const> w, hadamard const& rotation) {
    detail::require_rotation(rotation, "columns", w.cols);
    matrix rotated(w.rows, w.cols);
    for (std::size_t r = 0; r < w.rows; ++r)
        std::ranges::copy(w.row(r), rotated.view().row(r).begin());
    detail::rotate_rows(rotated.view(), rotation, false);
    return rotated;
}
/// W R^T: the way back.
[[nodiscard]] inline matrix unrotated_columns(matrix w, hadamard const& rotation) {
    detail::require_rotation(rotation, "columns", w.cols());
    detail::rotate_rows(w.view(), rotation, true);
    return w;
}
/// R^T W for W [out, in]: its outputs come rotated. Throws shape_error for a rotation of another size.
[[nodiscard]] inline matrix rotated_outputs(matrix_view<float const> w, hadamard const& rotation) {
    detail::require_rotation(rotation, "rows", w.rows);
    return transposed(rotated_columns(transposed(w).view(), rotation).view());
}
/// R^T H R for H [in, in], symmetric: the Hessian of W R.
[[nodiscard]] inline matrix rotated_hessian(matrix_view<float const> h, hadamard const& rotation) {
    detail::require_rotation(rotation, "rows", h.rows);
    return rotated_outputs(rotated_columns(h, rotation).view(), rotation);
}

/// Codes of W R; a layer that holds them rotates its input.
struct rotated_codes {
    any_qmatrix codes;
    hadamard rotation;
    /// What they stand for, [out, in].
    [[nodiscard]] matrix weight() const { return unrotated_columns(dequantize(codes), rotation); }
};

/// W [out, in] rotated and then rounded by `how`, a range estimator or a weight method, which sees the
/// rotated weight. Throws shape_error for a rotation of another size, and what round to nearest throws.
template <typename How = minmax_range>
[[nodiscard]] rotated_codes quantize_rotated(scheme const& s, matrix_view<float const> w,
                                             hadamard const& rotation, How const& how = {}) {
    return {rounded_codes(s, rotated_columns(w, rotation).view(), how), rotation};
}

}  // namespace qtk
