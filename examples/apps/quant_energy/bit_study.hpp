// SPDX-License-Identifier: Apache-2.0
//
// Which bits for which layer, found and run? For one draw of calibration images: a packed layer for every layer and
// every number of bits, what each loses alone and costs, assignments within budgets, and the networks that
// they make.
#pragma once

#include <qtk/calibration/vision_statistics.hpp>
#include <qtk/eval/bit_assignment.hpp>
#include <qtk/eval/bit_search.hpp>
#include <qtk/eval/bit_sensitivity.hpp>
#include <qtk/eval/classification.hpp>
#include <qtk/eval/layer_candidates.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/network_product.hpp>
#include <qtk/model/vision_model.hpp>

#include "energy_table_option.hpp"
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace app {

/// How layers are quantized at so many bits.
struct bit_formats {
    std::vector<int> bits{2, 3, 4, 5, 6, 8};
    std::string scheme = "iB/channel/sym";  ///< B stands for the bits.
    std::string method = "rtn";
    std::string activations = "same";  ///< same: as many bits as the weights; 2 to 8; f32
    bool has_symmetric_activations = false;
    std::string range = "minmax";  ///< of activations
    std::string first_last =
        "8";  ///< bits of the first and the last layer; search: like all others

    /// "i4/channel/sym@a4_static_asym"; throws qtk::value_error for what cannot be spelled.
    [[nodiscard]] std::string format(int weight_bits) const;
    /// Throws qtk::value_error for options that no run can have.
    void require() const;
};

/// Images and what they show.
struct shown_images {
    qtk::image_batch images;
    std::vector<std::uint16_t> labels;
};

/// Every layer at every number of bits, packed, from these images.
[[nodiscard]] qtk::candidate_network packed_candidates(qtk::vision_model const& model,
                                                       bit_formats const& formats,
                                                       qtk::vision_statistics const& seen,
                                                       qtk::pixel_rows images);

/// What each candidate costs.
struct bit_costs {
    std::string name;                     ///< "size", "latency", or that of an energy table
    std::string unit;                     ///< bytes, s, J
    std::string line;                     ///< what a report says of it
    std::vector<std::vector<double>> of;  ///< by layer and candidate
    double fixed = 0.0;                   ///< of what has no bits to choose: attention

    [[nodiscard]] double sum(std::span<std::size_t const> choice) const;
};

[[nodiscard]] bit_costs size_costs(qtk::candidate_network const& candidates);
/// Of an image; `is_without_reuse`: as qtk::work_without_reuse() counts.
[[nodiscard]] bit_costs energy_costs(qtk::candidate_network const& candidates,
                                     std::span<qtk::network_product const> products,
                                     any_energy_table const& table, bool is_without_reuse);
/// Median seconds of the layer's product with the rows of one image, on this machine and now.
[[nodiscard]] bit_costs measured_latencies(qtk::candidate_network const& candidates,
                                           std::span<qtk::network_product const> products,
                                           qtk::vision_statistics const& seen,
                                           std::size_t repetitions);

/// An assignment that was run.
struct run_assignment {
    std::string cost, budget;         ///< names: "horowitz_45nm", "uniform4"
    std::string solver, sensitivity;  ///< "uniform" and "" for what all are compared with
    std::vector<std::size_t> choice;
    std::vector<int> bits;
    std::vector<std::string> formats;  ///< by layer, as recipes spell them
    double spent = 0.0, allowed = 0.0;
    double mean_bits = 0.0;  ///< of a weight, without scales
    /// Loss on the calibration images, from the float network's and the sensitivities to loss; and as it ran.
    double predicted_loss = 0.0, calibration_loss = 0.0;
    qtk::classification test;
};

/// One draw of calibration images.
struct bit_draw {
    std::uint64_t seed = 0;
    std::vector<qtk::layer_sensitivity> sensitivities;
    qtk::classification floats_on_calibration;
    std::vector<bit_costs> costs;
    std::vector<run_assignment> runs;
    /// Of the first cost and sensitivity: all assignments that no other beats.
    std::vector<qtk::bit_assignment> front;
};

struct bit_question {
    bit_formats formats;
    std::vector<std::string> budgets{"uniform4", "uniform3"};
    std::vector<std::string> costs{"energy"};  ///< energy, size, latency
    std::vector<std::string> energy_tables{"horowitz_45nm"};
    bool is_without_reuse = false;
    std::vector<std::string> sensitivities{"divergence"};
    std::vector<std::string> solvers{"exact"};
    qtk::episode_options episodes;
    std::size_t latency_repetitions = 21;
    /// An assignment to be run beside those that are found: the format of each layer by its name.
    std::map<std::string, std::string> recipe = {};
    /// The mean trace of each layer; needed where `sensitivities` has hessian.
    std::function<std::vector<double>(qtk::vision_model const&, shown_images const&)> traces = {};
    std::function<void(std::string const&)> progress = {};
};

/// Everything for one draw. Throws qtk::value_error for budgets that nothing fits in.
[[nodiscard]] bit_draw study_bits(qtk::vision_model const& model, bit_question const& question,
                                  shown_images const& calibration, shown_images const& test,
                                  std::uint64_t seed);

}  // namespace app
