// SPDX-License-Identifier: Apache-2.0
//
// What could each layer of a network be, and what does the network then do? Every layer is quantized once for each
// choice of bits, as a whole layer that is ready to run; a network of any mixture of choices is put together
// from them without quantizing again.
//
//   candidate_network candidates(model);                       // the float network
//   candidates.add(4, "i4/channel", quantized_to_4_bits);      // all layers of another copy
//   candidates.with(choice)                                    // run it
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/vision_model.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// A layer in another form.
struct layer_candidate {
    int bits = 32;
    std::string format;  ///< as recipes spell it
    linear layer;
};

class candidate_network {
  public:
    /// Layers have no candidate yet; the network is copied.
    explicit candidate_network(vision_model original) : model_(std::move(original)) {
        std::as_const(model_).for_each_linear([&](linear const& layer) {
            layers_.push_back({layer, {}});
        });
    }

    [[nodiscard]] std::size_t size() const noexcept { return layers_.size(); }
    [[nodiscard]] linear const& original(std::size_t layer) const {
        return layers_.at(layer).original;
    }
    [[nodiscard]] std::span<layer_candidate const> of(std::size_t layer) const {
        return layers_.at(layer).candidates;
    }
    /// The number of the layer's candidate of so many bits; of a layer with one candidate always that one.
    /// Throws value_error where there is none.
    [[nodiscard]] std::size_t choice_of(std::size_t layer, int bits) const {
        auto const candidates = of(layer);
        for (std::size_t c = 0; c < candidates.size(); ++c)
            if (candidates[c].bits == bits || candidates.size() == 1) return c;
        throw value_error("candidates: the layer " + original(layer).name() + " has none of " +
                          std::to_string(bits) + " bits");
    }
    /// The same for all layers: the uniform network.
    [[nodiscard]] std::vector<std::size_t> uniform(int bits) const {
        std::vector<std::size_t> choice;
        for (std::size_t l = 0; l < size(); ++l) choice.push_back(choice_of(l, bits));
        return choice;
    }

    /// One candidate more for this layer, with the least bits first. Throws value_error for a layer of another
    /// name, and for bits that it has already.
    void add(std::size_t layer, layer_candidate candidate) {
        entry& at = layers_.at(layer);
        if (candidate.layer.name() != at.original.name() ||
            candidate.layer.in() != at.original.in() || candidate.layer.out() != at.original.out())
            throw value_error("candidates: expected the layer " + at.original.name() + ", found " +
                              candidate.layer.name());
        auto place = at.candidates.begin();
        while (place != at.candidates.end() && place->bits < candidate.bits) ++place;
        if (place != at.candidates.end() && place->bits == candidate.bits)
            throw value_error("candidates: the layer " + at.original.name() + " has one of " +
                              std::to_string(candidate.bits) + " bits already");
        at.candidates.insert(place, std::move(candidate));
    }
    /// Layers of a quantized copy of the network: those that `is_wanted` names, or all. Throws like the above,
    /// and where the copy is of another network.
    void add(int bits, std::string const& format, vision_model const& quantized,
             std::function<bool(linear const&)> const& is_wanted = {}) {
        std::size_t l = 0;
        quantized.for_each_linear([&](linear const& layer) {
            if (l >= size())
                throw value_error("candidates: the quantized network has more layers than " +
                                  std::to_string(size()));
            if (!is_wanted || is_wanted(layer)) add(l, {bits, format, layer});
            ++l;
        });
    }

    /// The network with a candidate in every layer, until the next call. Throws value_error for a choice that is
    /// none.
    [[nodiscard]] vision_model const& with(std::span<std::size_t const> choice) {
        if (choice.size() != size())
            throw value_error("candidates: expected a choice for each of " +
                              std::to_string(size()) + " layers, found " +
                              std::to_string(choice.size()));
        for (std::size_t l = 0; l < size(); ++l) (void)candidate(l, choice[l]);
        std::size_t l = 0;
        model_.for_each_linear([&](linear& layer) {
            layer = layers_[l].candidates[choice[l]].layer;
            ++l;
        });
        return model_;
    }
    /// The float network with a candidate in one layer alone, until the next call.
    [[nodiscard]] vision_model const& with_only(std::size_t layer, std::size_t choice) {
        linear const& other = candidate(layer, choice).layer;
        std::size_t l = 0;
        model_.for_each_linear([&](linear& at) {
            at = l == layer ? other : layers_[l].original;
            ++l;
        });
        return model_;
    }
    /// The float network, until the next call.
    [[nodiscard]] vision_model const& floats() {
        std::size_t l = 0;
        model_.for_each_linear([&](linear& at) { at = layers_[l++].original; });
        return model_;
    }

  private:
    struct entry {
        linear original;
        std::vector<layer_candidate> candidates;
    };
    [[nodiscard]] layer_candidate const& candidate(std::size_t layer, std::size_t choice) const {
        auto const candidates = of(layer);
        if (choice < candidates.size()) return candidates[choice];
        throw value_error("candidates: the layer " + original(layer).name() + " has " +
                          std::to_string(candidates.size()) + ", there is no number " +
                          std::to_string(choice));
    }

    vision_model model_;
    std::vector<entry> layers_;
};

}  // namespace qtk
