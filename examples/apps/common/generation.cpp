// SPDX-License-Identifier: Apache-2.0
#include "generation.hpp"

#include <qtk/model/decoder.hpp>

#include <chrono>

namespace app {

generation generate(qtk::decoder const& network, std::span<std::int32_t const> prompt,
                    generation_options const& options,
                    std::function<void(std::int32_t)> const& show) {
    using clock = std::chrono::steady_clock;
    auto const seconds_since = [](clock::time_point start) {
        return std::chrono::duration<double>(clock::now() - start).count();
    };
    qtk::kv_cache past(network.config(), prompt.size() + options.tokens, options.kv);
    qtk::sampler next(options.sampling);
    generation made;
    made.prompt = prompt.size();
    auto const joules = [&] { return options.meter ? options.meter() : 0.0; };
    double const joules_before = joules();
    auto start = clock::now();
    std::int32_t token = next(network.next_logits(prompt, past));
    made.prefill_seconds = seconds_since(start);
    double const joules_between = joules();
    made.prefill_joules = joules_between - joules_before;
    start = clock::now();
    while (made.tokens.size() < options.tokens && token != options.stop) {
        made.tokens.push_back(token);
        if (show) show(token);
        if (made.tokens.size() == options.tokens || past.length() == past.capacity()) break;
        token = next(network.next_logits(std::span(&token, 1), past));
        ++made.decoded;
    }
    made.decode_seconds = seconds_since(start);
    made.decode_joules = joules() - joules_between;
    made.kv_bytes = past.bytes();
    return made;
}

}  // namespace app
