// SPDX-License-Identifier: Apache-2.0
//
// What does a method do to one layer of a model? The layer's float weight, its scheme and what is known of
// its inputs go in; codes come out, with the order of their columns and a sentence if something was not as
// it should be.
#pragma once

#include <qtk/calibration/method_chain.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/ordered_qmatrix.hpp>
#include <qtk/method/gptq.hpp>
#include <qtk/method/imatrix.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/method/layer_reconstruction.hpp>
#include <qtk/method/tile_method.hpp>

#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

struct layer_task {
    std::string name;
    qtk::scheme scheme;
    matrix_view<float const> weight;           ///< [out, in]
    input_statistics const* inputs = nullptr;  ///< Nothing where the method asks for nothing.
};

struct layer_codes {
    ordered_qmatrix weight;
    std::string note;  ///< What the user should know, or nothing.
};

namespace detail {

inline layer_codes round_layer(rtn_step const& step, layer_task const& task,
                               quantize_options const& options) {
    return {{round_tiles(task.scheme, task.weight, step.range, options), {}}, {}};
}
inline layer_codes round_layer(outlier_step const&, layer_task const& task,
                               quantize_options const& options) {
    return {{round_tiles(task.scheme, task.weight, minmax_range{}, options), {}}, {}};
}
inline layer_codes round_layer(hqq_step const& step, layer_task const& task,
                               quantize_options const& options) {
    return {{hqq{step.options}.quantize(task.scheme, task.weight, options), {}}, {}};
}
inline layer_codes round_layer(imatrix_step const&, layer_task const& task,
                               quantize_options const& options) {
    std::vector<float> const importance = task.inputs->square_mean();
    return {{imatrix{importance}.quantize(task.scheme, task.weight, options), {}}, {}};
}

inline layer_codes round_layer(gptq_step const& step, layer_task const& task,
                               quantize_options const& options) {
    matrix const h = task.inputs->hessian();
    gptq_result result = gptq(h, step.options).run(task.scheme, task.weight, options);
    std::string note;
    if (result.is_fallback)
        note = "rounded to nearest: the Hessian is not positive definite with a damping of " +
               fractions_text(result.damping.tried);
    else if (result.damping.tried.size() > 1)
        note = "damping " + fractions_text({result.damping.tried.back()}) + " after " +
               std::to_string(result.damping.tried.size() - 1) + " smaller ones failed";
    return {std::move(result.weight), std::move(note)};
}

template <typename Options>
struct learned_of;
template <>
struct learned_of<adaround_options> {
    using by_hessian = adaround;
    using quantization = soft_rounding;
};
template <>
struct learned_of<auto_round_options> {
    using by_hessian = auto_round;
    using quantization = signed_rounding;
};
template <>
struct learned_of<omniquant_options> {
    using by_hessian = omniquant;
    using quantization = learned_clipping;
};

template <typename Options>
layer_codes round_layer(learned_step<Options> const& step, layer_task const& task,
                        quantize_options const& options) {
    matrix const h = task.inputs->hessian();
    typename learned_of<Options>::by_hessian const method(h, step.options);
    reconstructed_weight made = method.reconstruct(task.scheme, task.weight, options);
    return {{std::move(made.weight), {}},
            made.report.is_better() ? "" : "round to nearest: nothing better was learned"};
}

}  // namespace detail

/// Throws what the method throws, the layer's name in front. Steps that learn the layers of a block together
/// are not for one layer: they throw value_error.
[[nodiscard]] inline layer_codes run_method(method_chain const& method, layer_task const& task) {
    if (method.is_by_block())
        throw value_error(task.name + ": " + method.name +
                          " learns the layers of a block together");
    quantize_options const options{.name = task.name.c_str()};
    return std::visit([&](auto const& step) { return detail::round_layer(step, task, options); },
                      method.rounding);
}

}  // namespace qtk
