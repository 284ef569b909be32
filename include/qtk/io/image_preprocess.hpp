// SPDX-License-Identifier: Apache-2.0
//
// What does a network see of an image? The usual way of ImageNet's networks: the short side is resized,
// the centre cut out, bytes become numbers, and each channel is shifted and scaled:
//
//   x = (byte * scale - mean[c]) / deviation[c]       NHWC: channels side by side
//
// The resize is bilinear with antialiasing: a triangle whose half width is a pixel of the coarser of the
// two grids, cut off at the border and made to sum to one, first along rows, then along columns. That is
// Pillow's BILINEAR, and torchvision's resize of tensors with antialias = true. Differs: nothing is rounded
// to bytes after either pass (Pillow does after both, which moves a value by less than one).
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/io/image.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// Floats [height, width, channels].
struct image_tensor {
    std::size_t height = 0, width = 0, channels = 0;
    std::vector<float> values;

    [[nodiscard]] float at(std::size_t y, std::size_t x, std::size_t c) const noexcept {
        QTK_EXPECTS(y < height && x < width && c < channels);
        return values[(y * width + x) * channels + c];
    }
};

struct image_transform {
    std::size_t short_side = 0;  ///< After the resize; 0: as it is.
    std::size_t crop = 0;        ///< Side of the square from the centre; 0: everything.
    float scale = 1.0f / 255.0f;
    std::vector<float> mean{0.0f}, deviation{1.0f};  ///< One for all channels, or one for each.
    std::size_t channels = 0;  ///< 3 repeats the channel of a grey image; 0: as many as it has.
};

/// What networks of torchvision and timm were trained with: 256, 224, and the means of ImageNet.
[[nodiscard]] inline image_transform imagenet_transform() {
    return {.short_side = 256,
            .crop = 224,
            .mean = {0.485f, 0.456f, 0.406f},
            .deviation = {0.229f, 0.224f, 0.225f},
            .channels = 3};
}

namespace detail {

/// The samples `first`, first + 1, ... and their weights, which sum to one.
struct resize_taps {
    std::size_t first = 0;
    std::vector<float> weights;
};

/// Where each of `to` samples comes from, of `from`.
[[nodiscard]] inline std::vector<resize_taps> triangle_taps(std::size_t from, std::size_t to) {
    std::vector<resize_taps> taps(to);
    double const ratio = static_cast<double>(from) / static_cast<double>(to);
    double const reach = std::max(ratio, 1.0);
    for (std::size_t i = 0; i < to; ++i) {
        double const centre = (static_cast<double>(i) + 0.5) * ratio;
        auto const first = static_cast<std::size_t>(std::max(centre - reach + 0.5, 0.0));
        auto const last = std::min(static_cast<std::size_t>(centre + reach + 0.5), from);
        taps[i].first = first;
        std::vector<double> weights;
        double sum = 0.0;
        for (std::size_t s = first; s < last; ++s) {
            double const off = std::fabs(static_cast<double>(s) + 0.5 - centre) / reach;
            weights.push_back(std::max(1.0 - off, 0.0));
            sum += weights.back();
        }
        for (double const w : weights) taps[i].weights.push_back(static_cast<float>(w / sum));
    }
    return taps;
}

}  // namespace detail

/// The image in another size, values 0..255. Throws value_error for a size of 0.
[[nodiscard]] inline image_tensor resize_bilinear(image_view from, std::size_t height,
                                                  std::size_t width) {
    if (height == 0 || width == 0 || from.height == 0 || from.width == 0)
        throw value_error("resize_bilinear: an image of " + std::to_string(from.height) + " x " +
                          std::to_string(from.width) + " cannot become " + std::to_string(height) +
                          " x " + std::to_string(width));
    std::size_t const n = from.channels;
    auto const across = detail::triangle_taps(from.width, width);
    auto const down = detail::triangle_taps(from.height, height);
    std::vector<float> narrow(checked_mul(from.height, checked_mul(width, n)));
    for (std::size_t y = 0; y < from.height; ++y)
        for (std::size_t x = 0; x < width; ++x)
            for (std::size_t t = 0; t < across[x].weights.size(); ++t)
                for (std::size_t c = 0; c < n; ++c)
                    narrow[(y * width + x) * n + c] +=
                        across[x].weights[t] *
                        static_cast<float>(
                            from.bytes[(y * from.width + across[x].first + t) * n + c]);
    image_tensor to{height, width, n, std::vector<float>(checked_mul(height, width * n))};
    for (std::size_t y = 0; y < height; ++y)
        for (std::size_t t = 0; t < down[y].weights.size(); ++t) {
            float const* const source = narrow.data() + (down[y].first + t) * width * n;
            float* const row = to.values.data() + y * width * n;
            for (std::size_t i = 0; i < width * n; ++i) row[i] += down[y].weights[t] * source[i];
        }
    return to;
}

