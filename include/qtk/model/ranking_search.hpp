// SPDX-License-Identifier: Apache-2.0
//
// Which steps keep what attention prefers? The ranking-aware search of Liu et al. 2021 ("Post-Training
// Quantization for Vision Transformer", sections 4.1 and 4.2), for the layers of a ViT's blocks:
//
//   attention   Pearson(O, O') - gamma L,  O the output of proj, A the maps that qkv's output makes
//   fc1, fc2    Pearson(O, O')             O the layer's own output
//
// In turn s_w and s_x of qkv, then of proj, go through C candidates [alpha, beta] * max / 2^(B-1); the best
// stays; `rounds` times, or until nothing changes. The search starts at the min-max steps, which stay
// where no candidate is better. With gamma = 0 it is the same search without ranking: the control.
//
// Differs from the paper: L is divided by its number of pairs, so that gamma does not depend on the
// number of images, heads and patches; theta = 0 by default, which counts inverted pairs alone, by how much; all
// inputs are those of the float network; inputs of fc2, which GELU made, may have asymmetric codes, whose
// candidates are [alpha, beta] * (max - min) / 2^B.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/format.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/method/lsq.hpp>
#include <qtk/method/ranking_loss.hpp>
#include <qtk/model/activation_grid.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/layer_steps.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/model/vit.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

struct ranking_options {
    int weight_bits = 4, input_bits = 4;  ///< 2 to 8.
    double gamma = 25.0;                  ///< Of the loss per pair; 0: no ranking.
    double theta = 0.0;                   ///< The margin that a pair has to keep.
    int candidates = 20;
    float alpha = 0.5f, beta = 1.2f;
    int rounds = 3;
    std::size_t images = 32;      ///< The first ones decide; means are of these, too.
    std::size_t map_rows = 2048;  ///< Rows of attention maps that L is computed from, evenly drawn.
    bool has_asymmetric_gelu = true;
    bool has_bias_correction = true;
};

/// How well an attention agrees with the float one on the images of the search.
struct attention_fit {
    std::string attention;
    double correlation = 0.0;   ///< Pearson(O, O').
    double ranking_loss = 0.0;  ///< L per pair.
};

struct ranking_result {
    std::vector<layer_steps> layers;        ///< Four a block, in the order of computation.
    std::vector<attention_fit> attentions;  ///< One a block.
};

/// L per pair of two attention maps [rows, cols]; 0 where there are no pairs. Throws shape_error.
[[nodiscard]] inline double mean_ranking_loss(matrix_view<float const> before,
                                              matrix_view<float const> after, double theta) {
    double const loss = ranking_loss(before, after, theta);
    auto const cols = static_cast<double>(before.cols);
    double const pairs = static_cast<double>(before.rows) * cols * (cols - 1.0) / 2.0;
    return pairs > 0.0 ? loss / pairs : 0.0;
}

namespace detail {

/// All inputs of the layers that images show, by layer.
class layer_inputs {
  public:
    void operator()(linear const& layer, matrix_view<float const> x) const {
        auto at = std::ranges::find(seen_, &layer, &entry::layer);
        if (at == seen_.end()) at = seen_.insert(at, entry{&layer, {}});
        for (std::size_t r = 0; r < x.rows; ++r)
            at->values.insert(at->values.end(), x.row(r).begin(), x.row(r).end());
    }
    [[nodiscard]] matrix_view<float const> of(linear const& layer) const {
        auto const at = std::ranges::find(seen_, &layer, &entry::layer);
        return {at->values.data(), at->values.size() / layer.in(), layer.in()};
    }

  private:
    struct entry {
        linear const* layer;
        std::vector<float> values;
    };
    mutable std::vector<entry> seen_;
};

/// A layer whose steps are tried.
class searched_layer {
  public:
    enum class operand : std::uint8_t { weight, input };

