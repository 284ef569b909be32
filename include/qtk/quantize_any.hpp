// SPDX-License-Identifier: Apache-2.0
//
// What if the scheme is only known at run time (a command line, a file)? The same round to nearest
// for every scheme there is. Costs the compile time of every format: include it in one file of a
// program, not everywhere.
#pragma once

#include <qtk/core/dispatch.hpp>
#include <qtk/quantize.hpp>

namespace qtk {

namespace detail {
inline namespace QTK_ABI_NS {

template <format Element, origin Zero, typename How>
any_qmatrix quantize_rounded(scheme const& s, matrix_view<float const> w, How const& how,
                             quantize_options const& options) {
    switch (s.round) {
        case rounding::nearest_away:
            return round_to_nearest<tile_quantizer<Element, Zero, rounding::nearest_away>>(
                s, w, how, options);
        case rounding::stochastic:
            return round_to_nearest<tile_quantizer<Element, Zero, rounding::stochastic>>(s, w, how,
                                                                                         options);
        case rounding::nearest_even:
            break;
    }
    return round_to_nearest<tile_quantizer<Element, Zero, rounding::nearest_even>>(s, w, how,
                                                                                   options);
}

/// Round to nearest in any scheme that makes sense.
template <range_estimator How>
any_qmatrix round_any(scheme const& s, matrix_view<float const> w, How const& how,
                      quantize_options const& options) {
    // uB has the fields of iB, so one instantiation serves both.
    format element = s.element;
    if (element.kind == numeral::unsigned_integer) element.kind = numeral::signed_integer;
    return dispatch_format(element, [&]<format Element>() -> any_qmatrix {
        if constexpr (Element.kind == numeral::unsigned_integer) {
            throw value_error("quantize: unsigned formats are quantized as signed ones");
        } else {
            if constexpr (Element.is_integer())
                if (s.has_zero_point())
                    return quantize_rounded<Element, origin::floating>(s, w, how, options);
            return quantize_rounded<Element, origin::fixed>(s, w, how, options);
        }
    });
}

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// Quantizes `what`, [rows, cols], as `s` says; the same bytes as quantize<S> for S == s. Throws
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
        return detail::round_any(s, w, how, options);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
