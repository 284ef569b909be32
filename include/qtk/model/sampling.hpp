// SPDX-License-Identifier: Apache-2.0
//
// Which token comes next? The most likely one (temperature 0), or one drawn from the softmax of the
// logits divided by the temperature, of the k most likely tokens, of the fewest that hold p of the
// probability (nucleus sampling, Holtzman et al. 2020), in that order. The same seed draws the same
// tokens on every machine whose logits are the same.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qtk {

struct sampling_options {
    float temperature = 0.0f;  ///< 0: the most likely token, the first of equals.
    std::size_t top_k = 0;     ///< 0: all.
    float top_p = 1.0f;        ///< In (0, 1].
    std::uint64_t seed = 0;
};

/// Throws value_error for options that make no sense.
inline void require_sampling(sampling_options const& options) {
    if (!(options.temperature >= 0.0f) || !std::isfinite(options.temperature))
        throw value_error("sampling: expected a temperature of 0 or more, found " +
                          std::to_string(options.temperature));
    if (!(options.top_p > 0.0f && options.top_p <= 1.0f))
        throw value_error("sampling: expected top_p in (0, 1], found " +
                          std::to_string(options.top_p));
}

class sampler {
  public:
    /// Throws value_error for options that make no sense.
    explicit sampler(sampling_options const& options) : options_(options), random_(options.seed) {
        require_sampling(options);
    }

    /// The index of the next token. Throws value_error for no logits, or one that is NaN.
    [[nodiscard]] std::int32_t operator()(std::span<float const> logits) {
        if (logits.empty()) throw value_error("sampling: expected logits, found none");
        for (float const v : logits)
            if (v != v) throw value_error("sampling: a logit is NaN");
        auto const best = std::max_element(logits.begin(), logits.end());
        if (options_.temperature == 0.0f) return static_cast<std::int32_t>(best - logits.begin());

        std::vector<candidate> all(logits.size());
        for (std::size_t i = 0; i < logits.size(); ++i)
            all[i] = {std::exp((static_cast<double>(logits[i]) - static_cast<double>(*best)) /
                               static_cast<double>(options_.temperature)),
                      static_cast<std::int32_t>(i)};
        std::size_t const most =
            options_.top_k > 0 ? std::min(options_.top_k, all.size()) : all.size();
        // Equals in the order of their ids: what is kept does not depend on the sort.
        auto const middle = all.begin() + static_cast<std::ptrdiff_t>(most);
        std::partial_sort(all.begin(), middle, all.end(), [](candidate a, candidate b) {
            return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
        });
        all.resize(most);
        double sum = 0.0, kept = 0.0;
        for (candidate const& c : all) sum += c.weight;
        std::size_t count = 0;
        while (count < all.size() &&
               (count == 0 || kept < static_cast<double>(options_.top_p) * sum))
            kept += all[count++].weight;

        double left = open_unit(random_()) * kept;
        for (std::size_t i = 0; i < count; ++i) {
            left -= all[i].weight;
            if (left < 0.0) return all[i].id;
        }
        return all[count - 1].id;
    }

  private:
    struct candidate {
        double weight = 0.0;
        std::int32_t id = 0;
    };

    sampling_options options_;
    splitmix64 random_;
};

}  // namespace qtk
