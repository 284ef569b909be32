// SPDX-License-Identifier: Apache-2.0
//
// How is a convolution a linear layer? The windows of an image are laid out as rows (im2col; Chellapilla,
// Puri, Simard 2006) and multiplied with the filters as rows of a weight: every form of a weight, every
// scheme and every packed kernel that a linear layer has serves convolutions too.
//
//   row r                     output pixel r, in the order of image.hpp
//   column (i width + j) in + c   channel c of window pixel (row i, column j); zero outside the image
//
// Files hold filters as [out, in, height, width]; the columns here are [height, width, in], so that a row
// of a window is one run of floats: filters_as_rows() brings weights into that order when they are read.
// Windows exist for a tile of output pixels at a time, about 2 MB.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/activation.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/block.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace qtk {

/// What an output pixel sees of an image: `padding` pixels of zeros lie around it.
struct convolution_window {
    std::size_t height = 1, width = 1, stride = 1, padding = 0;

    /// Of one pixel, where no window has to be laid out.
    [[nodiscard]] bool is_pointwise() const noexcept {
        return height == 1 && width == 1 && stride == 1 && padding == 0;
    }
    /// The output of images of this shape, but for the channels. Throws shape_error where the window does
    /// not fit the image.
    [[nodiscard]] image_shape over(image_shape const& image) const {
        std::size_t const high = checked_add(image.height, 2 * padding),
                          wide = checked_add(image.width, 2 * padding);
        if (stride == 0 || height == 0 || width == 0 || high < height || wide < width)
            throw shape_error("a window of " + std::to_string(height) + " x " +
                              std::to_string(width) + " does not fit an image of " +
                              to_string(image) + " with a padding of " + std::to_string(padding));
        return {(high - height) / stride + 1, (wide - width) / stride + 1, image.channels};
    }
};

/// The filters [out, in, height, width] of a file as a weight [out, height * width * in]. Throws shape_error
/// if there is another number of values.
[[nodiscard]] inline matrix filters_as_rows(std::span<float const> filters, std::size_t out,
                                            std::size_t in, std::size_t height, std::size_t width) {
    std::size_t const seen = checked_mul(height, width), cols = checked_mul(seen, in);
    if (filters.size() != checked_mul(out, cols))
        throw shape_error("filters: expected " + std::to_string(out * cols) + " values, found " +
                          std::to_string(filters.size()));
    matrix weight(out, cols);
    for (std::size_t o = 0; o < out; ++o)
        for (std::size_t c = 0; c < in; ++c)
            for (std::size_t p = 0; p < seen; ++p)
                weight(o, p * in + c) = filters[(o * in + c) * seen + p];
    return weight;
}

/// Rows [first, first + to.rows) of the windows of all images. Throws shape_error if there are not as many,
/// or if they do not have to.cols values.
inline void lay_out_windows(pixel_rows images, convolution_window const& window, std::size_t first,
                            matrix_view<float> to) {
    image_shape const in = images.shape(), out = window.over(in);
    std::size_t const channels = in.channels, run = window.width * channels;
    if (to.cols != window.height * run || first + to.rows > images.count() * out.pixels())
        throw shape_error("windows: expected rows of " + std::to_string(window.height * run) +
                          " values up to " + std::to_string(images.count() * out.pixels()) +
                          ", found " + std::to_string(to.cols) + " up to " +
                          std::to_string(first + to.rows));
    parallel_for(to.rows, to.size(), [&](std::size_t r) {
        std::size_t const pixel = first + r;
        std::size_t const image = pixel / out.pixels(), place = pixel % out.pixels();
        std::size_t const top = place / out.width * window.stride,
                          left = place % out.width * window.stride;
        // Columns [from, end) of the window lie inside the image; counted with the padding, as are
        // `top` and `left`.
        std::size_t const from =
            std::min(window.width, window.padding - std::min(window.padding, left));
        std::size_t const edge = in.width + window.padding;
        std::size_t const end = std::max(from, std::min(window.width, edge - std::min(edge, left)));
        float const* const source = images.pixels().data + image * in.pixels() * channels;
        float* row = to.row(r).data();
        for (std::size_t i = 0; i < window.height; ++i, row += run) {
            std::size_t const y = top + i;
            if (y < window.padding || y >= in.height + window.padding || from == end) {
                std::fill_n(row, run, 0.0f);
                continue;
            }
            float const* const line =
                source +
                ((y - window.padding) * in.width + (left + from - window.padding)) * channels;
            std::fill_n(row, from * channels, 0.0f);
            std::copy_n(line, (end - from) * channels, row + from * channels);
            std::fill_n(row + end * channels, (window.width - end) * channels, 0.0f);
        }
    });
}

