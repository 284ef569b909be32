// SPDX-License-Identifier: Apache-2.0
//
// What do the weights of a block multiply? The statistics of method/input_statistics.hpp for each of its
// layers, over all windows of a calibration stream. Layers with one input share one: queries, keys and
// values. Where a layer changes its input first (input_transform.hpp) it is the changed one that counts.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/model/calibrate.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/linear.hpp>

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

namespace qtk {

class block_statistics {
  public:
    /// Of the block that comes next in the stream. Throws value_error if there is none.
    block_statistics(decoder const& model, calibration_stream const& stream,
                     statistics_options const& options) {
        stream.observe(model, [&](layer_group layers, matrix_view<float const> x) {
            // The first layer of those that change the input alike adds for the others.
            std::vector<std::pair<input_transform const*, std::size_t>> added;
            for (linear const* const layer : layers) {
                input_transform const* const change = layer->input().get();
                std::size_t at = all_.size();
                for (auto const& [other, place] : added)
                    if (other == change) at = place;
                auto const [known, is_new] = place_.try_emplace(layer, at);
                if (at != all_.size() && known->second == at) continue;
                if (is_new) all_.emplace_back(layer->in(), options);
                input_statistics& seen = all_[known->second];
                change == nullptr ? seen.add(x) : seen.add(layer->changed_input(x).view());
                added.emplace_back(change, known->second);
            }
        });
    }

    /// Throws value_error for a layer that the block has not run.
    [[nodiscard]] input_statistics const& of(linear const& layer) const {
        auto const found = place_.find(&layer);
        if (found == place_.end())
            throw value_error(layer.name() + ": the layer is not of the block that was observed");
        return all_[found->second];
    }
    /// How many different inputs there are.
    [[nodiscard]] std::size_t inputs() const noexcept { return all_.size(); }

  private:
    std::map<linear const*, std::size_t> place_;
    std::vector<input_statistics> all_;
};

}  // namespace qtk
