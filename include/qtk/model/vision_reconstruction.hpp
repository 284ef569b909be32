// SPDX-License-Identifier: Apache-2.0
//
// Which codes change what a vision network says least? BRECQ (Li et al. 2021) on networks of images: part by
// part (vision_parts.hpp), the layers of a residual block or a transformer block are learned together, the stem
// and the head each alone.
//
//   inputs      what the quantized parts before make of the calibration images, activations rounded
//   targets     what the float network's part makes of what its own parts before made
//   importance  1, or squared gradients of the float network's loss by the part's output (Fisher)
//
//   auto const soft = [](linear const& layer, matrix_view<float const> w) {
//       return std::optional<soft_rounding>(std::in_place, scheme, w, quantize_options{});
//   };
//   auto const made = reconstruct_vision_model(model, images, soft);
//   set_codes(model, made.weights);
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/method/layer_reconstruction.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/block_reconstruction.hpp>
#include <qtk/model/gradient_layer.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/rounded_activations.hpp>
#include <qtk/model/vision_gradient.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/model/vision_parts.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

struct vision_reconstruction_options {
    block_reconstruction_options block{.steps = 300, .batch = 8, .checks = 6};
    std::size_t images_of_a_window = 4;  ///< That run together; a step draws block.batch windows.
    bool is_fisher = false;              ///< Weigh errors by squared gradients of the loss.
};

/// What became of one part; the losses are per value of its output, weighed if Fisher is used.
struct part_report {
    std::string name;
    reconstruction_report loss;
};

struct reconstructed_network {
    /// In the order of for_each_linear(); nothing for layers that stay floats.
    std::vector<std::optional<any_qmatrix>> weights;
    std::vector<part_report> parts;
};

/// The layers of `model` become these codes, in the order of for_each_linear(), and run with `activations`, or
/// with floats where there are none. Layers without codes stay as they are. Throws value_error for other numbers
/// of layers, shape_error for codes of another shape.
inline void set_codes(vision_model& model, std::vector<std::optional<any_qmatrix>> codes,
                      std::span<layer_activations const> activations = {}) {
    std::size_t layers = 0, i = 0;
    model.for_each_linear([&](linear const&) { ++layers; });
    if (codes.size() != layers || (!activations.empty() && activations.size() != layers))
        throw value_error("vision model: expected codes, and activations if any, of " +
                          std::to_string(layers) + " layers, found " +
                          std::to_string(codes.size()) + " and " +
                          std::to_string(activations.size()));
    model.for_each_linear([&](linear& layer) {
        std::size_t const at = i++;
        if (!codes[at]) return;
        layer.set_weight(*std::move(codes[at]));
        if (!activations.empty() && activations[at].type != activation_type::f32)
            layer.simulate(activations[at]);
    });
}

namespace detail {

/// A part of a network as a block whose windows are images of that shape.
struct image_block {
    vision_model* model;
    std::size_t part;
    image_shape shape, made;

    template <typename F>
    void for_each_linear(F&& f) {
        for_each_linear_of_part(*model, part, f);
    }
    template <typename F>
    void for_each_linear(F&& f) const {
        for_each_linear_of_part(std::as_const(*model), part, f);
    }
    [[nodiscard]] pixel_rows images(matrix const& x) const { return {x.view(), shape}; }
};

/// A tape whose output is a matrix of pixels.
struct image_block_run {
    part_tape tape;

    [[nodiscard]] matrix_view<float const> output() const { return tape.output().pixels(); }
    [[nodiscard]] matrix backward(matrix_view<float const> d, std::span<matrix> by_weights) const {
        return tape.backward(d, by_weights);
    }
};

[[nodiscard]] inline matrix block_output(image_block const& block, matrix const& x) {
    return copy_of(run_part(*block.model, block.part, block.images(x)).pixels());
}
[[nodiscard]] inline std::array<std::size_t, 2> block_shape(image_block const& block,
                                                            matrix const& x) {
    return {block.images(x).count() * block.made.pixels(), block.made.channels};
}
[[nodiscard]] inline image_block_run block_run(image_block const& block, matrix const& x) {
    return {part_tape(*block.model, block.part, block.images(x))};
}
static_assert(reconstructible_block<image_block>);

/// Images of one shape, a window of them a matrix.
struct image_windows {
    image_shape shape;
    std::vector<matrix> windows;

