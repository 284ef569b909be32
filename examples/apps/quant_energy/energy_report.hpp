// SPDX-License-Identifier: Apache-2.0
//
// How is a study of vision networks told? Tables for the terminal, a page of HTML with a Pareto chart and bars of
// energy by layer, and the same figures as JSON and CSV.
#pragma once

#include <qtk/eval/network_energy.hpp>
#include <qtk/eval/ranking_ablation.hpp>

#include "energy_study.hpp"
#include "html_page.hpp"
#include "output.hpp"
#include "search_report.hpp"
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace app {

/// A ladder as it was climbed.
struct climbed_ladder {
    repair_ladder ladder;
    std::vector<recipe_result> steps;
};

/// What softmax outputs of so many bits leave of a ViT, all else float; for each draw.
struct softmax_row {
    std::string codes;
    int bits = 8;
    std::vector<qtk::classification> runs;
};

/// One cell of the ranking ablation for each draw.
struct ranking_row {
    int bits = 0;
    std::string method;
    std::vector<double> accuracies, losses, correlations;
    std::vector<double>
        p;  ///< McNemar's against the same search without ranking, by draw; else empty
};

/// The joules of one image, product by product.
struct energy_bars {
    std::string recipe;
    std::vector<std::string> products;
    std::vector<double> joules;
};

/// Everything that was found about one network.
struct network_findings {
    std::string model, data;
    std::size_t draws = 0, calibration_images = 0, test_images = 0;
    recipe_result floats;
    std::vector<climbed_ladder> ladders;
    std::vector<recipe_result> grid;
    std::vector<energy_bars> bars;
    /// The same quantized network under all tables: of a recipe each.
    struct priced {
        std::string recipe;
        std::vector<qtk::table_comparison> tables;
    };
    std::vector<priced> prices;
    std::vector<softmax_row> softmax;
    std::vector<ranking_row> ranking;
    std::optional<searched_network> mixed;  ///< bits by layer at the energy of uniform 4 and 3 bits
};

/// What all networks share.
struct study_setting {
    std::vector<std::string> tables, table_lines;  ///< of energies; the first is the one in charts
    std::string edges, range, command;
    std::uint64_t seed = 0;
};

/// Sets the differences of all results, once for every table and file that shows them.
void compare_results(network_findings& found, std::uint64_t seed);

[[nodiscard]] std::string findings_text(network_findings const& found,
                                        study_setting const& setting);
[[nodiscard]] json findings_json(network_findings const& found, study_setting const& setting);
/// One line a recipe, under a header.
[[nodiscard]] std::string findings_csv(std::vector<network_findings> const& networks,
                                       study_setting const& setting);
void add_findings(html_page& page, network_findings const& found, study_setting const& setting);

}  // namespace app
