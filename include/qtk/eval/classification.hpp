// SPDX-License-Identifier: Apache-2.0
//
// Of how many images does a network say the right class, and how sure is it? For every image on its own,
// so that two networks can be compared in pairs:
//
//   right   is the largest logit that of the label? The first of several counts; NaN is never right
//   loss    -ln softmax(logits)[label], nats, in double
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/stats/summary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// One entry an image, in the order of the images.
struct classification {
    std::vector<std::uint8_t> is_right;  ///< 1 or 0
    std::vector<double> losses;          ///< nats; NaN or infinite where logits are

    [[nodiscard]] std::size_t count() const noexcept { return is_right.size(); }
    [[nodiscard]] std::size_t right() const noexcept {
        return static_cast<std::size_t>(std::ranges::count(is_right, std::uint8_t{1}));
    }
    /// The share of images that are right. Throws value_error where there is no image.
    [[nodiscard]] double accuracy() const {
        if (count() == 0) throw value_error("classification: there is no image");
        return static_cast<double>(right()) / static_cast<double>(count());
    }
    /// Throws value_error where there is no image.
    [[nodiscard]] double mean_loss() const { return mean(losses); }
};

/// ln of the sum of e^v over the logits, in double: -ln softmax(logits)[c] is this less logits[c].
[[nodiscard]] inline double log_sum_exp(std::span<float const> logits) {
    double const top = static_cast<double>(std::ranges::max(logits));
    double sum = 0.0;
    for (float const v : logits) sum += std::exp(static_cast<double>(v) - top);
    return std::log(sum) + top;
}

/// -ln softmax(logits)[label], in double.
[[nodiscard]] inline double cross_entropy(std::span<float const> logits, std::size_t label) {
    return log_sum_exp(logits) - static_cast<double>(logits[label]);
}

/// From logits [images, classes] and a label each. Throws shape_error where there are more or fewer labels,
/// value_error for a label that is no class.
[[nodiscard]] inline classification classify(matrix_view<float const> logits,
                                             std::span<std::uint16_t const> labels) {
    if (labels.size() != logits.rows)
        throw shape_error("classification: expected a label for each of " +
                          std::to_string(logits.rows) + " images, found " +
                          std::to_string(labels.size()));
    classification found;
    for (std::size_t i = 0; i < logits.rows; ++i) {
        std::size_t const label = labels[i];
        if (label >= logits.cols)
            throw value_error("classification: image " + std::to_string(i) + " is of class " +
                              std::to_string(label) + ", but the network knows " +
                              std::to_string(logits.cols) + " classes, counted from 0");
        std::span<float const> const row = logits.row(i);
        bool const has_nan = std::ranges::any_of(row, [](float v) { return std::isnan(v); });
        auto const best = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
        found.is_right.push_back(!has_nan && best == label ? 1 : 0);
        found.losses.push_back(cross_entropy(row, label));
    }
    return found;
}

/// What the network says of these images. Throws also like vision_model::logits().
[[nodiscard]] inline classification classify(vision_model const& model, pixel_rows images,
                                             std::span<std::uint16_t const> labels) {
    return classify(model.logits(images).view(), labels);
}

}  // namespace qtk
