// SPDX-License-Identifier: Apache-2.0
//
// Any text as config.json: a refusal, or a network whose sizes fit together.
#include <qtk/model/config.hpp>

#include "fuzz_target.hpp"

QTK_FUZZ_TARGET(config) {
    std::string_view const text = fuzz::text_of(data, size);
    for (auto const accepted : {qtk::accepted_weights::floats, qtk::accepted_weights::any}) try {
            auto const c = qtk::parse_config(text, "fuzz", {}, accepted);
            fuzz::require(c.layers > 0 && c.heads > 0 && c.kv_heads > 0 && c.vocabulary > 0);
            fuzz::require(c.heads % c.kv_heads == 0);
            for (auto const id : c.eos)
                fuzz::require(id >= 0 && static_cast<std::size_t>(id) < c.vocabulary);
        } catch (qtk::error const&) {
        }
    return 0;
}
