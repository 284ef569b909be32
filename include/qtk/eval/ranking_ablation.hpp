// SPDX-License-Identifier: Apache-2.0
//
// Is ranking what helps a quantized vision transformer? A controlled comparison: the layers of all blocks get
// steps by four methods that differ in one thing after the other,
//
//   minmax    the largest value decides: plain post-training quantization
//   mse       the range with the least squared error
//   search    the search of model/ranking_search.hpp with gamma = 0
//   ranking   the same search with the ranking loss
//
// with the same images, grids, bias correction and kernels; and every quantized network is run on images that
// nothing was fitted to. Each image's result is kept, so that methods can be compared by paired tests.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/activation_grid.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/layer_steps.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/ranking_search.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/model/vit.hpp>
#include <qtk/range/minmax.hpp>
#include <qtk/range/mse.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

enum class step_method : std::uint8_t { minmax, mse, search, ranking };
inline constexpr std::array all_step_methods{step_method::minmax, step_method::mse,
                                             step_method::search, step_method::ranking};

[[nodiscard]] constexpr std::string_view to_string(step_method method) noexcept {
    constexpr std::array<std::string_view, 4> names{"minmax", "mse", "search", "ranking"};
    return names[static_cast<std::size_t>(method)];
}

/// Steps by one of the methods, for the layers of the blocks of a ViT that holds floats. Ranges are those of
/// all images, a search sees how.images of them. Throws like search_steps().
[[nodiscard]] inline std::vector<layer_steps> steps_by_method(vision_model const& model,
                                                              pixel_rows images, step_method method,
                                                              ranking_options how = {}) {
    if (method == step_method::search) how.gamma = 0.0;
    if (method == step_method::search || method == step_method::ranking)
        return search_steps(model, images, how).layers;
    detail::require_ranking_options(how, images.count());
    auto const* const vit = std::get_if<vision_transformer>(&model.what());
    if (vit == nullptr) throw value_error("ranking ablation: expected a ViT");
    detail::layer_inputs const inputs;
    (void)model.logits(images, inputs);
    std::vector<layer_steps> steps;
    for (vit_block const& block : vit->blocks())
        for (linear const* const layer :
             {&block.qkv(), &block.proj(), &block.fc1(), &block.fc2()}) {
            bool const is_symmetric = layer != &block.fc2() || !how.has_asymmetric_gelu;
            activation_grid const codes = activation_codes(how.input_bits, is_symmetric);
            auto const x = inputs.of(*layer);
            steps.push_back(method == step_method::minmax
                                ? steps_by_range(*layer, x, how.weight_bits, codes, minmax_range{})
                                : steps_by_range(*layer, x, how.weight_bits, codes, mse_range{}));
            if (!how.has_bias_correction) steps.back().mean_input.clear();
        }
    return steps;
}

/// What two networks of one shape make of the same images.
struct attention_agreement {
    matrix logits;                    ///< Of the second one, [images, classes].
    std::vector<attention_fit> fits;  ///< One a block.

    /// Means over the blocks.
    [[nodiscard]] attention_fit mean() const {
        attention_fit sum{.attention = "all"};
        auto const count = static_cast<double>(std::max<std::size_t>(fits.size(), 1));
        for (attention_fit const& fit : fits) {
            sum.correlation += fit.correlation / count;
            sum.ranking_loss += fit.ranking_loss / count;
        }
        return sum;
    }
};

namespace detail {

/// The maps and the outputs of all attentions of some images.
struct attention_watch {
    void operator()(linear const& layer, matrix_view<float const> x) const {
        if (!std::exchange(is_proj_next, false)) return;
        outputs.push_back(float_output(layer, x));
    }
    void attention(vit_attention const& attention, matrix_view<float const> qkv) const {
        names.push_back(attention.name());
        maps.push_back(attention.maps(qkv));
        is_proj_next = true;
    }
    mutable bool is_proj_next = false;
    mutable std::vector<std::string> names;
    mutable std::vector<matrix> maps, outputs;
};

/// Pearson's correlation of pairs that come bit by bit.
struct running_correlation {
    void add(matrix const& before, matrix const& after) noexcept {
        for (std::size_t i = 0; i < before.view().size(); ++i) {
            auto const a = static_cast<double>(before.data()[i]);
            auto const b = static_cast<double>(after.data()[i]);
            n += 1.0, x += a, y += b, xx += a * a, yy += b * b, xy += a * b;
        }
    }
    void add(running_correlation const& more) noexcept {
        n += more.n, x += more.x, y += more.y, xx += more.xx, yy += more.yy, xy += more.xy;
    }
    [[nodiscard]] double value() const noexcept {
        double const a = xx - x * x / n, b = yy - y * y / n;
        return a > 0.0 && b > 0.0 ? (xy - x * y / n) / std::sqrt(a * b) : 0.0;
    }
    double n = 0.0, x = 0.0, y = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
};

}  // namespace detail

