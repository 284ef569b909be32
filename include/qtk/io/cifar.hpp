// SPDX-License-Identifier: Apache-2.0
//
// What is in this batch of CIFAR's? The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky 2009):
// records without a header, images of 32 x 32 pixels, plane by plane.
//
//   CIFAR-10    byte 0 label 0..9                             then 1024 red, 1024 green, 1024 blue
//   CIFAR-100   byte 0 coarse label 0..19, byte 1 fine 0..99   then the same
//
// As there is no signature, a file is known by its length, a multiple of a record's, and by every label
// being one.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/image.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// Which of the two labels of CIFAR-100 is the label.
enum class cifar100_label : std::uint8_t { coarse, fine };

namespace detail {

/// A byte of a record that must lie below `classes`.
struct cifar_label {
    char const* name;
    int classes;
};

[[nodiscard]] inline labelled_images parse_cifar(std::span<std::byte const> file,
                                                 std::string const& path, char const* kind,
                                                 std::span<cifar_label const> label_bytes,
                                                 std::size_t chosen, io_limits const& limits) {
    constexpr std::size_t side = 32, plane = side * side, channels = 3;
    std::size_t const record = label_bytes.size() + channels * plane;
    if (file.empty() || file.size() % record != 0)
        throw io_error(path,
                       std::string(kind) + " has records of " + std::to_string(record) +
                           " bytes; expected a multiple of that, found " +
                           std::to_string(file.size()) +
                           " bytes; the file is cut short, damaged or another kind",
                       file.size() / record * record);
    labelled_images result{file.size() / record, side, side, channels, {}, {}};
    result.bytes.resize(checked_set_bytes(path, 0, result.count, channels * plane, limits));
    result.labels.reserve(result.count);
    for (std::size_t i = 0; i < result.count; ++i) {
        auto const at = file.subspan(i * record, record);
        for (std::size_t k = 0; k < label_bytes.size(); ++k)
            if (std::to_integer<int>(at[k]) >= label_bytes[k].classes)
                throw io_error(path,
                               std::string(kind) + ": expected a " + label_bytes[k].name +
                                   " from 0 to " + std::to_string(label_bytes[k].classes - 1) +
                                   ", found " + std::to_string(std::to_integer<int>(at[k])),
                               i * record + k);
        result.labels.push_back(std::to_integer<std::uint16_t>(at[chosen]));
        auto const planes = at.subspan(label_bytes.size());
        std::uint8_t* const to = result.bytes.data() + i * channels * plane;
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t p = 0; p < plane; ++p)
                to[p * channels + c] = std::to_integer<std::uint8_t>(planes[c * plane + p]);
    }
    return result;
}

}  // namespace detail

/// Checks and turns the bytes of one CIFAR-10 batch. Throws io_error naming `path` and the byte.
[[nodiscard]] inline labelled_images parse_cifar10(std::span<std::byte const> file,
                                                   std::string const& path,
                                                   io_limits const& limits = {}) {
    constexpr std::array labels{detail::cifar_label{"label", 10}};
    return detail::parse_cifar(file, path, "CIFAR-10", labels, 0, limits);
}
/// The same for CIFAR-100.
[[nodiscard]] inline labelled_images parse_cifar100(std::span<std::byte const> file,
                                                    std::string const& path, cifar100_label which,
                                                    io_limits const& limits = {}) {
    constexpr std::array labels{detail::cifar_label{"coarse label", 20},
                                detail::cifar_label{"fine label", 100}};
    return detail::parse_cifar(file, path, "CIFAR-100", labels,
                               which == cifar100_label::coarse ? 0 : 1, limits);
}

/// Reads data_batch_1.bin or test_batch.bin. Throws system_error, io_error.
[[nodiscard]] inline labelled_images read_cifar10(std::filesystem::path const& path,
                                                  io_limits const& limits = {}) {
    mapped_file const file = mapped_file::open(path, io_mode::read, limits.image_set_bytes);
    return parse_cifar10(file.bytes(), file.path(), limits);
}
/// Reads train.bin or test.bin. Throws system_error, io_error.
[[nodiscard]] inline labelled_images read_cifar100(std::filesystem::path const& path,
                                                   cifar100_label which = cifar100_label::fine,
                                                   io_limits const& limits = {}) {
    mapped_file const file = mapped_file::open(path, io_mode::read, limits.image_set_bytes);
    return parse_cifar100(file.bytes(), file.path(), which, limits);
}

/// The five batches that CIFAR-10 is trained on, one behind the other.
[[nodiscard]] inline labelled_images read_cifar10_training(std::filesystem::path const& folder,
                                                           io_limits const& limits = {}) {
    labelled_images all;
    for (int batch = 1; batch <= 5; ++batch)
        all.append(read_cifar10(folder / ("data_batch_" + std::to_string(batch) + ".bin"), limits));
    return all;
}

}  // namespace qtk
