// SPDX-License-Identifier: Apache-2.0
//
// What came of a search for bits? All draws of one network, summed up, as text, JSON and a page.
#pragma once

#include <qtk/stats/bootstrap.hpp>

#include "bit_study.hpp"
#include "html_page.hpp"
#include "output.hpp"
#include <cstddef>
#include <string>
#include <vector>

namespace app {

/// A network and what was found for it.
struct searched_network {
    std::string model;
    std::size_t test_images = 0, calibration_images = 0;
    std::vector<std::string> layers;
    qtk::classification floats;   ///< of the test images
    std::vector<bit_draw> draws;  ///< one for each seed, with the same runs in the same order
};

/// One kind of assignment over all draws.
struct summed_run {
    std::size_t at = 0;  ///< place among the runs of a draw
    qtk::interval_estimate accuracy;
    double deviation = 0.0;  ///< between draws
    double predicted_loss = 0.0, calibration_loss = 0.0, test_loss = 0.0, spent = 0.0;
    /// Accuracy less that of the uniform network of the same draw, budget and cost; 0 for that one itself.
    qtk::interval_estimate gain;
    std::vector<double> p;   ///< McNemar's, by draw
    double mean_bits = 0.0;  ///< of a weight
};

/// In the order of the runs of a draw. Intervals are Student's over draws, or of the images where there is
/// one draw.
[[nodiscard]] std::vector<summed_run> summed_runs(searched_network const& network,
                                                  std::uint64_t seed);

/// "uniform", "exact by divergence", "haq"
[[nodiscard]] std::string name_of(run_assignment const& run);
/// Beats, loses, or neither: what the interval of the gain says.
[[nodiscard]] std::string verdict_of(summed_run const& run);

[[nodiscard]] std::string search_text(searched_network const& network, std::uint64_t seed);
[[nodiscard]] json search_json(searched_network const& network, std::uint64_t seed);
void add_search(html_page& page, searched_network const& network, std::uint64_t seed);
/// layer=format, one a line, of a run of the first draw.
[[nodiscard]] std::string recipe_text(searched_network const& network, run_assignment const& run);

}  // namespace app
