// SPDX-License-Identifier: Apache-2.0
//
// How does a loss change with the filters and the images of a convolution? Its windows are the rows of a linear
// layer (convolution.hpp), so the filters' gradient is that of the layer, and what a window's gradient says of
// a pixel is added up over all windows that see it (col2im):
//
//   dL/dW = sum over tiles of d^T windows      dL/dimage = windows laid back of d W
//
// Windows exist for a tile of output pixels at a time, as on the way there.
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/convolution.hpp>
#include <qtk/model/gradient_layer.hpp>
#include <qtk/model/image.hpp>

#include <algorithm>
#include <cstddef>

namespace qtk {

namespace detail {
[[nodiscard]] inline image_batch copy_of(pixel_rows images) {
    return {copy_of(images.pixels()), images.shape()};
}
}  // namespace detail

/// The transpose of lay_out_windows(): `by_pixels`, [count * height * width, channels] of images of the
/// shape `in` without gaps, grows by rows [first, first + windows.rows) of all windows. Windows of one image follow each
/// other, so that sums do not depend on the number of threads.
inline void lay_back_windows(matrix_view<float const> windows, convolution_window const& window,
                             std::size_t first, image_shape const& in,
                             matrix_view<float> by_pixels) {
    image_shape const out = window.over(in);
    std::size_t const channels = in.channels, run = window.width * channels, each = out.pixels();
    QTK_EXPECTS(windows.cols == window.height * run && by_pixels.cols == channels);
    QTK_EXPECTS(by_pixels.is_contiguous());
    QTK_EXPECTS((first + windows.rows) * in.pixels() <= by_pixels.rows * each);
    if (windows.rows == 0) return;
    std::size_t const first_image = first / each, end = first + windows.rows;
    parallel_for((end - 1) / each + 1 - first_image, windows.size(), [&](std::size_t i) {
        std::size_t const image = first_image + i;
        std::size_t const stop = std::min(end, (image + 1) * each);
        for (std::size_t pixel = std::max(first, image * each); pixel < stop; ++pixel) {
            std::size_t const place = pixel % each;
            std::size_t const top = place / out.width * window.stride,
                              left = place % out.width * window.stride;
            // Both are counted with the padding.
            std::size_t const from = std::max(left, window.padding),
                              to = std::min(left + window.width, in.width + window.padding);
            if (from >= to) continue;
            for (std::size_t r = 0; r < window.height; ++r) {
                std::size_t const y = top + r;
                if (y < window.padding || y >= in.height + window.padding) continue;
                float const* const source =
                    windows.row(pixel - first).data() + r * run + (from - left) * channels;
                std::size_t const row =
                    (image * in.height + y - window.padding) * in.width + from - window.padding;
                float* const target = by_pixels.data + row * channels;
                for (std::size_t k = 0; k < (to - from) * channels; ++k) target[k] += source[k];
            }
        }
    });
}

/// For d = dL by the sums, [count * height * width of the output, out]: `by_weight`, of the layer's shape,
/// grows unless it is empty, and so does `by_images`, of the shape of the images' pixels. Throws like
/// convolution::output().
inline void add_convolution_gradient(convolution const& layer, pixel_rows images,
                                     matrix_view<float const> d, matrix_view<float> by_weight,
                                     matrix_view<float> by_images) {
    convolution_window const& window = layer.window();
    std::size_t const rows = images.count() * layer.output(images.shape()).pixels();
    QTK_EXPECTS(d.rows == rows && d.cols == layer.layer().out());
    bool const has_input = by_images.data != nullptr;
    QTK_EXPECTS(!has_input ||
                (by_images.rows == images.pixels().rows && by_images.cols == images.pixels().cols));
    std::size_t const tile = layer.rows_of_a_tile(), cols = layer.layer().in();
    bool const is_pointwise = window.is_pointwise();
    matrix windows(is_pointwise ? 0 : std::min(tile, rows), cols);
    for (std::size_t first = 0; first < rows; first += tile) {
        std::size_t const count = std::min(tile, rows - first);
        matrix_view<float const> const by_sums = detail::rows(d, first, count);
        if (is_pointwise) {
            add_layer_gradient(layer.layer(), detail::rows(images.pixels(), first, count), by_sums,
                               by_weight,
                               has_input ? detail::rows(by_images, first, count) : by_images);
            continue;
        }
        auto const part = detail::rows(windows.view(), 0, count);
        lay_out_windows(images, window, first, part);
        matrix by_windows(has_input ? count : 0, cols);
        add_layer_gradient(layer.layer(), part, by_sums, by_weight,
                           has_input ? by_windows.view() : matrix_view<float>{});
        if (has_input)
            lay_back_windows(by_windows.view(), window, first, images.shape(), by_images);
    }
}

}  // namespace qtk
