// SPDX-License-Identifier: Apache-2.0
//
// Any text as quantization_config: a refusal, or a configuration that, written and read again, says the
// same of the codes, and that says something or refuses for every layer.
#include <qtk/io/quantization_config_reader.hpp>
#include <qtk/io/quantization_config_writer.hpp>

#include "fuzz_target.hpp"

QTK_FUZZ_TARGET(quantization_config) {
    qtk::quantization_config found;
    try {
        found = qtk::parse_quantization_config(
            qtk::parse_strict_json(fuzz::text_of(data, size), "fuzz"), "fuzz", "gptq");
    } catch (qtk::error const&) {
        return 0;
    }
    for (char const* const layer : {"model.layers.0.mlp.up_proj", "lm_head", ""}) try {
            auto const one = qtk::config_for(found, layer);
            fuzz::require(one.groups.empty() && qtk::is_valid(one.scheme));
        } catch (qtk::value_error const&) {
            // No target, or an expression that needs too many steps.
        }
    // Not in a try: what was accepted can be written and is accepted again.
    auto const again = qtk::parse_quantization_config(qtk::to_json(found), "again");
    fuzz::require(again.layout == found.layout && again.covers_all == found.covers_all);
    fuzz::require(!found.covers_all ||
                  (again.scheme.element == found.scheme.element &&
                   again.scheme.zero == found.scheme.zero && again.has_order == found.has_order));
    return 0;
}
