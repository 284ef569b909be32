// SPDX-License-Identifier: Apache-2.0
//
// What does training hand to the packed runtime? The network with its batch norms folded, layer by layer: float
// weights, the steps that they are rounded with, and the grid of each layer's input. Written as a folder:
//
//   model.safetensors      the rounded weights as floats under torchvision's or timm's names (a batch norm that
//                          changes nothing but adds the bias): whatever reads such a network reads it
//   quantized.safetensors  the codes and steps of each layer (io/qmatrix_file.hpp), and in the metadata
//                          "input.NAME" = "SCALE LOWEST HIGHEST", the grid of its input
//
// Nothing here knows LibTorch.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/model/activation_grid.hpp>
#include <qtk/model/image.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace qtk {
class vision_model;
struct layer_activations;
}  // namespace qtk

namespace app {

/// What a layer has seen of its inputs.
struct value_range {
    float lowest = 0.0f, highest = 0.0f;
    double sum_of_magnitudes = 0.0;
    std::size_t count = 0;
};

/// A convolution or linear layer as it is multiplied: weight [out, in] in qtk's order (pixel by pixel).
struct network_layer {
    std::string name;
    qtk::matrix weight;
    std::vector<float> bias;
    std::optional<qtk::scheme> scheme;          ///< of the weight; none: floats
    std::vector<float> steps;                   ///< of the scheme
    std::optional<qtk::activation_grid> input;  ///< what the inputs are rounded to; none: floats
    value_range seen;                           ///< by calibration, of the float network

    /// The weight as it is multiplied.
    [[nodiscard]] qtk::matrix rounded_weight() const;
};

/// What belongs to no layer: norms, tokens, positions.
struct network_tensor {
    std::string name;
    std::vector<std::uint64_t> shape;
    std::vector<float> values;
};

struct trained_network {
    bool is_transformer = false;
    std::size_t heads = 0, channels = 0;
    std::vector<network_layer> layers;  ///< in the order of computation
    std::vector<network_tensor> others;

    [[nodiscard]] network_layer const& layer(std::string const& name) const;
    [[nodiscard]] network_tensor const& other(std::string const& name) const;
};

/// Reads the float network and what its layers see of `calibration`. Throws what load_vision_model() throws.
[[nodiscard]] trained_network read_for_training(std::filesystem::path const& model,
                                                qtk::pixel_rows calibration);

/// How layers are quantized before they are trained.
struct layer_plan {
    qtk::scheme scheme;
    int activation_bits = 0;  ///< 0: floats
    int edge_bits = 8;        ///< of the first and the last layer; 0: like the others
};
/// Sets schemes, the steps that clip nothing, and the grids that hold the range that calibration saw (asymmetric: from 0
/// after a ReLU): round to nearest with min-max ranges, before any training. Throws value_error
/// for a scheme whose steps cannot be learned.
void plan_layers(trained_network& network, layer_plan const& plan);

/// Writes the folder. Throws io_error if the target is there and not empty, system_error.
void write_trained(trained_network const& network, std::filesystem::path const& folder);

/// The network that runs packed. Throws io_error for a folder that write_trained() has not written.
[[nodiscard]] qtk::vision_model load_trained(std::filesystem::path const& folder);
/// Has the folder codes beside its floats?
[[nodiscard]] bool is_trained_folder(std::filesystem::path const& folder);

/// What a layer's inputs are rounded to, as the packed product wants it.
[[nodiscard]] qtk::layer_activations input_activations(network_layer const& layer);

}  // namespace app
