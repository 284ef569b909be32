// SPDX-License-Identifier: Apache-2.0
//
// Any text: a refusal, or a scheme that is valid and that its own spelling gives back.
#include <qtk/core/spelling.hpp>

#include "fuzz_target.hpp"
#include <cstdint>
#include <string_view>

QTK_FUZZ_TARGET(spelling) {
    try {
        qtk::scheme const s = qtk::parse_scheme(fuzz::text_of(data, size));
        fuzz::require(qtk::is_valid(s) && qtk::parse_scheme(qtk::to_string(s)) == s);
    } catch (qtk::error const&) {
    }
    return 0;
}
