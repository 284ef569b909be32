// SPDX-License-Identifier: Apache-2.0
//
// What is left of a vision network in which format, and what does it cost? Every format by every method, for several
// draws of calibration images; accuracy of the packed network, bytes, modelled joules, measured seconds; and
// differences with intervals, paired by image and draw.
#pragma once

#include <qtk/calibration/activation_range.hpp>
#include <qtk/calibration/vision_statistics.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/energy/model.hpp>
#include <qtk/eval/classification.hpp>
#include <qtk/eval/network_energy.hpp>
#include <qtk/eval/ranking_ablation.hpp>
#include <qtk/model/vision_model.hpp>

#include "energy_table_option.hpp"
#include "vision_input.hpp"
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace app {

/// A way to quantize a whole network.
struct quantization_recipe {
    std::string format = "fp32";  ///< as layer_format spells it
    std::string method = "rtn";
    std::string range = "minmax";  ///< of static activations
    std::string label = {};        ///< what a table calls it; empty: format and method

    [[nodiscard]] std::string name() const;
    [[nodiscard]] bool is_float() const { return format == "fp32"; }
    /// Does calibration change it?
    [[nodiscard]] bool depends_on_images() const;
    /// Does its method read the Hessians of layers?
    [[nodiscard]] bool needs_hessians() const;
    /// Throws qtk::value_error for what cannot be read, or does not go together.
    void require() const;
};

/// What the first and the last layer are: as all others, or with codes of 8 bits, or floats.
enum class edge_rule : std::uint8_t { same, eight, floats };
/// Throws qtk::value_error unless it is same, 8 or float.
[[nodiscard]] edge_rule parse_edge_rule(std::string const& text);

/// Accuracy of one recipe less that of another.
struct accuracy_difference {
    double value = 0.0, low = 0.0, high = 0.0, p = 1.0;  ///< 95 %, two-sided p
};

/// What one recipe became.
struct recipe_result {
    quantization_recipe recipe;
    std::vector<qtk::classification> runs =
        {};  ///< One a draw; one alone where no draw changes it.
    double bits_per_weight = 32.0;
    std::size_t bytes = 0;                          ///< of all layers, scales counted
    std::vector<qtk::energy_estimate> energy = {};  ///< of one image, by table
    double seconds_per_image = 0.0;                 ///< 0: not measured
    /// Set by the study; of the second in a ladder alone.
    accuracy_difference against_float = {}, against_step = {};
    std::string failure = {};  ///< why there is no result

    [[nodiscard]] std::vector<double> accuracies() const;
    [[nodiscard]] double accuracy() const;   ///< mean over the draws
    [[nodiscard]] double deviation() const;  ///< over the draws; 0 for one run
};

/// Bootstrap over images and over draws at once, both paired. Throws qtk::shape_error for other images.
[[nodiscard]] accuracy_difference difference(recipe_result const& a, recipe_result const& b,
                                             std::uint64_t seed, std::size_t resamples = 2000);

/// One network and one draw of calibration images after the other: what all recipes share.
class network_study {
  public:
    /// `path` is where the model was read from. Hessians of all layers take 4 in^2 bytes each and draw: only where a
    /// method reads them.
    network_study(std::string path, qtk::vision_model model, vision_data const& data,
                  std::size_t calibration_images, std::size_t draws, std::uint64_t seed,
                  bool has_hessians);

    [[nodiscard]] std::string const& path() const noexcept { return path_; }
    [[nodiscard]] std::string name() const { return name_of_model(path_); }
    [[nodiscard]] qtk::vision_model const& model() const noexcept { return model_; }
    [[nodiscard]] labelled_batch const& test() const noexcept { return data_.test; }
    [[nodiscard]] std::vector<labelled_batch> const& draws() const noexcept { return draws_; }
    [[nodiscard]] bool has_attention() const;

    /// The packed network for draw d.
    [[nodiscard]] qtk::vision_model quantized(quantization_recipe const& recipe, edge_rule edges,
                                              std::size_t draw) const;
    /// Every recipe and every draw, shared between threads; `done` is told of each run. A recipe that a
    /// network cannot have gives a failure, no exception. Results do not depend on the number of threads.
    [[nodiscard]] std::vector<recipe_result> run(std::vector<quantization_recipe> const& recipes,
                                                 edge_rule edges,
                                                 std::vector<any_energy_table> const& tables,
                                                 bool has_times,
                                                 std::function<void()> const& done) const;

    /// Size, energy of an image and, if asked for, seconds of the packed network of a recipe.
    void describe(recipe_result& result, qtk::vision_model const& packed,
                  std::vector<any_energy_table> const& tables, bool has_times) const;

  private:
    [[nodiscard]] double seconds_per_image(qtk::vision_model const& packed) const;

    std::string path_;
    qtk::vision_model model_;
    vision_data const& data_;
    std::vector<labelled_batch> draws_;
    std::vector<qtk::vision_statistics> seen_;
};

/// A low-bit format that breaks networks, and what repairs it step by step.
struct repair_ladder {
    std::string collapse;  ///< the format that it begins with
    std::vector<quantization_recipe> steps;
};
/// 3- and 2-bit weights, and 4 bits on both sides, per tensor and symmetric; then per channel, asymmetric, MSE range,
/// BRECQ. Each step keeps the ones before.
[[nodiscard]] std::vector<repair_ladder> repair_ladders(std::size_t brecq_steps);

}  // namespace app
