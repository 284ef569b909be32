// SPDX-License-Identifier: Apache-2.0
//
// What if the scheme is only known at run time (a command line, a file)? The same round to nearest
// for every scheme there is, in the time that `quantize<S>` takes.
#pragma once

#include <qtk/quantize.hpp>
#include <qtk/quantizer/any_quantizer.hpp>

namespace qtk {

inline namespace QTK_ABI_NS {

/// Quantizes `what`, [rows, cols], as `s` says; the same bytes as `quantize<S>` for S == s. Throws
/// value_error for a scheme that makes no sense.
template <matrix_like M, typename How = minmax_range>
requires range_estimator<How> || weight_method<How>
[[nodiscard]] any_qmatrix quantize_any(M const& what, scheme const& s, How const& how = {},
                                       quantize_options const& options = {}) {
    if (char const* fault = fault_of(s)) throw value_error("quantize: " + std::string(fault));
    matrix_view<float const> const w = view_of(what);
    if constexpr (weight_method<How>)
        return how.quantize(s, w, options);
    else
        return round_to_nearest<any_quantizer>(s, w, how, options);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
