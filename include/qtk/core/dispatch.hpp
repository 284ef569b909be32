// SPDX-License-Identifier: Apache-2.0
//
// A scheme came from a file or a command line: which compiled function takes it? `dispatch<A, B,
// ...>(s, f)` calls `f.template operator()<S>()` for the one of the listed schemes that equals s; its
// error names those the program has.
#pragma once

#include <qtk/core/scheme.hpp>
#include <qtk/core/spelling.hpp>

#include <string>
#include <type_traits>
#include <utility>

namespace qtk {

namespace detail {

template <scheme... Known>
[[noreturn]] void no_such_scheme(scheme const& s) {
    std::string text = "this program was not built for the scheme " + to_string(s) + "; it has";
    ((text += " " + to_string(Known)), ...);
    throw value_error(text);
}

template <scheme First, scheme... Rest, typename F>
decltype(auto) dispatch_from(scheme const& s, F&& f) {
    if (s == First) return std::forward<F>(f).template operator()<First>();
    if constexpr (sizeof...(Rest) > 0)
        return dispatch_from<Rest...>(s, std::forward<F>(f));
    else
        return std::forward<F>(f)
            .template operator()<First>();  // not reached: membership is checked before
}

}  // namespace detail

/// Calls f with the listed scheme that equals `s`; every call must return the same type. Throws
/// value_error naming the listed ones if none does.
template <scheme... Known, typename F>
requires(sizeof...(Known) > 0) decltype(auto) dispatch(scheme const& s, F&& f) {
    (static_cast<void>(checked_scheme<Known>{}), ...);
    if (!((s == Known) || ...)) detail::no_such_scheme<Known...>(s);
    return detail::dispatch_from<Known...>(s, std::forward<F>(f));
}

/// Calls `f.template operator()<F>()` for the format that equals `element`: what fast code is
/// specialized on when the rest of a scheme is a run-time value. Throws value_error for a format
/// that is not known.
template <typename F>
decltype(auto) dispatch_format(format const& element, F&& f) {
    auto const pick = [&]<std::size_t I>(auto const& self,
                                         std::integral_constant<std::size_t, I>) -> decltype(auto) {
        constexpr format candidate = known_formats[I].value;
        if constexpr (I + 1 < known_formats.size())
            if (element != candidate)
                return self(self, std::integral_constant<std::size_t, I + 1>{});
        return f.template operator()<candidate>();
    };
    if (!is_known(element)) throw value_error(fault_of(scheme{.element = element}));
    return pick(pick, std::integral_constant<std::size_t, 0>{});
}

}  // namespace qtk
