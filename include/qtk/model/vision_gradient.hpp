// SPDX-License-Identifier: Apache-2.0
//
// How does the loss of a vision network change with its weights, its images and what runs between its parts?
// The loss is the mean over images of -ln p(label).
//
//   by weights   where to go when a network is trained, and how much each layer matters
//   by images    where an attack pushes
//   by outputs   of each part (vision_parts.hpp): squared, the weights of their errors (Fisher) in BRECQ
//
// Images run a few at a time, as many as through the network; their tapes hold the activations of all parts.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/gradient_cross_entropy.hpp>
#include <qtk/model/gradient_layer.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/model/vision_parts.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

struct vision_gradient_options {
    bool has_weights = true, has_outputs = false;
    /// Sums of gradients by weights at the same time, each as large as the network.
    std::size_t lanes = 2;
};

struct vision_gradients {
    double loss = 0.0;
    std::vector<matrix> by_weights;  ///< In the order of for_each_linear(); none if not asked for.
    matrix by_images;                ///< Of the shape of the images' pixels.
    std::vector<matrix>
        by_outputs;  ///< Of each part: by its output's pixels; the last one by the logits.
};

namespace detail {

inline void require_labels(std::span<std::size_t const> labels, std::size_t images,
                           std::size_t classes) {
    if (labels.size() != images || images == 0)
        throw value_error("loss gradients: expected a label for each of " + std::to_string(images) +
                          " images, and at least one, found " + std::to_string(labels.size()));
    for (std::size_t i = 0; i < labels.size(); ++i)
        if (labels[i] >= classes)
            throw value_error("loss gradients: label " + std::to_string(i) + " is " +
                              std::to_string(labels[i]) + ", but the network knows " +
                              std::to_string(classes) + " classes");
}

/// A few images; `factor` is 1 / the count of all. Their loss (a sum), dL by their pixels, and by each output if
/// `by_outputs` is not null; `by_weights` grow unless there are none.
struct image_group_gradients {
    double loss = 0.0;
    matrix by_images;
    std::vector<matrix> by_outputs;

    image_group_gradients(vision_model const& model, pixel_rows images,
                          std::span<std::size_t const> labels, float factor,
                          std::span<matrix> by_weights, bool has_outputs) {
        std::vector<part_tape> tapes;
        tapes.reserve(part_count(model));
        std::vector<std::size_t> first_layers{0};
        for (std::size_t i = 0; i < part_count(model); ++i) {
            tapes.emplace_back(model, i, i == 0 ? images : tapes.back().output().view());
            std::size_t layers = 0;
            for_each_linear_of_part(model, i, [&](linear const&) { ++layers; });
            first_layers.push_back(first_layers.back() + layers);
        }
        matrix by_output = copy_of(tapes.back().output().pixels());
        for (std::size_t n = 0; n < labels.size(); ++n)
            loss += cross_entropy_gradient(by_output.view().row(n), labels[n], factor);
        by_outputs.resize(has_outputs ? tapes.size() : 0);
        for (std::size_t i = tapes.size(); i-- > 0;) {
            std::span<matrix> const of_part =
                by_weights.empty()
                    ? by_weights
                    : by_weights.subspan(first_layers[i], first_layers[i + 1] - first_layers[i]);
            matrix by_input = tapes[i].backward(by_output.view(), of_part);
            if (has_outputs) by_outputs[i] = std::move(by_output);
            by_output = std::move(by_input);
            tapes.pop_back();
        }
        by_images = std::move(by_output);
    }
};

/// One below the other.
[[nodiscard]] inline matrix stacked(std::span<matrix const* const> parts) {
    std::size_t rows = 0;
    for (matrix const* const part : parts) rows += part->rows();
    matrix all(rows, parts.front()->cols());
    float* to = all.data();
    for (matrix const* const part : parts) to = std::copy_n(part->data(), part->view().size(), to);
    return all;
}

}  // namespace detail

/// `labels` are classes, one an image. Throws value_error for another number of labels, or none, or a class that
/// the network does not know; like vision_model::logits(). The result does not depend on the number of threads.
[[nodiscard]] inline vision_gradients vision_loss_gradients(
    vision_model const& model, pixel_rows images, std::span<std::size_t const> labels,
    vision_gradient_options const& options = {}) {
    std::size_t const count = images.count();
    detail::require_labels(labels, count, model.classes());
    // Groups are small enough that every lane has one, where there are so many images.
    std::size_t const lanes = std::clamp<std::size_t>(options.lanes, 1, count);
    std::size_t const each =
        std::min(vision_model::images_at_once(images.shape()), div_ceil(count, lanes));
    std::size_t const groups = div_ceil(count, each);
    single_threaded_blas const one_thread;
    std::vector<std::vector<matrix>> sums(lanes);
    std::vector<std::vector<detail::image_group_gradients>> done(lanes);
    constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
    parallel_for(lanes, always_worth_threads, [&](std::size_t lane) {
        if (options.has_weights) sums[lane] = zero_gradients(model);
        for (std::size_t g = lane; g < groups; g += lanes) {
            std::size_t const first = g * each, some = std::min(each, count - first);
            done[lane].emplace_back(model, images.slice(first, some), labels.subspan(first, some),
                                    1.0f / static_cast<float>(count), sums[lane],
                                    options.has_outputs);
        }
    });
    vision_gradients result;
    std::vector<matrix const*> in_order(groups);
    auto const stack = [&](auto const& part) {
        for (std::size_t g = 0; g < groups; ++g) in_order[g] = &part(done[g % lanes][g / lanes]);
        return detail::stacked(in_order);
    };
    for (std::size_t g = 0; g < groups; ++g) result.loss += done[g % lanes][g / lanes].loss;
    result.loss /= static_cast<double>(count);
    using group = detail::image_group_gradients;
    result.by_images = stack([](group const& d) -> matrix const& { return d.by_images; });
    if (options.has_outputs)
        for (std::size_t i = 0; i < part_count(model); ++i)
            result.by_outputs.push_back(
                stack([i](group const& d) -> matrix const& { return d.by_outputs[i]; }));
    for (std::size_t lane = 1; lane < lanes; ++lane)
        for (std::size_t i = 0; i < sums[0].size(); ++i)
            detail::add_to(sums[lane][i].view(), sums[0][i]);
    result.by_weights = std::move(sums[0]);
    return result;
}

}  // namespace qtk
