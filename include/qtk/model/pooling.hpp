// SPDX-License-Identifier: Apache-2.0
//
// How does an image become smaller without weights? By the largest value of a window, channel by channel,
// or by the mean of all its pixels. Padding never wins: pixels outside the image are not looked at.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/convolution.hpp>
#include <qtk/model/image.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace qtk {

/// The largest value of each window and channel. Throws shape_error where the window does not fit the
/// image, or where it could see nothing of it: with a padding as large as the window.
[[nodiscard]] inline image_batch max_pool(pixel_rows images, convolution_window const& window) {
    image_shape const in = images.shape(), out = window.over(in);
    if (window.padding >= std::min(window.height, window.width))
        throw shape_error("max_pool: expected a padding below the window's sides, found " +
                          std::to_string(window.padding));
    image_batch pooled(images.count(), out);
    std::size_t const lines = images.count() * out.height, pad = window.padding;
    parallel_for(lines, images.pixels().size(), [&](std::size_t line) {
        std::size_t const image = line / out.height, top = line % out.height * window.stride;
        for (std::size_t x = 0; x < out.width; ++x) {
            std::size_t const left = x * window.stride;
            std::span<float> const largest = pooled.pixels().row(line * out.width + x);
            bool is_first = true;
            for (std::size_t i = std::max(top, pad);
                 i < std::min(top + window.height, in.height + pad); ++i)
                for (std::size_t j = std::max(left, pad);
                     j < std::min(left + window.width, in.width + pad); ++j) {
                    float const* const pixel =
                        images.pixels()
                            .row((image * in.height + i - pad) * in.width + j - pad)
                            .data();
                    // What is no number wins, and stays.
                    for (std::size_t c = 0; c < largest.size(); ++c)
                        if (is_first || pixel[c] > largest[c] || std::isnan(pixel[c]))
                            largest[c] = pixel[c];
                    is_first = false;
                }
        }
    });
    return pooled;
}

/// The mean of all pixels of each image, [count, channels]; sums in double precision.
[[nodiscard]] inline matrix mean_of_pixels(pixel_rows images) {
    std::size_t const pixels = images.shape().pixels(), channels = images.shape().channels;
    matrix means(images.count(), channels);
    parallel_for(images.count(), images.pixels().size(), [&](std::size_t n) {
        std::vector<double> sums(channels);
        for (std::size_t p = 0; p < pixels; ++p) {
            std::span<float const> const pixel = images.pixels().row(n * pixels + p);
            for (std::size_t c = 0; c < channels; ++c) sums[c] += static_cast<double>(pixel[c]);
        }
        for (std::size_t c = 0; c < channels; ++c)
            means(n, c) = static_cast<float>(sums[c] / static_cast<double>(pixels));
    });
    return means;
}

}  // namespace qtk
