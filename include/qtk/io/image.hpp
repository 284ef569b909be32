// SPDX-License-Identifier: Apache-2.0
//
// What do all sources of images give? Bytes, row by row, the channels of a pixel side by side (HWC),
// and a label for each image. One image stands alone (a decoder's result), equal ones share a block of
// memory (a data set's).
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/contract.hpp>
#include <qtk/core/error.hpp>
#include <qtk/io/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// Somebody else's pixels: byte (y * width + x) * channels + c.
struct image_view {
    std::size_t height = 0, width = 0, channels = 0;
    std::span<std::uint8_t const> bytes;

    [[nodiscard]] std::uint8_t at(std::size_t y, std::size_t x, std::size_t c) const noexcept {
        QTK_EXPECTS(y < height && x < width && c < channels);
        return bytes[(y * width + x) * channels + c];
    }
};

/// One image; 1 channel is grey, 3 are red, green, blue.
struct image {
    std::size_t height = 0, width = 0, channels = 0;
    std::vector<std::uint8_t> bytes;

    [[nodiscard]] image_view view() const noexcept { return {height, width, channels, bytes}; }
    friend bool operator==(image const&, image const&) = default;
};

/// `count` images of one size, one behind the other, and what each of them shows.
struct labelled_images {
    std::size_t count = 0, height = 0, width = 0, channels = 0;
    std::vector<std::uint8_t> bytes;    ///< [count, height, width, channels]
    std::vector<std::uint16_t> labels;  ///< [count], counted from 0

    [[nodiscard]] std::size_t image_bytes() const noexcept { return height * width * channels; }
    [[nodiscard]] image_view image(std::size_t i) const noexcept {
        QTK_EXPECTS(i < count);
        return {height, width, channels,
                std::span(bytes).subspan(i * image_bytes(), image_bytes())};
    }
    /// The images first, first + 1, ... Throws shape_error if there are not that many.
    [[nodiscard]] labelled_images part(std::size_t first, std::size_t how_many) const {
        if (first > count || how_many > count - first)
            throw shape_error("images " + std::to_string(first) + " and " +
                              std::to_string(how_many) +
                              " from there were asked for, but there are " + std::to_string(count));
        auto const at = [](auto const& values, std::size_t i) {
            return values.begin() + static_cast<std::ptrdiff_t>(i);
        };
        std::size_t const size = image_bytes(), last = first + how_many;
        return {how_many,
                height,
                width,
                channels,
                {at(bytes, first * size), at(bytes, last * size)},
                {at(labels, first), at(labels, last)}};
    }
    /// Adds the images of another file of the same set. Throws shape_error if their size differs.
    void append(labelled_images const& more) {
        if (count == 0) {
            *this = more;
            return;
        }
        if (more.count == 0) return;
        if (more.height != height || more.width != width || more.channels != channels)
            throw shape_error("images of " + size_of(more) + " cannot follow images of " +
                              size_of(*this));
        bytes.insert(bytes.end(), more.bytes.begin(), more.bytes.end());
        labels.insert(labels.end(), more.labels.begin(), more.labels.end());
        count += more.count;
    }

    friend bool operator==(labelled_images const&, labelled_images const&) = default;

  private:
    static std::string size_of(labelled_images const& of) {
        return std::to_string(of.height) + " x " + std::to_string(of.width) + " x " +
               std::to_string(of.channels);
    }
};

/// How many bytes an image has whose size a file claims, before anything is allocated. Throws
/// io_error for a size of 0 or above the limits.
[[nodiscard]] inline std::size_t checked_image_bytes(std::string const& path, std::uint64_t offset,
                                                     std::uint64_t height, std::uint64_t width,
                                                     std::uint64_t channels,
                                                     io_limits const& limits) {
    bool const is_fine = height > 0 && width > 0 && channels > 0 && channels <= 4 &&
                         height <= limits.image_side && width <= limits.image_side &&
                         width <= limits.image_pixels / height;
    if (!is_fine)
        throw io_error(path,
                       "an image of " + std::to_string(height) + " x " + std::to_string(width) +
                           " pixels; expected 1 to " + std::to_string(limits.image_side) +
                           " along a side and at most " + std::to_string(limits.image_pixels) +
                           " in all",
                       offset);
    return static_cast<std::size_t>(height * width * channels);
}
/// How many bytes `count` such images have. Throws io_error above the limit.
[[nodiscard]] inline std::size_t checked_set_bytes(std::string const& path, std::uint64_t offset,
                                                   std::uint64_t count, std::size_t image_bytes,
                                                   io_limits const& limits) {
    if (image_bytes > 0 && count > limits.image_set_bytes / image_bytes)
        throw io_error(path,
                       std::to_string(count) + " images of " + std::to_string(image_bytes) +
                           " bytes are more than the limit of " +
                           std::to_string(limits.image_set_bytes) + " bytes",
                       offset);
    return static_cast<std::size_t>(count * image_bytes);
}

}  // namespace qtk
