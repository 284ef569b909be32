// SPDX-License-Identifier: Apache-2.0
//
// What was found, as one HTML file: costs of languages, a heat map of layers and languages, which layers to
// protect, and the commands that make it again.
#pragma once

#include "html_page.hpp"
#include "search.hpp"
#include "sensitivity.hpp"
#include "study.hpp"
#include <string>
#include <vector>

namespace app {

/// Costs of one model that are shown as a bar.
struct named_costs {
    std::string name;
    language_costs costs;
};

class fairness_report {
  public:
    fairness_report(std::string const& title, fairness_study const& study,
                    std::string const& calibration, std::size_t part = 0);

    [[nodiscard]] html_page& page() noexcept { return page_; }
    /// Costs of languages, and of every part alone and protected.
    void add(sensitivity const& s, fairness_study const& study);
    /// Bars of a figure of several models.
    void add_bars(std::string const& title, std::string const& axis, cost_figure const& figure,
                  std::vector<named_costs> const& models);
    /// Bars of the costs of every language.
    void add_languages(std::string const& title, language_costs const& costs,
                       std::vector<std::string> const& languages);
    /// Bars of another figure a language, shown times 100.
    void add_bars_of(std::string const& title, std::string const& axis,
                     language_costs const& figures, std::vector<std::string> const& languages);
    /// Layers to protect, as a recipe, and how it is used.
    void add_recipe(quantization const& how, fairness_study const& study, qtk::mixture const& kept,
                    std::string const& what);

    [[nodiscard]] std::string str();

  private:
    html_page page_;
};

/// The recipe file that keeps these modules' layers: rules under comments.
[[nodiscard]] std::string recipe_text(fairness_study const& study, qtk::mixture const& kept,
                                      std::vector<std::string> const& comments);
/// The command that applies it.
[[nodiscard]] std::string recipe_command(quantization const& how, std::string const& model,
                                         std::string const& recipe);

}  // namespace app
