// SPDX-License-Identifier: Apache-2.0
//
// Where does a batch normalization go once a network is trained? Into the layer before it: its mean and
// variance are constants then (Ioffe, Szegedy 2015, section 3.1), and what is left is a factor and a
// summand for each output (Jacob et al. 2018, section 3.2).
//
//   y = (W x + b - mean) / sqrt(variance + eps) * weight + bias  =  W' x + b'
//   W' = f W,  b' = (b - mean) f + bias,  f = weight / sqrt(variance + eps)
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/model/vision_reader.hpp>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace qtk {

/// One value of each for every output of the layer before it.
struct batch_norm {
    std::string name;
    std::vector<float> weight, bias, mean, variance;
    double epsilon = 1e-5;

    /// Changes the weight [out, in] and its biases, `out` or none, into those of both together; in double
    /// precision. Throws shape_error if sizes differ, value_error for a negative variance.
    void fold_into(matrix& layer, std::vector<float>& layer_bias) const {
        std::size_t const out = layer.rows();
        for (auto const* const part : {&weight, &bias, &mean, &variance})
            require_size(part->size(), out);
        if (layer_bias.empty()) layer_bias.resize(out);
        require_size(layer_bias.size(), out);
        for (std::size_t o = 0; o < out; ++o) {
            if (!(variance[o] >= 0.0f))
                throw value_error(name + ": expected variances that are not negative, found " +
                                  std::to_string(variance[o]) + " for output " + std::to_string(o));
            double const factor = static_cast<double>(weight[o]) /
                                  std::sqrt(static_cast<double>(variance[o]) + epsilon);
            for (float& w : layer.view().row(o))
                w = static_cast<float>(static_cast<double>(w) * factor);
            double const shift = static_cast<double>(layer_bias[o]) - static_cast<double>(mean[o]);
            layer_bias[o] = static_cast<float>(shift * factor + static_cast<double>(bias[o]));
        }
    }

  private:
    void require_size(std::size_t found, std::size_t out) const {
        if (found != out)
            throw shape_error(name + ": expected " + std::to_string(out) +
                              " values, one for each output, found " + std::to_string(found));
    }
};

/// PyTorch's names: weight, bias, running_mean and running_var; the number of batches seen is not needed.
/// Throws what the reader throws.
[[nodiscard]] inline batch_norm read_batch_norm(vision_reader& file, std::string const& name,
                                                std::size_t width) {
    file.ignore(name + ".num_batches_tracked");
    return {.name = name,
            .weight = file.vector(name + ".weight", width),
            .bias = file.vector(name + ".bias", width),
            .mean = file.vector(name + ".running_mean", width),
            .variance = file.vector(name + ".running_var", width)};
}

}  // namespace qtk