/// One image as a network takes it. Throws value_error for a transform that does not fit: a crop larger
/// than the image, means or deviations that are neither one nor one for each channel, a deviation of 0.
[[nodiscard]] inline image_tensor preprocess(image_view from, image_transform const& how) {
    std::size_t height = from.height, width = from.width;
    if (how.short_side > 0 && height > 0 && width > 0) {
        // The long side is truncated, as torchvision has it.
        std::size_t& small = height <= width ? height : width;
        std::size_t& large = height <= width ? width : height;
        large = checked_mul(how.short_side, large) / small;
        small = how.short_side;
    }
    std::size_t const rows = how.crop > 0 ? how.crop : height;
    std::size_t const cols = how.crop > 0 ? how.crop : width;
    if (rows > height || cols > width)
        throw value_error("preprocess: a crop of " + std::to_string(how.crop) +
                          " is larger than the image of " + std::to_string(height) + " x " +
                          std::to_string(width));
    std::size_t const channels = how.channels > 0 ? how.channels : from.channels;
    if (channels != from.channels && from.channels != 1)
        throw value_error("preprocess: " + std::to_string(channels) +
                          " channels were asked for, the image has " +
                          std::to_string(from.channels) + "; only grey can be repeated");
    auto const fits = [&](std::vector<float> const& v) {
        return v.size() == 1 || v.size() == channels;
    };
    if (!fits(how.mean) || !fits(how.deviation) || std::ranges::count(how.deviation, 0.0f) > 0)
        throw value_error("preprocess: expected 1 or " + std::to_string(channels) +
                          " means and deviations other than 0, found " +
                          std::to_string(how.mean.size()) + " and " +
                          std::to_string(how.deviation.size()));
    bool const is_resized = height != from.height || width != from.width;
    image_tensor resized;
    if (is_resized) resized = resize_bilinear(from, height, width);
    auto const half = [](std::size_t room) {
        return (room + (room % 4 == 3 ? 1 : 0)) / 2;  // round(room / 2), half to even: torchvision
    };
    std::size_t const top = half(height - rows), left = half(width - cols);
    image_tensor to{rows, cols, channels, {}};
    to.values.reserve(checked_mul(rows, checked_mul(cols, channels)));
    for (std::size_t y = 0; y < rows; ++y)
        for (std::size_t x = 0; x < cols; ++x)
            for (std::size_t c = 0; c < channels; ++c) {
                std::size_t const source = from.channels == 1 ? 0 : c;
                float const value = is_resized
                                        ? resized.at(top + y, left + x, source)
                                        : static_cast<float>(from.at(top + y, left + x, source));
                float const mean = how.mean[how.mean.size() == 1 ? 0 : c];
                float const deviation = how.deviation[how.deviation.size() == 1 ? 0 : c];
                to.values.push_back((value * how.scale - mean) / deviation);
            }
    return to;
}

/// The images first, first + 1, ... as rows of a matrix, [how_many, height * width * channels].
[[nodiscard]] inline matrix preprocess(labelled_images const& from, std::size_t first,
                                       std::size_t how_many, image_transform const& how) {
    if (first > from.count || how_many > from.count - first)
        throw shape_error("preprocess: " + std::to_string(how_many) + " images from " +
                          std::to_string(first) + " were asked for, but there are " +
                          std::to_string(from.count));
    matrix all;
    for (std::size_t i = 0; i < how_many; ++i) {
        image_tensor const one = preprocess(from.image(first + i), how);
        if (i == 0) all = matrix(how_many, one.values.size());
        std::ranges::copy(one.values, all.view().row(i).begin());
    }
    return all;
}

}  // namespace qtk
