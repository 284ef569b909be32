// SPDX-License-Identifier: Apache-2.0
//
// How do images lie in memory? Pixel by pixel, every pixel with all its channels (NHWC): a batch is a
// matrix whose rows are pixels and whose columns are channels, so that a convolution of 1 x 1 is a linear
// layer as it stands.
//
//   row (n height + y) width + x   pixel (x, y) of image n, y counted from the top
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// Of one image, or of what a layer makes of it.
struct image_shape {
    std::size_t height = 0, width = 0, channels = 0;

    [[nodiscard]] std::size_t pixels() const { return checked_mul(height, width); }
    friend bool operator==(image_shape const&, image_shape const&) = default;
};

/// height x width x channels: "224 x 224 x 3".
[[nodiscard]] inline std::string to_string(image_shape const& shape) {
    return std::to_string(shape.height) + " x " + std::to_string(shape.width) + " x " +
           std::to_string(shape.channels);
}

/// Images of one shape that somebody else holds; perhaps none.
class pixel_rows {
  public:
    /// `pixels` is [count * height * width, channels] without gaps between rows. Throws shape_error
    /// if it is not, or if a side of the shape is zero.
    pixel_rows(matrix_view<float const> pixels, image_shape shape)
        : pixels_(pixels), shape_(shape) {
        if (shape.pixels() == 0 || shape.channels == 0)
            throw shape_error("images: expected at least one pixel and channel, found " +
                              to_string(shape));
        if (pixels.cols != shape.channels || pixels.rows % shape.pixels() != 0)
            throw shape_error("images: expected rows of whole images of " + to_string(shape) +
                              ", found [" + std::to_string(pixels.rows) + ", " +
                              std::to_string(pixels.cols) + "]");
        if (!pixels.is_contiguous()) throw shape_error("images: expected pixels without gaps");
    }

    [[nodiscard]] matrix_view<float const> pixels() const noexcept { return pixels_; }
    [[nodiscard]] image_shape const& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t count() const { return pixels_.rows / shape_.pixels(); }

    /// Images [first, first + count); throws shape_error if there are not as many.
    [[nodiscard]] pixel_rows slice(std::size_t first, std::size_t number) const {
        if (first > count() || number > count() - first)
            throw shape_error("images: expected images " + std::to_string(first) + " to " +
                              std::to_string(first + number) + " of " + std::to_string(count()));
        std::size_t const each = shape_.pixels();
        return {matrix_view<float const>(pixels_.data + first * each * pixels_.cols, number * each,
                                         pixels_.cols),
                shape_};
    }

  private:
    matrix_view<float const> pixels_;
    image_shape shape_;
};

/// How bytes become the floats that a network was trained on: (byte / divisor - mean) / deviation, with a
/// mean and a deviation for each channel, or none.
struct pixel_scaling {
    float divisor = 255.0f;
    std::vector<float> mean = {}, deviation = {};
};

/// Images that own their floats.
class image_batch {
  public:
    /// Zeros. Throws like pixel_rows.
    image_batch(std::size_t count, image_shape shape)
        : image_batch(matrix(checked_mul(count, shape.pixels()), shape.channels), shape) {}
    /// Throws like pixel_rows.
    image_batch(matrix pixels, image_shape shape) : pixels_(std::move(pixels)), shape_(shape) {
        (void)view();
    }

    /// From planes of one channel each, [count, channels, height, width] (NCHW), as most frameworks
    /// hold images. Throws shape_error if the values are not whole images.
    [[nodiscard]] static image_batch from_planes(std::span<float const> values, image_shape shape) {
        image_batch made(whole_images(values.size(), shape), shape);
        std::size_t const plane = shape.pixels(), image = plane * shape.channels;
        for (std::size_t i = 0; i < values.size(); ++i)
            made.pixels_(i / image * plane + i % plane, i % image / plane) = values[i];
        return made;
    }
    /// From bytes, [count, height, width, channels]. Throws shape_error if they are not whole images
    /// or the scaling has another number of channels, value_error for a divisor or deviation that is
    /// zero or not finite.
    [[nodiscard]] static image_batch from_bytes(std::span<std::uint8_t const> bytes,
                                                image_shape shape, pixel_scaling const& how = {}) {
        image_batch made(whole_images(bytes.size(), shape), shape);
        require_scaling(how, shape.channels);
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            std::size_t const c = i % shape.channels;
            float value = static_cast<float>(bytes[i]) / how.divisor;
            if (!how.mean.empty()) value -= how.mean[c];
            if (!how.deviation.empty()) value /= how.deviation[c];
            made.pixels_.data()[i] = value;
        }
        return made;
    }

    [[nodiscard]] pixel_rows view() const { return {pixels_.view(), shape_}; }
    operator pixel_rows() const { return view(); }
    [[nodiscard]] matrix_view<float> pixels() noexcept { return pixels_.view(); }
    [[nodiscard]] matrix_view<float const> pixels() const noexcept { return pixels_.view(); }
    [[nodiscard]] image_shape const& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t count() const { return view().count(); }

  private:
    static std::size_t whole_images(std::size_t values, image_shape shape) {
        std::size_t const each = checked_mul(shape.pixels(), shape.channels);
        if (each == 0 || values % each != 0)
            throw shape_error("images: " + std::to_string(values) +
                              " values are not whole images of " + to_string(shape));
        return values / each;
    }
    static void require_scaling(pixel_scaling const& how, std::size_t channels) {
        for (auto const* const part : {&how.mean, &how.deviation})
            if (!part->empty() && part->size() != channels)
                throw shape_error("images: expected a scaling of " + std::to_string(channels) +
                                  " channels, found " + std::to_string(part->size()));
        auto const require = [](float divisor) {
            if (divisor == 0.0f || !std::isfinite(divisor))
                throw value_error("images: expected to divide by a number other than zero, found " +
                                  std::to_string(divisor));
        };
        require(how.divisor);
        for (float const deviation : how.deviation) require(deviation);
    }

    matrix pixels_;
    image_shape shape_;
};

}  // namespace qtk
