// SPDX-License-Identifier: Apache-2.0
//
// What may a function in a hot loop assume? QTK_EXPECTS states a precondition of noexcept code: in
// a debug build it prints the sentence and aborts, with NDEBUG the compiler may rely on it. Never
// used on values read from files or given by a user: those throw (error.hpp).
#pragma once

#include <cstdio>
#include <cstdlib>

namespace qtk::detail {

/// Prints `file:line: qtk: precondition ... does not hold` on standard error and aborts.
[[noreturn]] inline void broken_contract(char const* condition, char const* file,
                                         int line) noexcept {
    std::fprintf(stderr, "%s:%d: qtk: the precondition `%s` does not hold\n", file, line,
                 condition);
    std::abort();
}

}  // namespace qtk::detail

#if defined(NDEBUG)
#define QTK_EXPECTS(condition) ((condition) ? static_cast<void>(0) : __builtin_unreachable())
#else
#define QTK_EXPECTS(condition)          \
    ((condition) ? static_cast<void>(0) \
                 : ::qtk::detail::broken_contract(#condition, __FILE__, __LINE__))
#endif
