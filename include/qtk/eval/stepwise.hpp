// SPDX-License-Identifier: Apache-2.0
//
// What would a model say of a text that it remembers in another number format? A window read token by
// token, each after the past that the format has left of the tokens before: what writing a text does, and
// what one pass over the window does not see.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/kv_format.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk {

/// What the head is applied to, [t, width], with keys and values in that format; decoder::hidden() if it
/// is fp32. Throws value_error like decoder::embed().
[[nodiscard]] inline matrix stepwise_hidden(decoder const& model,
                                            std::span<std::int32_t const> tokens,
                                            kv_format const& kv) {
    if (kv == kv_format{}) return model.hidden(tokens);
    kv_cache past(model.config(), tokens.size(), kv);
    matrix all(tokens.size(), model.config().width);
    for (std::size_t t = 0; t < tokens.size(); ++t) {
        matrix const row = model.advance(tokens.subspan(t, 1), past);
        std::ranges::copy(row.view().row(0), all.view().row(t).begin());
    }
    return all;
}

}  // namespace qtk