    image_windows(pixel_rows images, std::size_t each) : shape(images.shape()) {
        for (std::size_t first = 0; first < images.count(); first += each)
            windows.push_back(
                copy_of(images.slice(first, std::min(each, images.count() - first)).pixels()));
    }
    /// They become what a part makes of them.
    void run(vision_model const& model, std::size_t part) {
        constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
        single_threaded_blas const one_thread;
        std::vector<image_shape> shapes(windows.size());
        parallel_for(windows.size(), always_worth_threads, [&](std::size_t w) {
            image_batch const y = run_part(model, part, {windows[w].view(), shape});
            shapes[w] = y.shape();
            windows[w] = copy_of(y.pixels());
        });
        shape = shapes.front();
    }
};

/// Squared gradients of the loss by the outputs of each part, in windows of so many images.
[[nodiscard]] inline std::vector<std::vector<matrix>> fisher_of_parts(
    vision_model const& model, pixel_rows images, std::span<std::size_t const> labels,
    std::size_t each) {
    vision_gradients const by =
        vision_loss_gradients(model, images, labels, {.has_weights = false, .has_outputs = true});
    std::vector<std::vector<matrix>> fisher(by.by_outputs.size());
    for (std::size_t i = 0; i < fisher.size(); ++i) {
        matrix const& all = by.by_outputs[i];
        std::size_t const rows_of_one = all.rows() / images.count();
        double sum = 0.0;
        for (float const g : all.view().flat())
            sum += static_cast<double>(g) * static_cast<double>(g);
        // A mean of 1 keeps small gradients of a sure network away from the least floats.
        double const scale = sum > 0.0 ? static_cast<double>(all.view().size()) / sum : 1.0;
        for (std::size_t first = 0; first < all.rows(); first += each * rows_of_one) {
            std::size_t const count = std::min(each * rows_of_one, all.rows() - first);
            fisher[i].push_back(copy_of(rows(all.view(), first, count)));
            for (float& g : fisher[i].back().view().flat())
                g = static_cast<float>(scale * static_cast<double>(g) * static_cast<double>(g));
        }
    }
    return fisher;
}

}  // namespace detail

/// Codes of the layers of `model`, which holds floats, for which make(layer, weight) gives a learned quantization
/// (layer_learner). `activations` are those of each layer in the order of for_each_linear(), already calibrated,
/// or none; attention rounds while weights learn as `model` says, and not in the targets. For Fisher, `labels` are the classes of the images; none: what the float network itself says of them.
/// Throws value_error for no images, or other numbers of labels or activations than of images or layers, and
/// what `make` throws. The same codes for any number of threads.
/// Memory: what runs between two parts twice, for all images; with Fisher, what runs between all parts; and
/// what reconstruct_block() needs.
template <layer_learner Make>
[[nodiscard]] reconstructed_network reconstruct_vision_model(
    vision_model const& model, pixel_rows images, Make const& make,
    vision_reconstruction_options const& options = {},
    std::span<layer_activations const> activations = {}, std::span<std::size_t const> labels = {}) {
    if (images.count() == 0)
        throw value_error("vision reconstruction: expected at least one image");
    std::size_t layers = 0;
    model.for_each_linear([&](linear const&) { ++layers; });
    if (!activations.empty() && activations.size() != layers)
        throw value_error("vision reconstruction: expected the activations of " +
                          std::to_string(layers) + " layers, found " +
                          std::to_string(activations.size()));
    std::size_t const each = std::max<std::size_t>(options.images_of_a_window, 1);
    vision_model floats = model, changed = model;
    floats.for_each_attention([](vit_attention& attention) { attention.set_rounding({}); });
    std::vector<std::vector<matrix>> fisher(part_count(model));
    if (options.is_fisher) {
        std::vector<std::size_t> const own = labels.empty()
                                                 ? likeliest_classes(floats.logits(images).view())
                                                 : std::vector<std::size_t>{};
        fisher = detail::fisher_of_parts(floats, images, labels.empty() ? own : labels, each);
    }
    reconstructed_network result;
    detail::image_windows inputs(images, each), targets = inputs;
    for (std::size_t part = 0; part < part_count(model); ++part) {
        std::size_t const first = result.weights.size();
        std::size_t of_part = 0;
        for_each_linear_of_part(model, part, [&](linear const&) { ++of_part; });
        targets.run(floats, part);
        detail::image_block block{&changed, part, inputs.shape, targets.shape};
        auto const rounded =
            activations.empty() ? activations : activations.subspan(first, of_part);
        result.parts.push_back(
            {part_name(model, part),
             reconstruct_block(block, {inputs.windows, targets.windows, fisher[part]}, make,
                               options.block, rounded)});
        block.for_each_linear([&](linear& layer) {
            any_qmatrix const* const codes = layer.form().template find<any_qmatrix>();
            result.weights.push_back(codes != nullptr ? std::optional(*codes) : std::nullopt);
            if (codes == nullptr || rounded.empty()) return;
            layer_activations const& how = rounded[result.weights.size() - 1 - first];
            if (how.type != activation_type::f32) layer.simulate(how);
        });
        inputs.run(changed, part);
    }
    return result;
}

}  // namespace qtk
