// SPDX-License-Identifier: Apache-2.0
//
// How does a network of LibTorch learn its steps? The functions of method/lsq.hpp as nodes of the graph that
// autograd differentiates (Esser et al. 2020, equations 1-3 and 5), with the same values and gradients:
//
//   auto const steps = torch::tensor(qtk::lsq_start(v, 1, q)).requires_grad_();
//   y = torch::linear(x, qtk::lsq_fake_quantize(weight, steps, q));       // a layer with weights of q
//
// Beside it the plain straight-through estimator (Bengio et al. 2013): the gradient passes as if nothing was
// rounded or clipped, and steps do not learn. Needs LibTorch 1.13 or newer (component qtk::torch).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/method/lsq.hpp>

#include <torch/torch.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace qtk {

namespace detail {

/// The steps in a shape that multiplies v: one, or one for each index of the first axis. Throws shape_error
/// for another number of them, value_error for a step that is no finite number above zero, or for other types
/// than float.
[[nodiscard]] inline at::Tensor steps_beside(at::Tensor const& v, at::Tensor const& steps,
                                             char const* who) {
    if (v.scalar_type() != at::kFloat || steps.scalar_type() != at::kFloat)
        throw value_error(std::string(who) + ": expected tensors of float");
    std::int64_t const count = steps.numel();
    if (count != 1 && (v.dim() == 0 || count != v.size(0)))
        throw shape_error(std::string(who) + ": " + std::to_string(count) +
                          " steps for a first axis of " +
                          std::to_string(v.dim() == 0 ? 1 : v.size(0)) +
                          "; expected one, or one for each index of it");
    if (!(steps.gt(0) & steps.isfinite()).all().item<bool>())
        throw value_error(std::string(who) +
                          ": a step is no finite number above zero. Hint: a lower learning rate");
    if (count == 1) return steps.reshape({});
    std::vector<std::int64_t> shape(static_cast<std::size_t>(v.dim()), 1);
    shape[0] = count;
    return steps.reshape(shape);
}

[[nodiscard]] inline at::Tensor rounded_to_levels(at::Tensor const& u, double below, double above) {
    return u.clamp(-below, above).round();  // half to even
}

struct lsq_function : torch::autograd::Function<lsq_function> {
    static at::Tensor forward(torch::autograd::AutogradContext* context, at::Tensor const& v,
                              at::Tensor const& steps, double below, double above,
                              double gradient_scale) {
        at::Tensor const s = steps_beside(v, steps, "lsq_fake_quantize");
        context->save_for_backward({v, steps});
        context->saved_data["below"] = below;
        context->saved_data["above"] = above;
        context->saved_data["gradient_scale"] = gradient_scale;
        return rounded_to_levels(v / s, below, above) * s;
    }
    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   torch::autograd::variable_list by_output) {
        auto const saved = context->get_saved_variables();
        at::Tensor const &v = saved[0], &steps = saved[1], &g = by_output[0];
        double const below = context->saved_data["below"].toDouble();
        double const above = context->saved_data["above"].toDouble();
        at::Tensor const u = v / steps_beside(v, steps, "lsq_fake_quantize");
        at::Tensor const inside = u.gt(-below) & u.lt(above);
        // round(u) - u inside; the level itself at and beyond the outermost ones.
        at::Tensor const slope = rounded_to_levels(u, below, above) - u * inside;
        at::Tensor by_step = g * slope;
        by_step = steps.numel() == 1 ? by_step.sum() : by_step.reshape({steps.numel(), -1}).sum(1);
        double const scale = context->saved_data["gradient_scale"].toDouble();
        return {g * inside, (by_step * scale).reshape(steps.sizes()), {}, {}, {}};
    }
};

struct ste_function : torch::autograd::Function<ste_function> {
    static at::Tensor forward(torch::autograd::AutogradContext*, at::Tensor const& v,
                              at::Tensor const& steps, double below, double above) {
        at::Tensor const s = steps_beside(v, steps, "ste_fake_quantize");
        return rounded_to_levels(v / s, below, above) * s;
    }
    static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                   torch::autograd::variable_list by_output) {
        return {by_output[0], {}, {}, {}};
    }
};

}  // namespace detail

/// v' of v, floats of any shape, as lsq_forward() gives it. `steps` is one, or one for each index of v's first
/// axis; both get the gradients of lsq_backward(). `sharing` is how many values count as sharing a step in its
/// gradient's scale g; 0: as many as do, which is right for weights. For activations the paper counts the
/// features of one sample. Throws shape_error and value_error like lsq_forward(), also in backward().
[[nodiscard]] inline at::Tensor lsq_fake_quantize(at::Tensor const& v, at::Tensor const& steps,
                                                  lsq_levels q, std::size_t sharing = 0) {
    auto const values = static_cast<std::size_t>(v.numel());
    auto const count = static_cast<std::size_t>(steps.numel());
    if (sharing == 0 && count > 0) sharing = values / count;
    return detail::lsq_function::apply(v, steps, static_cast<double>(q.below),
                                       static_cast<double>(q.above),
                                       static_cast<double>(lsq_gradient_scale(sharing, q)));
}

/// The same values with the gradients of ste_backward(): all of it for v, none for the steps.
[[nodiscard]] inline at::Tensor ste_fake_quantize(at::Tensor const& v, at::Tensor const& steps,
                                                  lsq_levels q) {
    return detail::ste_function::apply(v, steps, static_cast<double>(q.below),
                                       static_cast<double>(q.above));
}

}  // namespace qtk