    searched_layer(linear const& layer, matrix_view<float const> x, ranking_options const& how,
                   bool is_symmetric)
        : layer_(&layer),
          steps_(steps_by_range(layer, x, how.weight_bits,
                                activation_codes(how.input_bits, is_symmetric))),
          weight_(layer.out(), layer.in()) {
        if (!how.has_bias_correction) steps_.mean_input.clear();
        float largest = 0.0f;
        for (float const w : layer.weight().view().flat())
            largest = std::max(largest, std::fabs(w));
        weight_candidates_ = candidates(largest, how.weight_bits, how);
        for (std::size_t r = 0; r < x.rows; ++r) {
            interval const row = minmax_range{}.estimate(x.row(r));
            range_.lowest = std::min(range_.lowest, row.lowest);
            range_.highest = std::max(range_.highest, row.highest);
        }
        float const half = is_symmetric ? std::max(-range_.lowest, range_.highest)
                                        : (range_.highest - range_.lowest) / 2.0f;
        input_candidates_ = candidates(half, how.input_bits, how);
        set(operand::weight, steps_.weight_step);
    }

    [[nodiscard]] layer_steps const& steps() const noexcept { return steps_; }
    [[nodiscard]] std::span<float const> candidates_of(operand which) const noexcept {
        return which == operand::weight ? weight_candidates_ : input_candidates_;
    }
    /// Of the weight or the inputs.
    [[nodiscard]] float step(operand which) const noexcept {
        return which == operand::weight ? steps_.weight_step : steps_.input.scale;
    }
    void set(operand which, float step) {
        if (which == operand::weight) {
            steps_.weight_step = step;
            lsq_forward(layer_->weight().view(), std::array{step},
                        lsq_levels_of(format{.bits = steps_.weight_bits}), weight_.view());
            return;
        }
        activation_grid& grid = steps_.input;
        grid.scale = step;
        if (grid.is_symmetric()) return;
        int const count = grid.highest - grid.lowest;
        float const first = std::round(range_.lowest / step);
        grid.lowest = static_cast<std::int16_t>(std::max(first, static_cast<float>(-count)));
        grid.highest = static_cast<std::int16_t>(grid.lowest + count);
    }
    /// What the layer gives for x [n, in] with its steps, [n, out]; the bias is not corrected.
    [[nodiscard]] matrix output(matrix_view<float const> x) const {
        matrix rounded(x.rows, x.cols), y(x.rows, layer_->out());
        for (std::size_t r = 0; r < x.rows; ++r) {
            auto const from = x.row(r);
            auto const to = rounded.view().row(r);
            for (std::size_t i = 0; i < from.size(); ++i) to[i] = steps_.input.round_trip(from[i]);
        }
        matmul(rounded.view(), weight_.view(), y.view());
        auto const bias = layer_->bias();
        for (std::size_t r = 0; r < y.rows(); ++r)
            for (std::size_t i = 0; i < bias.size(); ++i) y(r, i) += bias[i];
        return y;
    }
    /// The step with the best score() of all candidates and the one it has; returns the score.
    template <typename Score>
    double improve(operand which, double best, Score const& score) {
        float kept = step(which);
        for (float const candidate : candidates_of(which)) {
            set(which, candidate);
            if (double const now = score(); now > best) {
                best = now;
                kept = candidate;
            }
        }
        set(which, kept);
        return best;
    }

  private:
    [[nodiscard]] static std::vector<float> candidates(float largest, int bits,
                                                       ranking_options const& how) {
        std::vector<float> steps =
            step_candidates(largest, bits, how.candidates, how.alpha, how.beta);
        if (!(steps.front() > 0.0f)) steps.clear();  // nothing but zeros: any step will do
        return steps;
    }

