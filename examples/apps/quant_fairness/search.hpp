// SPDX-License-Identifier: Apache-2.0
//
// Which layers are worth protecting? Sets of one size are compared by a figure of the costs that are left: all of
// them where there are few, else the best that greedy growth with swaps finds, and a random sample.
#pragma once

#include "costs.hpp"
#include "study.hpp"
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace app {

/// A set of parts, and what is left of the costs when it alone stays float.
struct protected_set {
    std::vector<std::size_t> parts;  ///< ascending places in the list of parts
    double figure = 0.0, mean = 0.0;
    std::string search;  ///< how it was found among sets of its size, in words
};

/// L0, L9, L11; "nothing" for none.
[[nodiscard]] std::string names_of(std::vector<qtk::network_part> const& parts,
                                   std::vector<std::size_t> const& set);

/// n over k, at most `most`.
[[nodiscard]] std::size_t count_of_sets(std::size_t n, std::size_t k, std::size_t most);
/// All sets of k of n, or `most` different ones drawn at random where there are more.
[[nodiscard]] std::vector<std::vector<std::size_t>> sets_of_size(std::size_t n, std::size_t k,
                                                                 std::size_t most,
                                                                 std::uint64_t seed);

class protection_search {
  public:
    struct limits {
        std::size_t evaluations = 300;  ///< of a size, before a search becomes greedy
        bool has_all_pairs = true;
        std::uint64_t seed = 0;  ///< of random samples
    };

    /// Text `part` of the study decides.
    protection_search(fairness_study const& study, quantization how,
                      std::vector<qtk::network_part> parts, cost_figure figure, std::size_t part,
                      limits const& most);

    [[nodiscard]] std::vector<qtk::network_part> const& parts() const noexcept { return parts_; }
    /// Which modules are quantized when a set is protected.
    [[nodiscard]] qtk::mixture mixture_of(std::vector<std::size_t> const& set) const;
    /// In the order of `sets`; ties in the figure are broken by the mean cost.
    [[nodiscard]] std::vector<protected_set> evaluate(
        std::vector<std::vector<std::size_t>> const& sets) const;
    [[nodiscard]] protected_set none() const { return evaluate({{}}).front(); }
    /// One part more than `set`: the best to add.
    [[nodiscard]] protected_set grown(protected_set const& set) const;
    /// `set` after swaps of one part for another as long as they help, with a word on how many there were.
    [[nodiscard]] protected_set swapped(protected_set set) const;
    /// The best set of one part more than `smaller`, which was the best of its size.
    [[nodiscard]] protected_set best_after(protected_set const& smaller) const;

  private:
    fairness_study const& study_;
    quantization how_;
    std::vector<qtk::network_part> parts_;
    cost_figure figure_;
    std::size_t part_;
    limits most_;
    passage_losses original_;
};

}  // namespace app
