// SPDX-License-Identifier: Apache-2.0
//
// How fast does a model go on with a text? The prompt is read in one go, then one token follows the other;
// each part is timed by itself.
#pragma once

#include <qtk/model/past.hpp>
#include <qtk/model/sampling.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace qtk {
class decoder;
}

namespace app {

struct generation_options {
    std::size_t tokens = 64;  ///< At most so many new ones.
    qtk::sampling_options sampling;
    qtk::kv_format kv;
    std::optional<std::int32_t> stop;  ///< Ends the text; not part of it.
    std::function<double()>
        meter{};  ///< Joules so far; read between the parts, outside their times.
};

struct generation {
    std::vector<std::int32_t> tokens;  ///< The new ones.
    double prefill_seconds = 0.0;      ///< To read the prompt: until the first token is known.
    double decode_seconds = 0.0;       ///< For the tokens after the first.
    double prefill_joules = 0.0, decode_joules = 0.0;  ///< By the meter; 0 without one.
    std::size_t prompt = 0, decoded = 0, kv_bytes = 0;

    [[nodiscard]] double prefill_rate() const noexcept {
        return static_cast<double>(prompt) / prefill_seconds;
    }
    [[nodiscard]] double decode_rate() const noexcept {
        return static_cast<double>(decoded) / decode_seconds;
    }
};

/// Goes on after `prompt` until the tokens are there, the stop token comes or the context ends. Throws
/// qtk::value_error if the prompt is empty or longer than the context.
[[nodiscard]] generation generate(qtk::decoder const& network, std::span<std::int32_t const> prompt,
                                  generation_options const& options,
                                  std::function<void(std::int32_t)> const& show = {});

}  // namespace app
