// SPDX-License-Identifier: Apache-2.0
//
// What does a method do to one layer of a model? The layer's float weight, its scheme and what is known of
// its inputs go in; codes come out, with the order of their columns and a sentence if something was not as
// it should be.
#pragma once

#include <qtk/calibration/method_chain.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/ordered_qmatrix.hpp>
#include <qtk/method/gptq.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/quantize_any.hpp>

#include <string>
#include <utility>
#include <variant>

namespace qtk {

struct layer_task {
    std::string name;
    qtk::scheme scheme;
    matrix_view<float const> weight;           ///< [out, in]
    input_statistics const* inputs = nullptr;  ///< Of the layer; nothing where no method asked.
};

struct layer_codes {
    ordered_qmatrix weight;
    std::string note;  ///< What the user should know, or nothing.
};

/// What a method has to know of the inputs of a layer.
[[nodiscard]] inline statistics_options needs_of(method_chain const& method) {
    return {.has_hessian = method.find<gptq_step>() != nullptr};
}
[[nodiscard]] inline bool needs_inputs(method_chain const& method) {
    return method.find<rtn_step>() == nullptr;
}

namespace detail {

[[nodiscard]] inline layer_codes round_layer(rtn_step const& step, layer_task const& task,
                                             quantize_options const& options) {
    return std::visit(
        [&](auto const& range) -> layer_codes {
            return {{quantize_any(task.weight, task.scheme, range, options), {}}, {}};
        },
        step.range);
}

[[nodiscard]] inline layer_codes round_layer(gptq_step const& step, layer_task const& task,
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

}  // namespace detail

/// Throws what the method throws, the layer's name in front.
[[nodiscard]] inline layer_codes run_method(method_chain const& method, layer_task const& task) {
    quantize_options const options{.name = task.name.c_str()};
    return std::visit([&](auto const& step) { return detail::round_layer(step, task, options); },
                      method.rounding);
}

}  // namespace qtk
