// SPDX-License-Identifier: Apache-2.0
//
// How does a loss change with the images that a pool made smaller? Through the pixel that was the largest of
// its window (the first of several, the one that max_pool() takes), or through all pixels alike:
//
//   max   dL/dx_p = sum of d over the windows in which p is the largest
//   mean  dL/dx_p = d / pixels
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/convolution.hpp>
#include <qtk/model/image.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace qtk {

/// dL by the pixels of `images` for d = dL by those of max_pool(images, window). Throws shape_error where the
/// window does not fit the image.
[[nodiscard]] inline matrix max_pool_gradient(pixel_rows images, convolution_window const& window,
                                              matrix_view<float const> d) {
    image_shape const in = images.shape(), out = window.over(in);
    QTK_EXPECTS(d.rows == images.count() * out.pixels() && d.cols == in.channels);
    matrix by_pixels(images.pixels().rows, in.channels);
    std::size_t const pad = window.padding;
    parallel_for(images.count(), images.pixels().size(), [&](std::size_t n) {
        for (std::size_t place = 0; place < out.pixels(); ++place) {
            std::size_t const top = place / out.width * window.stride,
                              left = place % out.width * window.stride;
            for (std::size_t c = 0; c < in.channels; ++c) {
                std::size_t largest = by_pixels.rows();  // none yet
                for (std::size_t i = std::max(top, pad);
                     i < std::min(top + window.height, in.height + pad); ++i)
                    for (std::size_t j = std::max(left, pad);
                         j < std::min(left + window.width, in.width + pad); ++j) {
                        std::size_t const p = (n * in.height + i - pad) * in.width + j - pad;
                        float const v = images.pixels()(p, c);
                        if (largest == by_pixels.rows() || v > images.pixels()(largest, c) ||
                            std::isnan(v))
                            largest = p;
                    }
                if (largest < by_pixels.rows())
                    by_pixels(largest, c) += d(n * out.pixels() + place, c);
            }
        }
    });
    return by_pixels;
}

/// dL by the pixels of images of that shape for d = dL by their means, [count, channels].
[[nodiscard]] inline matrix mean_of_pixels_gradient(image_shape const& shape,
                                                    matrix_view<float const> d) {
    QTK_EXPECTS(d.cols == shape.channels);
    matrix by_pixels(d.rows * shape.pixels(), d.cols);
    float const share = 1.0f / static_cast<float>(shape.pixels());
    for (std::size_t p = 0; p < by_pixels.rows(); ++p)
        for (std::size_t c = 0; c < d.cols; ++c) by_pixels(p, c) = share * d(p / shape.pixels(), c);
    return by_pixels;
}

}  // namespace qtk
