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

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace qtk {

/// What has to be known of the inputs of a layer; nothing: the layer is not looked at.
using layer_needs = std::function<std::optional<statistics_options>(linear const&)>;

class block_statistics {
  public:
    /// Of the block that comes next in the stream, the same for every layer. Throws value_error if there
    /// is none.
    block_statistics(decoder const& model, calibration_stream const& stream,
                     statistics_options const& options)
        : block_statistics(model, stream, [&](linear const&) { return std::optional(options); }) {}

    /// Each layer by its needs; layers with one input get all that one of them wants.
    block_statistics(decoder const& model, calibration_stream const& stream,
                     layer_needs const& needs) {
        stream.observe(model, [&](layer_group layers, matrix_view<float const> x) {
            std::vector<std::size_t> added;
            for (linear const* const layer : layers) {
                if (!needs(*layer)) continue;
                std::size_t const at = place_of(*layer, layers, needs);
                if (std::ranges::find(added, at) != added.end()) continue;
                added.push_back(at);
                layer->input() == nullptr ? all_[at].add(x)
                                          : all_[at].add(layer->changed_input(x).view());
            }
        });
    }

    [[nodiscard]] bool has(linear const& layer) const { return place_.contains(&layer); }
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
    /// Layers of a group that change its input alike have one place.
    [[nodiscard]] std::size_t place_of(linear const& layer, layer_group layers,
                                       layer_needs const& needs) {
        if (auto const known = place_.find(&layer); known != place_.end()) return known->second;
        statistics_options all{.has_hessian = false};
        for (linear const* const other : layers) {
            auto const more = needs(*other);
            if (!more || other->input() != layer.input()) continue;
            all.has_hessian = all.has_hessian || more->has_hessian;
            all.kept_rows = std::max(all.kept_rows, more->kept_rows);
            all.seed = more->seed;
            place_[other] = all_.size();
        }
        all_.emplace_back(layer.in(), all);
        return all_.size() - 1;
    }

    std::map<linear const*, std::size_t> place_;
    std::vector<input_statistics> all_;
};

}  // namespace qtk
