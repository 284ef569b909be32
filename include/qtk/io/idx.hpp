// SPDX-License-Identifier: Apache-2.0
//
// What is in these two files of MNIST's? The idx format (LeCun et al. 1998) with unsigned bytes, as
// MNIST, Fashion-MNIST, KMNIST and EMNIST have it:
//
//   byte 0, 1  zero        byte 2  type, 8 = unsigned byte        byte 3  number of axes
//   then 4 bytes an axis, highest byte first, then the values, the last axis fastest
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/image.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// A checked idx file of bytes; the values stay where they are.
struct idx_bytes {
    std::vector<std::uint32_t> shape;
    std::span<std::byte const> values;
};

/// Checks the bytes of a whole idx file with `rank` axes. Throws io_error naming `path` and the byte.
[[nodiscard]] inline idx_bytes parse_idx(std::span<std::byte const> file, std::string const& path,
                                         std::size_t rank) {
    byte_reader reader(file, path);
    auto const magic = reader.take_big_endian<std::uint32_t>("the signature of an idx file");
    if (magic >> 16 == 0x1f8b)
        throw io_error(path, "this is a gzip file; hint: unpack it with gunzip first", 0);
    if (magic >> 16 != 0)
        throw io_error(path,
                       "this is no idx file: expected two zero bytes, found " +
                           std::to_string(magic >> 24) + " and " +
                           std::to_string(magic >> 16 & 0xff),
                       0);
    if ((magic >> 8 & 0xff) != 8)
        throw io_error(
            path,
            "expected the type 8 (unsigned bytes), found " + std::to_string(magic >> 8 & 0xff), 2);
    if ((magic & 0xff) != rank)
        throw io_error(path,
                       "expected " + std::to_string(rank) + " axes, found " +
                           std::to_string(magic & 0xff) +
                           (rank == 3 ? "; hint: images have 3" : "; hint: labels have 1"),
                       3);
    idx_bytes result;
    std::uint64_t bytes = 1;
    for (std::size_t axis = 0; axis < rank; ++axis) {
        std::uint64_t const at = reader.offset();
        result.shape.push_back(reader.take_big_endian<std::uint32_t>("the length of an axis"));
        try {
            bytes = checked_mul<std::uint64_t>(bytes, result.shape.back());
        } catch (value_error const& overflow) {
            throw io_error(path, std::string("the shape is too large: ") + overflow.what(), at);
        }
    }
    if (bytes != reader.remaining())
        throw io_error(path,
                       "the header promises " + std::to_string(bytes) + " bytes of values, " +
                           std::to_string(reader.remaining()) +
                           " follow; the file is cut short or damaged",
                       reader.offset());
    result.values = reader.take_bytes(bytes, "the values");
    return result;
}

/// Images, [count, height, width], and as many labels below `classes`. Throws system_error, io_error.
[[nodiscard]] inline labelled_images read_idx(std::filesystem::path const& images,
                                              std::filesystem::path const& labels,
                                              std::size_t classes = 10,
                                              io_limits const& limits = {}) {
    mapped_file const pixels = mapped_file::open(images, io_mode::read, limits.image_set_bytes);
    mapped_file const names = mapped_file::open(labels, io_mode::read, limits.image_set_bytes);
    idx_bytes const x = parse_idx(pixels.bytes(), pixels.path(), 3);
    idx_bytes const y = parse_idx(names.bytes(), names.path(), 1);
    if (x.shape[0] != y.shape[0])
        throw io_error(names.path(),
                       "expected a label for each of the " + std::to_string(x.shape[0]) +
                           " images in " + pixels.path() + ", found " + std::to_string(y.shape[0]),
                       4);
    labelled_images result{x.shape[0], x.shape[1], x.shape[2], 1, {}, {}};
    std::size_t const size =
        checked_image_bytes(pixels.path(), 8, x.shape[1], x.shape[2], 1, limits);
    result.bytes.resize(checked_set_bytes(pixels.path(), 4, result.count, size, limits));
    std::ranges::transform(x.values, result.bytes.begin(),
                           [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
    for (std::size_t i = 0; i < result.count; ++i) {
        auto const label = std::to_integer<std::uint16_t>(y.values[i]);
        if (label >= classes)
            throw io_error(names.path(),
                           "expected a label below " + std::to_string(classes) + ", found " +
                               std::to_string(label),
                           8 + i);
        result.labels.push_back(label);
    }
    return result;
}

}  // namespace qtk
