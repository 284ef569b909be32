// SPDX-License-Identifier: Apache-2.0
//
// Any bytes: a refusal, or a document that, written again, reads the same.
#include <qtk/io/strict_json.hpp>

#include "fuzz_target.hpp"
#include <cstdint>
#include <string_view>

QTK_FUZZ_TARGET(strict_json) {
    std::string_view const text = fuzz::text_of(data, size);
    nlohmann::json json;
    try {
        json = qtk::parse_strict_json(text, "fuzz");
    } catch (qtk::error const&) {
        return 0;
    }
    // Outside the try: what was accepted once must not be refused now.
    fuzz::require(qtk::parse_strict_json(json.dump(), "fuzz") == json);
    return 0;
}
