// SPDX-License-Identifier: Apache-2.0
//
// Any text: a refusal, or a scheme that is valid and that its own spelling gives back.
#include <qtk/core/spelling.hpp>

#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    try {
        qtk::scheme const s =
            qtk::parse_scheme(std::string_view(reinterpret_cast<char const*>(data), size));
        if (!qtk::is_valid(s) || qtk::parse_scheme(qtk::to_string(s)) != s) std::abort();
    } catch (qtk::error const&) {
    }
    return 0;
}