/// Compares the attention of two ViTs of one shape, `before` and `after` quantization. Images are shared between
/// threads, which does not change the result. Throws value_error without images or attention, shape_error for
/// images of another size and for networks of two shapes.
[[nodiscard]] inline attention_agreement compare_attention(vision_model const& before,
                                                           vision_model const& after,
                                                           pixel_rows images, double theta = 0.0) {
    if (images.count() == 0) throw value_error("attention: there are no images to compare with");
    struct part {
        matrix logits;
        std::vector<std::string> names;
        std::vector<double> losses;
        std::vector<detail::running_correlation> correlations;
    };
    constexpr std::size_t each = 16, always_worth_threads = std::size_t{1} << 30;
    std::vector<part> parts((images.count() + each - 1) / each);
    single_threaded_blas const one_thread;
    parallel_for(parts.size(), always_worth_threads, [&](std::size_t i) {
        pixel_rows const some = images.slice(i * each, std::min(each, images.count() - i * each));
        detail::attention_watch const exact, found;
        (void)before.logits(some, exact);
        part& to = parts[i];
        to.logits = after.logits(some, found);
        to.names = exact.names;
        if (exact.maps.size() != found.maps.size())
            throw shape_error("attention: the two networks have " +
                              std::to_string(exact.maps.size()) + " and " +
                              std::to_string(found.maps.size()) + " blocks");
        for (std::size_t b = 0; b < exact.maps.size(); ++b) {
            to.losses.push_back(
                static_cast<double>(some.count()) *
                mean_ranking_loss(exact.maps[b].view(), found.maps[b].view(), theta));
            to.correlations.emplace_back().add(exact.outputs[b], found.outputs[b]);
        }
    });
    attention_agreement all{.logits = matrix(images.count(), after.classes()), .fits = {}};
    if (parts.front().names.empty())
        throw value_error("attention: the network has none. Hint: only a ViT has");
    for (std::size_t b = 0; b < parts.front().names.size(); ++b) {
        detail::running_correlation correlation;
        double loss = 0.0;
        for (part const& p : parts) {
            correlation.add(p.correlations[b]);
            loss += p.losses[b];
        }
        all.fits.push_back({parts.front().names[b], correlation.value(),
                            loss / static_cast<double>(images.count())});
    }
    for (std::size_t i = 0; i < parts.size(); ++i)
        std::copy_n(parts[i].logits.data(), parts[i].logits.view().size(),
                    all.logits.view().row(i * each).data());
    return all;
}

struct ranking_ablation_options {
    std::vector<int> bits{8, 6, 4, 3};  ///< Of weights and inputs alike.
    std::vector<step_method> methods{all_step_methods.begin(), all_step_methods.end()};
    ranking_options search = {};  ///< Its bits are those of above in turn.
    step_run run = step_run::packed;
};

struct ranking_ablation_row {
    int bits = 0;
    step_method method = step_method::minmax;
    std::vector<std::uint8_t> is_correct = {};  ///< 1 or 0 for each test image.
    double accuracy = 0.0;
    attention_fit agreement =
        {};  ///< With the float network on the test images, mean over the blocks.
};

/// How many of the test images each method gets right at each width, bits outside, methods inside. `model`
/// holds floats; the patches' layer and the head stay floats. Throws like search_steps(), value_error for
/// another number of labels than test images.
[[nodiscard]] inline std::vector<ranking_ablation_row> ranking_ablation(
    vision_model const& model, pixel_rows calibration, pixel_rows test,
    std::span<std::uint16_t const> labels, ranking_ablation_options const& how = {}) {
    if (labels.size() != test.count() || labels.empty())
        throw value_error("ranking ablation: expected a label for each of " +
                          std::to_string(test.count()) + " images, found " +
                          std::to_string(labels.size()));
    std::vector<ranking_ablation_row> rows;
    for (int const bits : how.bits)
        for (step_method const method : how.methods) {
            ranking_options options = how.search;
            options.weight_bits = options.input_bits = bits;
            vision_model quantized = model;
            set_steps(quantized, steps_by_method(model, calibration, method, options), how.run);
            attention_agreement const seen =
                compare_attention(model, quantized, test, options.theta);
            ranking_ablation_row row;
            row.bits = bits;
            row.method = method;
            row.agreement = seen.mean();
            std::vector<std::size_t> const classes = likeliest_classes(seen.logits.view());
            std::size_t correct = 0;
            for (std::size_t i = 0; i < classes.size(); ++i) {
                row.is_correct.push_back(classes[i] == labels[i] ? 1 : 0);
                correct += row.is_correct.back();
            }
            row.accuracy = static_cast<double>(correct) / static_cast<double>(labels.size());
            rows.push_back(std::move(row));
        }
    return rows;
}

}  // namespace qtk