    linear const* layer_;
    layer_steps steps_;
    matrix weight_;
    interval range_;
    std::vector<float> weight_candidates_, input_candidates_;
};

/// Both steps of each layer in turn, until nothing changes; score(i) is for layers that have changed from
/// the i-th on.
template <typename Score>
double search_in_turn(std::span<searched_layer* const> layers, int rounds, Score const& score) {
    using enum searched_layer::operand;
    double best = score(std::size_t{0});
    for (int round = 0; round < rounds; ++round) {
        double const before = best;
        for (std::size_t i = 0; i < layers.size(); ++i)
            for (auto const which : {weight, input}) {
                best = layers[i]->improve(which, best, [&] { return score(i); });
                // What later layers are scored with is that of the steps that were kept.
                (void)score(i);
            }
        if (!(best > before)) break;
    }
    return best;
}

[[nodiscard]] inline matrix float_output(linear const& layer, matrix_view<float const> x) {
    matrix y(x.rows, layer.out());
    layer.apply(x, y.view());
    return y;
}

/// At most `most` rows, evenly drawn.
[[nodiscard]] inline matrix some_rows(matrix const& all, std::size_t most) {
    std::size_t const count = std::min(most, all.rows());
    matrix some(count, all.cols());
    for (std::size_t r = 0; r < count; ++r)
        std::ranges::copy(all.view().row(r * all.rows() / count), some.view().row(r).begin());
    return some;
}

/// The steps of one block.
[[nodiscard]] inline std::pair<std::array<layer_steps, 4>, attention_fit> search_block(
    vit_block const& block, layer_inputs const& inputs, ranking_options const& how) {
    searched_layer qkv(block.qkv(), inputs.of(block.qkv()), how, true),
        proj(block.proj(), inputs.of(block.proj()), how, true),
        fc1(block.fc1(), inputs.of(block.fc1()), how, true),
        fc2(block.fc2(), inputs.of(block.fc2()), how, !how.has_asymmetric_gelu);
    vit_attention const& attention = block.attention();
    auto const x = inputs.of(block.qkv());
    matrix const exact_maps =
        some_rows(attention.maps(float_output(block.qkv(), x).view()), how.map_rows);
    matrix const exact = float_output(block.proj(), inputs.of(block.proj()));
    attention_fit fit{.attention = attention.name()};
    matrix attended(x.rows, block.proj().in());
    auto const score = [&](std::size_t from) {
        if (from == 0) {
            matrix const parts = qkv.output(x);
            attention.apply(parts.view(), attended.view());
            fit.ranking_loss = mean_ranking_loss(
                exact_maps.view(), some_rows(attention.maps(parts.view()), how.map_rows).view(),
                how.theta);
        }
        fit.correlation = output_correlation(exact.view(), proj.output(attended.view()).view());
        return ranking_objective(fit.correlation, fit.ranking_loss, how.gamma);
    };
    search_in_turn(std::array{&qkv, &proj}, how.rounds, score);
    (void)score(0);
    auto const search_alone = [&](auto& searched, auto const& layer) {
        auto const seen = inputs.of(layer);
        matrix const made = float_output(layer, seen);
        search_in_turn(std::array{&searched}, how.rounds, [&](std::size_t) {
            return output_correlation(made.view(), searched.output(seen).view());
        });
    };
    search_alone(fc1, block.fc1());
    search_alone(fc2, block.fc2());
    return {{qkv.steps(), proj.steps(), fc1.steps(), fc2.steps()}, fit};
}

inline void require_ranking_options(ranking_options const& how, std::size_t images) {
    if (images == 0) throw value_error("ranking search: there are no images");
    if (how.images == 0 || how.map_rows == 0 || how.rounds < 0 || !(how.gamma >= 0.0) ||
        !(how.theta >= 0.0))
        throw value_error(
            "ranking search: expected at least one image and row, and rounds, gamma and theta of "
            "0 or more");
    for (int const bits : {how.weight_bits, how.input_bits})
        if (bits < 2 || bits > 8)
            throw value_error("ranking search: expected 2 to 8 bits, found " +
                              std::to_string(bits));
}

}  // namespace detail

/// Steps for all layers of the blocks of a ViT that holds floats; the patches' layer and the head stay out.
/// Blocks are shared between threads, which does not change the result. Throws value_error for another
/// network, without images, and for options that make no sense.
[[nodiscard]] inline ranking_result search_steps(vision_model const& model, pixel_rows images,
                                                 ranking_options const& how = {}) {
    detail::require_ranking_options(how, images.count());
    auto const* const vit = std::get_if<vision_transformer>(&model.what());
    if (vit == nullptr)
        throw value_error("ranking search: expected a ViT, whose attention has a ranking");
    detail::layer_inputs const inputs;
    (void)model.logits(images.slice(0, std::min(how.images, images.count())), inputs);
    std::span<vit_block const> const blocks = vit->blocks();
    std::vector<std::pair<std::array<layer_steps, 4>, attention_fit>> found(blocks.size());
    single_threaded_blas const one_thread;
    constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
    parallel_for(blocks.size(), always_worth_threads,
                 [&](std::size_t i) { found[i] = detail::search_block(blocks[i], inputs, how); });
    ranking_result result;
    for (auto& [steps, fit] : found) {
        std::ranges::move(steps, std::back_inserter(result.layers));
        result.attentions.push_back(std::move(fit));
    }
    return result;
}

}  // namespace qtk
