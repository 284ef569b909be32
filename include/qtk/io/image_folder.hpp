// SPDX-License-Identifier: Apache-2.0
//
// Which images are in this folder, and of which class is each? One sub-folder a class, as ImageNet's
// validation set is usually laid out:
//
//   folder/n01440764/ILSVRC2012_val_00000293.JPEG
//
// Classes are numbered in the order of their names, images come in the order of theirs: the same on
// every machine. Names that start with a dot are passed over; anything else that is out of place is
// refused. Images are decoded one by one, when they are wanted: the set may be larger than memory.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/image.hpp>
#include <qtk/io/jpeg_png.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/netpbm.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace qtk {

/// Reads a PGM, PPM, JPEG or PNG file; its first bytes say which, not its name. Throws system_error,
/// io_error.
[[nodiscard]] inline image read_image(std::filesystem::path const& path,
                                      io_limits const& limits = {}) {
    mapped_file const file = mapped_file::open(path, io_mode::read, limits.image_file_bytes);
    if (is_netpbm(file.text())) return decode_netpbm(file.bytes(), file.path(), limits);
    if (is_jpeg(file.text()) || is_png(file.text()))
        return decode_jpeg_png(file.bytes(), file.path(), limits);
    throw io_error(file.path(),
                   "expected a PGM, PPM, JPEG or PNG file; no signature of these is there", 0);
}

/// A file, and the number of its class.
struct labelled_file {
    std::filesystem::path path;
    std::uint16_t label = 0;
};

/// What is in the folder; nothing was opened yet.
struct image_folder {
    std::vector<std::string> classes;  ///< The names of the sub-folders, sorted.
    std::vector<labelled_file> files;  ///< By class, then by name.
};

namespace detail {

/// The entries of a folder by name, without hidden ones.
[[nodiscard]] inline std::vector<std::filesystem::path> visible_entries(
    std::filesystem::path const& folder, std::size_t most) {
    std::vector<std::filesystem::path> found;
    try {
        for (auto const& entry : std::filesystem::directory_iterator(folder)) {
            if (entry.path().filename().string().starts_with('.')) continue;
            if (found.size() == most)
                throw io_error(folder.string(),
                               "more than " + std::to_string(most) + " entries in this folder");
            found.push_back(entry.path());
        }
    } catch (std::filesystem::filesystem_error const& fault) {
        throw system_error(folder.string(), "cannot read the folder: " + fault.code().message(),
                           fault.code().value());
    }
    std::ranges::sort(found, {}, [](auto const& path) { return path.filename().string(); });
    return found;
}

}  // namespace detail

/// Lists a folder of class folders. Throws system_error if it cannot be read, io_error for a file beside
/// the class folders, a folder inside one, a class without images, or no class at all.
[[nodiscard]] inline image_folder list_image_folder(std::filesystem::path const& folder,
                                                    io_limits const& limits = {}) {
    image_folder result;
    for (auto const& place : detail::visible_entries(folder, limits.classes)) {
        std::error_code ignored;
        if (!std::filesystem::is_directory(place, ignored))
            throw io_error(place.string(),
                           "expected folders alone here, one for each class, found a file");
        auto const label = static_cast<std::uint16_t>(result.classes.size());
        result.classes.push_back(place.filename().string());
        auto const files = detail::visible_entries(place, limits.images - result.files.size());
        if (files.empty()) throw io_error(place.string(), "this class has no images");
        for (auto const& path : files) {
            if (!std::filesystem::is_regular_file(path, ignored))
                throw io_error(path.string(),
                               "expected image files alone in the folder of a class");
            result.files.push_back({path, label});
        }
    }
    if (result.classes.empty())
        throw io_error(folder.string(), "expected one folder for each class, found none");
    return result;
}

/// Every image of a folder whose images have one size, in memory. Throws like list_image_folder and
/// read_image, and io_error for an image of another size than the first.
[[nodiscard]] inline labelled_images read_image_folder(std::filesystem::path const& folder,
                                                       io_limits const& limits = {}) {
    labelled_images all;
    for (labelled_file const& file : list_image_folder(folder, limits).files) {
        image one = read_image(file.path, limits);
        labelled_images const next{
            1, one.height, one.width, one.channels, std::move(one.bytes), {file.label}};
        (void)checked_set_bytes(file.path.string(), io_error::no_offset, all.count + 1,
                                next.image_bytes(), limits);
        try {
            all.append(next);
        } catch (shape_error const& fault) {
            throw io_error(file.path.string(),
                           std::string(fault.what()) +
                               ". Hint: read and preprocess images of several sizes one by one");
        }
    }
    return all;
}

}  // namespace qtk
