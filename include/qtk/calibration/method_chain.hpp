// SPDX-License-Identifier: Apache-2.0
//
// What is a method made of? Steps of three kinds, which combine: transforms that make weights easier to
// round and leave the network as it is, one step that finds the codes, and a correction of what it
// did to the means. method_spelling.hpp reads them from text.
#pragma once

#include <qtk/method/adaround.hpp>
#include <qtk/method/auto_round.hpp>
#include <qtk/method/gptq.hpp>
#include <qtk/method/hqq.hpp>
#include <qtk/method/omniquant.hpp>
#include <qtk/method/tile_fit.hpp>
#include <qtk/model/awq.hpp>
#include <qtk/model/block_reconstruction.hpp>
#include <qtk/model/smooth.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace qtk {

/// Factors per channel from activations to weights (model/smooth.hpp).
struct smooth_step {
    smooth_options options;
};
/// Factors and clipping for the weights' sake (model/awq.hpp).
struct awq_step {
    block_awq_options options;
};
/// Every layer rotates its input (model/rotation.hpp).
struct rotate_step {
    std::uint64_t seed = 0;  ///< of the signs
};
using transform_step = std::variant<smooth_step, awq_step, rotate_step>;

/// Round to nearest.
struct rtn_step {
    tile_range range = minmax_range{};
};
struct gptq_step {
    gptq_options options{.on_failure = gptq_failure::round_to_nearest};
    bool is_sequential =
        false;  ///< Layers see what the quantized ones before them in the block make.
};
struct hqq_step {
    hqq::options options;
};
/// Round to nearest with errors weighed by the mean square of the inputs.
struct imatrix_step {};
/// Round to nearest, and the activations' outlier columns are those that calibration found.
struct outlier_step {
    double share = 0.0;  ///< of the rows that must reach the threshold in a column
};

/// Learned codes, for one layer by its Hessian, or for the layers of a block together by its output.
template <typename Options>
struct learned_step {
    Options options;
    bool is_by_block = false;
    block_reconstruction_options block{};
    /// By block: errors are weighed by the squared gradients of the network's loss, on this many windows.
    std::size_t fisher_windows = 0;
};
using adaround_step = learned_step<adaround_options>;
using auto_round_step = learned_step<auto_round_options>;
using omniquant_step = learned_step<omniquant_options>;

using rounding_step = std::variant<rtn_step, gptq_step, hqq_step, imatrix_step, outlier_step,
                                   adaround_step, auto_round_step, omniquant_step>;

struct method_chain {
    std::string name = "rtn";
    std::vector<transform_step> transforms{};
    rounding_step rounding = rtn_step{};
    bool corrects_bias = false;

    template <typename Step>
    [[nodiscard]] Step const* find() const noexcept {
        return std::get_if<Step>(&rounding);
    }
    template <typename Step>
    [[nodiscard]] bool has_transform() const noexcept {
        return std::ranges::any_of(transforms, [](transform_step const& step) {
            return std::holds_alternative<Step>(step);
        });
    }
    /// Are the layers of a block learned together?
    [[nodiscard]] bool is_by_block() const noexcept {
        return std::visit(
            [](auto const& step) {
                if constexpr (requires { step.is_by_block; })
                    return step.is_by_block;
                else
                    return false;
            },
            rounding);
    }
    /// Does the step that finds the codes read a Hessian?
    [[nodiscard]] bool needs_hessian() const noexcept {
        return !is_by_block() && (find<gptq_step>() || find<adaround_step>() ||
                                  find<auto_round_step>() || find<omniquant_step>());
    }
    /// Are statistics of the inputs read, once the transforms are done?
    [[nodiscard]] bool needs_statistics() const noexcept {
        return corrects_bias || needs_hessian() || find<imatrix_step>();
    }
    /// Does anything of it read the activations of a text?
    [[nodiscard]] bool needs_text() const noexcept {
        return needs_statistics() || is_by_block() || find<outlier_step>() ||
               has_transform<smooth_step>() || has_transform<awq_step>();
    }
};

}  // namespace qtk
