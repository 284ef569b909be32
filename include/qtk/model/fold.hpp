// SPDX-License-Identifier: Apache-2.0
//
// Where may a factor for each channel pass from one operation to the next without a change of the
// network? Dividing what produces the channels and multiplying the columns that read them leaves
// every product as it was:
//
//   norm -> layers      weight_c / t_c, bias_c / t_c         W'_{:,c} = W_{:,c} t_c
//   layer -> layers     row c of the weight and bias_c / t_c        the same
//   nothing -> layer    the layer divides its own input (input_transform.hpp)
//
// Between a layer and its consumer may stand what keeps factors: weighted sums of rows (attention),
// products with another branch, max(x, 0). GELU and SiLU do not. SmoothQuant (Xiao et al. 2023,
// section 4) and AWQ (Lin et al. 2024, section 3.2) choose the factors.
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/method/column_scaling.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/input_transform.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/norm.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// One such place in a block; the operations belong to the block.
struct fold {
    std::vector<linear*> consumers;  ///< at least one, all with the same input
    norm* before = nullptr;          ///< what produces the input, if it is a norm
    linear* producer = nullptr;      ///< if it is a layer: its rows from first_row
    std::size_t first_row = 0;
    /// `sharing` heads of `head_dim` columns read one head of channels, as grouped queries do; a head_dim
    /// above 1 says that nothing but sums over rows stands in between.
    std::size_t head_dim = 1, sharing = 1;

    [[nodiscard]] std::size_t columns() const noexcept { return consumers.front()->in(); }
    /// How many factors there are.
    [[nodiscard]] std::size_t channels() const noexcept { return columns() / sharing; }
    /// Whose factor column c takes.
    [[nodiscard]] std::size_t channel_of(std::size_t c) const noexcept {
        return sharing == 1 ? c : c / (head_dim * sharing) * head_dim + c % head_dim;
    }
    /// The same with attention between the producer of values and what reads them.
    [[nodiscard]] fold of_heads(attention_shape const& shape) && {
        head_dim = shape.head_dim, sharing = shape.heads / shape.kv_heads;
        return std::move(*this);
    }
    /// Does an operation before the layers take the factors, so that they cost nothing?
    [[nodiscard]] bool is_free() const noexcept { return before != nullptr || producer != nullptr; }
};

[[nodiscard]] inline fold fold_after(norm& before, std::vector<linear*> consumers) {
    return {.consumers = std::move(consumers), .before = &before};
}
[[nodiscard]] inline fold fold_after(linear& producer, linear& consumer,
                                     std::size_t first_row = 0) {
    return {.consumers = {&consumer}, .producer = &producer, .first_row = first_row};
}
/// For the input of a layer whose factors nothing before it can take.
[[nodiscard]] inline fold fold_inside(linear& consumer) {
    return {.consumers = {&consumer}};
}

/// A block that names its folds, in the order of computation.
template <typename B>
concept foldable_block = requires(B block) {
    block.for_each_fold([](fold const&) {});
};

/// One value for each channel from one for each column: the largest, or the mean, of the columns that
/// share it.
[[nodiscard]] inline std::vector<float> channel_maxima(fold const& at,
                                                       std::span<float const> columns) {
    QTK_EXPECTS(columns.size() == at.columns());
    std::vector<float> of(at.channels(), -std::numeric_limits<float>::infinity());
    for (std::size_t c = 0; c < columns.size(); ++c)
        of[at.channel_of(c)] = std::max(of[at.channel_of(c)], columns[c]);
    return of;
}
[[nodiscard]] inline std::vector<float> channel_means(fold const& at,
                                                      std::span<float const> columns) {
    QTK_EXPECTS(columns.size() == at.columns());
    std::vector<float> of(at.channels());
    for (std::size_t c = 0; c < columns.size(); ++c)
        of[at.channel_of(c)] += columns[c] / static_cast<float>(at.sharing);
    return of;
}
/// The other way: what each column is multiplied by.
[[nodiscard]] inline std::vector<float> column_factors(fold const& at,
                                                       std::span<float const> channels) {
    QTK_EXPECTS(channels.size() == at.channels());
    std::vector<float> of(at.columns());
    for (std::size_t c = 0; c < of.size(); ++c) of[c] = channels[at.channel_of(c)];
    return of;
}

namespace detail {

inline void require_not_rounded(linear const& layer) {
    if (layer.is_quantized() || layer.form().find<simulated_weight>() != nullptr)
        throw value_error(layer.name() +
                          ": the weight is quantized. Hint: change what it multiplies before");
}
inline void require_floats(linear const& layer) {
    require_not_rounded(layer);
    if (layer.input() != nullptr)
        throw value_error(layer.name() + ": the layer changes its input already. Hint: fold first");
}

inline void divide(std::span<float> values, std::span<float const> factors) noexcept {
    for (std::size_t c = 0; c < values.size(); ++c) values[c] /= factors[c];
}

/// Rows [first, first + t.size()) of weight and bias by t.
inline void divide_rows(linear& layer, std::size_t first, std::span<float const> t) {
    matrix w = layer.form().floats();
    for (std::size_t c = 0; c < t.size(); ++c)
        for (float& v : w.view().row(first + c)) v /= t[c];
    layer.set_weight(std::move(w));
    if (layer.bias().empty()) return;
    std::vector<float> bias(layer.bias().begin(), layer.bias().end());
    divide(std::span<float>(bias).subspan(first, t.size()), t);
    layer.set_bias(std::move(bias));
}

inline void require_factors(fold const& at, std::span<float const> t) {
    std::string const& name = at.consumers.front()->name();
    if (t.size() != at.channels())
        throw shape_error(name + ": expected " + std::to_string(at.channels()) +
                          " factors to fold, found " + std::to_string(t.size()));
    for (std::size_t c = 0; c < t.size(); ++c)
        if (!(t[c] > 0.0f && std::isfinite(t[c])))
            throw value_error(name + ": expected positive finite factors, found " +
                              std::to_string(t[c]) + " for channel " + std::to_string(c));
    for (linear const* const layer : at.consumers) require_floats(*layer);
    if (at.producer != nullptr) require_floats(*at.producer);
}

}  // namespace detail

/// Multiplies the columns that read channel c by t[c], and divides what produces it: the block computes
/// the same, up to rounding. Weights become floats. Throws shape_error or value_error for factors that
/// do not fit or are not positive, value_error for layers that are quantized or change their
/// input; nothing is changed then.
inline void apply_fold(fold const& at, std::span<float const> t) {
    detail::require_factors(at, t);
    std::vector<float> const factors = column_factors(at, t);
    for (linear* const layer : at.consumers)
        layer->set_weight(scaled_columns(layer->form().floats().view(), factors));
    if (at.before != nullptr) {
        detail::divide(at.before->weight, t);
        detail::divide(at.before->bias, t);
    } else if (at.producer != nullptr) {
        detail::divide_rows(*at.producer, at.first_row, t);
    } else {
        auto const inside = std::make_shared<input_transform const>(
            at.columns(), input_transform::parts{.factors = reciprocals(factors)});
        for (linear* const layer : at.consumers) layer->set_input(inside);
    }
}

}  // namespace qtk
