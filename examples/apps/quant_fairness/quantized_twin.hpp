// SPDX-License-Identifier: Apache-2.0
//
// A model, quantized, beside what it was made of: what mixtures of the two are run with.
#pragma once

#include <qtk/eval/mixture.hpp>
#include <qtk/eval/network_parts.hpp>

#include "calibration_text.hpp"
#include "language_model.hpp"
#include "output.hpp"
#include <memory>
#include <string>
#include <vector>

namespace app {

[[nodiscard]] std::string spelled(qtk::mixture const& mixture);
[[nodiscard]] qtk::mixture parse_mixture(std::string const& text);

/// How a model is quantized, as the user spelled it.
struct quantization {
    std::string method = "rtn", scheme;
    std::vector<std::string> mix;  ///< languages of the calibration; none: all alike
    /// Modules whose layers are not quantized at all, as `qtk quantize --recipe` leaves them: the methods see
    /// the network with them in float. Empty: none. (In a mixture they take back their floats afterwards.)
    qtk::mixture kept;

    [[nodiscard]] std::string name() const;  ///< "gptq, i4/g64/asym/f16"
    friend bool operator==(quantization const&, quantization const&) = default;
};
[[nodiscard]] json to_json(quantization const& how);
[[nodiscard]] quantization quantization_of(json const& text);

/// The quantized network and how its parts mix with the original's, which must outlive it.
struct quantized_twin {
    quantization how;
    language_model quantized;
    std::unique_ptr<qtk::mixed_network> mixed;
};

/// Throws qtk::value_error for a format without codes, and what the method throws.
[[nodiscard]] std::shared_ptr<quantized_twin const> make_twin(language_model const& original,
                                                              quantization const& how,
                                                              calibration_text const& text);

/// Gives the layers of the blocks floats that copies of the network share.
void share_floats(qtk::decoder& network);

}  // namespace app