/// What happens to the sums of a convolution.
struct convolution_ending {
    bool adds = false;     ///< they are added to what y holds
    bool is_relu = false;  ///< and then, negative values become zero
};

class convolution {
  public:
    convolution() = default;
    /// `layer` has the filters as rows; `channels` are those of the images. Throws shape_error if the layer
    /// has another number of inputs than the window has values.
    convolution(linear layer, convolution_window window, std::size_t channels)
        : layer_(std::move(layer)), window_(window), channels_(channels) {
        std::size_t const needed = checked_mul(checked_mul(window.height, window.width), channels);
        if (layer_.in() != needed)
            throw shape_error(layer_.name() + ": expected filters of " + std::to_string(needed) +
                              " values, found " + std::to_string(layer_.in()));
    }

    [[nodiscard]] linear& layer() noexcept { return layer_; }
    [[nodiscard]] linear const& layer() const noexcept { return layer_; }
    [[nodiscard]] convolution_window const& window() const noexcept { return window_; }

    /// The shape of what the images become. Throws shape_error for images of other channels, or smaller
    /// than the window.
    [[nodiscard]] image_shape output(image_shape const& image) const {
        if (image.channels != channels_)
            throw shape_error(layer_.name() + ": expected images of " + std::to_string(channels_) +
                              " channels, found " + to_string(image));
        image_shape shape = window_.over(image);
        shape.channels = layer_.out();
        return shape;
    }

    /// Windows that are laid out at a time. Depends on the layer alone: what is rounded together, in LLM.int8(),
    /// depends on no number of threads.
    [[nodiscard]] std::size_t rows_of_a_tile() const noexcept {
        constexpr std::size_t floats = std::size_t{1} << 19;
        return std::clamp<std::size_t>(floats / std::max<std::size_t>(layer_.in(), 1), 64, 8192);
    }

    /// y [count * height * width, out] from the images. The observer is called with the windows of every
    /// tile in turn, before the layer is applied to them. Throws like output(), and for another y.
    template <typename Observer = no_observer>
    void apply(pixel_rows images, matrix_view<float> y, convolution_ending end = {},
               Observer const& observe = {}) const {
        std::size_t const rows = checked_mul(images.count(), output(images.shape()).pixels());
        if (y.rows != rows || y.cols != layer_.out())
            throw shape_error(layer_.name() + ": expected an output [" + std::to_string(rows) +
                              ", " + std::to_string(layer_.out()) + "], found [" +
                              std::to_string(y.rows) + ", " + std::to_string(y.cols) + "]");
        std::size_t const tile = rows_of_a_tile();
        matrix windows(window_.is_pointwise() ? 0 : std::min(tile, rows), layer_.in());
        for (std::size_t first = 0; first < rows; first += tile) {
            std::size_t const count = std::min(tile, rows - first);
            matrix_view<float const> x = detail::rows(images.pixels(), first, count);
            if (!window_.is_pointwise()) {
                auto const part = detail::rows(windows.view(), 0, count);
                lay_out_windows(images, window_, first, part);
                x = part;
            }
            finish(x, detail::rows(y, first, count), end, observe);
        }
    }
    /// The same as new images.
    template <typename Observer = no_observer>
    [[nodiscard]] image_batch made_of(pixel_rows images, convolution_ending end = {},
                                      Observer const& observe = {}) const {
        image_batch made(images.count(), output(images.shape()));
        apply(images, made.pixels(), end, observe);
        return made;
    }

  private:
    template <typename Observer>
    void finish(matrix_view<float const> x, matrix_view<float> y, convolution_ending end,
                Observer const& observe) const {
        observe(layer_, x);
        if (end.adds)
            layer_.apply_add(x, y);
        else
            layer_.apply(x, y);
        if (end.is_relu)
            parallel_for(y.rows, y.size() / 4,
                         [&](std::size_t r) { activate(activation::relu, y.row(r)); });
    }

    linear layer_;
    convolution_window window_;
    std::size_t channels_ = 0;
};

}  // namespace qtk
