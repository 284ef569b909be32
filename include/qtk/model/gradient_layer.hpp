// SPDX-License-Identifier: Apache-2.0
//
// How does a loss change with the weight and the input of a layer, whatever form the weight lies in and
// whatever happens to the input before? With T the layer's transform, r the rounding of its activations and
// d = dL/dy:
//
//   y = r(T(x)) W'^T      dL/dW' = d^T r(T(x))      dL/dx = T^T (inside * d W')
//
// `inside` is the straight-through estimator of rounding (Bengio et al. 2013): 1 where a value was moved by half
// a step at most, 0 where a static grid ends before it. Scales that follow the activations clip nothing, and are
// taken for constants.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/model/gradient_linear.hpp>
#include <qtk/model/input_transform.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/rounded_activations.hpp>
#include <qtk/model/weight_matrix.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace qtk {

namespace detail {

[[nodiscard]] inline matrix copy_of(matrix_view<float const> m) {
    matrix copy(m.rows, m.cols);
    for (std::size_t r = 0; r < m.rows; ++r)
        std::ranges::copy(m.row(r), copy.view().row(r).begin());
    return copy;
}

inline void add_to(matrix_view<float const> more, matrix_view<float> sum) {
    for (std::size_t r = 0; r < more.rows; ++r)
        for (std::size_t c = 0; c < more.cols; ++c) sum(r, c) += more(r, c);
}
inline void add_to(matrix_view<float const> more, matrix& sum) {
    add_to(more, sum.view());
}

/// A place among gradients of weights, or none where none are asked for.
[[nodiscard]] inline matrix_view<float> weight_place(std::span<matrix> by_weights, std::size_t i) {
    return by_weights.empty() ? matrix_view<float>{} : by_weights[i].view();
}

/// What rounds the activations of a layer and by which rules; null: nothing does.
struct rounding_of_inputs {
    layer_activations const* how = nullptr;
    qtk::scheme scheme{};

    explicit rounding_of_inputs(linear const& layer) {
        if (auto const* const simulated = layer.form().find<simulated_weight>())
            how = &simulated->activations, scheme = simulated->scheme;
        else if (auto const* const packed = layer.form().packed())
            how = &packed->activations, scheme = packed->weight.scheme();
        if (how != nullptr && how->type == activation_type::f32) how = nullptr;
    }
    [[nodiscard]] bool clips() const noexcept {
        return how != nullptr && how->type == activation_type::a8_static;
    }
};

/// Zero where x lies more than half a step beside what was left of it.
inline void stop_outside(matrix_view<float const> x, matrix_view<float const> left, float step,
                         matrix_view<float> by_x) noexcept {
    float const most = 0.5001f * step;  // ties are rounded in floats
    for (std::size_t r = 0; r < x.rows; ++r)
        for (std::size_t c = 0; c < x.cols; ++c)
            if (!(std::fabs(x(r, c) - left(r, c)) <= most)) by_x(r, c) = 0.0f;
}

}  // namespace detail

/// `by_weight`, [out, in], grows unless it is empty, and so does `by_input`, [t, in], for the input x and
/// d = dL/dy, [t, out].
inline void add_layer_gradient(linear const& layer, matrix_view<float const> x,
                               matrix_view<float const> d, matrix_view<float> by_weight,
                               matrix_view<float> by_input) {
    input_transform const* const change = layer.input().get();
    detail::rounding_of_inputs const rounding(layer);
    matrix changed, rounded;
    if (change != nullptr) x = (changed = layer.changed_input(x)).view();
    matrix_view<float const> multiplied = x;
    if (rounding.how != nullptr)
        multiplied = (rounded = rounded_activations(x, rounding.scheme, *rounding.how)).view();
    if (by_weight.rows > 0) add_weight_gradient(multiplied, d, by_weight);
    if (by_input.data == nullptr) return;
    matrix decoded;
    matrix const* weight = layer.form().find<matrix>();
    if (auto const* const simulated = layer.form().find<simulated_weight>())
        weight = &simulated->weight;
    if (weight == nullptr) weight = &(decoded = layer.form().floats());
    if (change == nullptr && !rounding.clips())
        return add_input_gradient(weight->view(), d, by_input);
    matrix by_x(x.rows, x.cols);
    add_input_gradient(weight->view(), d, by_x.view());
    if (rounding.clips())
        detail::stop_outside(x, multiplied, rounding.how->grid.scale, by_x.view());
    // The transform is linear, and by rows its transpose is what takes it off a weight.
    if (change != nullptr) by_x = change->weight_without(by_x.view());
    detail::add_to(by_x.view(), by_input);
}

/// Zeros of the shapes of the linear layers of a block or a network, in the order of for_each_linear().
template <typename B>
[[nodiscard]] std::vector<matrix> zero_gradients(B const& block) {
    std::vector<matrix> zeros;
    block.for_each_linear(
        [&](linear const& layer) { zeros.emplace_back(layer.out(), layer.in()); });
    return zeros;
}

}  // namespace qtk
