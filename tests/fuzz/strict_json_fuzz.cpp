// SPDX-License-Identifier: Apache-2.0
//
// Any bytes: a refusal, or a document that, written again, reads the same.
#include <qtk/io/strict_json.hpp>

#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const text(reinterpret_cast<char const*>(data), size);
    nlohmann::json json;
    try {
        json = qtk::parse_strict_json(text, "fuzz");
    } catch (qtk::error const&) {
        return 0;
    }
    // Outside the try: what was accepted once must not be refused now.
    if (qtk::parse_strict_json(json.dump(), "fuzz") != json) std::abort();
    return 0;
}
