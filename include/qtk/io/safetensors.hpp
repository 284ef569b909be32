// SPDX-License-Identifier: Apache-2.0
//
// What is in this tensor? A safetensors file, mapped into memory and checked as a whole when it is
// opened: from then on every span lies inside the file.
#pragma once

#include <qtk/format/half.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/safetensors_header.hpp>
#include <qtk/io/utf8.hpp>

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

namespace detail {

/// Of `names`, the one that shares the longest end with `wanted` (prefixes differ between
/// exporters); empty if none shares at least four characters.
template <typename Names>
[[nodiscard]] std::string nearest_name(Names const& names, std::string_view wanted) {
    std::string best;
    std::size_t most = 3;
    for (std::string_view const name : names) {
        std::size_t shared = 0;
        while (shared < std::min(name.size(), wanted.size()) &&
               name[name.size() - 1 - shared] == wanted[wanted.size() - 1 - shared])
            ++shared;
        if (shared > most) most = shared, best = name;
    }
    return best;
}

}  // namespace detail

class safetensors_file {
  public:
    /// Maps (or reads) and checks the file. Throws system_error if it cannot be opened, io_error if
    /// it breaks a rule.
    [[nodiscard]] static safetensors_file open(std::filesystem::path const& path,
                                               io_limits const& limits = {},
                                               io_mode mode = io_mode::mmap) {
        return safetensors_file(mapped_file::open(path, mode), limits);
    }

    [[nodiscard]] std::string const& path() const noexcept { return file_.path(); }
    /// In the order of their data.
    [[nodiscard]] std::vector<tensor_info> const& tensors() const noexcept {
        return header_.tensors;
    }
    [[nodiscard]] std::map<std::string, std::string> const& metadata() const noexcept {
        return header_.metadata;
    }

    /// Null if there is no tensor of that name.
    [[nodiscard]] tensor_info const* find(std::string_view name) const {
        auto const found = header_.names.find(name, detail::name_in(header_.tensors));
        return found ? &header_.tensors[*found] : nullptr;
    }
    /// Throws io_error with the nearest name there is.
    [[nodiscard]] tensor_info const& at(std::string_view name) const {
        if (tensor_info const* const info = find(name)) return *info;
        std::vector<std::string_view> names;
        for (auto const& info : tensors()) names.push_back(info.name);
        std::string const nearest = detail::nearest_name(names, name);
        throw io_error(path(),
                       "the tensor " + qtk::quoted(name) + " is missing" +
                           (nearest.empty() ? "" : ". Hint: there is " + qtk::quoted(nearest)));
    }

    /// The tensor's bytes in the file; valid while this object lives, at any alignment.
    [[nodiscard]] std::span<std::byte const> bytes(tensor_info const& info) const noexcept {
        return file_.bytes().subspan(static_cast<std::size_t>(header_.data_offset + info.begin),
                                     static_cast<std::size_t>(info.end - info.begin));
    }
    /// Lets the system take back the memory behind a part of bytes() that has been read.
    void release(std::span<std::byte const> part) const noexcept { file_.release(part); }
    /// The values of an F32, F16, BF16 or F64 tensor (rounded to float), row-major. Throws io_error
    /// for other types.
    [[nodiscard]] std::vector<float> floats(tensor_info const& info) const {
        std::span<std::byte const> const raw = bytes(info);
        auto const read = [&]<typename T>(T, auto convert) {
            std::vector<float> values(raw.size() / sizeof(T));
            for (std::size_t i = 0; i < values.size(); ++i)
                values[i] = convert(load_little_endian<T>(raw.data() + i * sizeof(T)));
            return values;
        };
        switch (info.type) {
            case dtype::f32:
                return read(float{}, [](float x) { return x; });
            case dtype::f64:
                return read(double{}, [](double x) { return static_cast<float>(x); });
            case dtype::f16:
                return read(std::uint16_t{}, f16_to_float);
            case dtype::bf16:
                return read(std::uint16_t{}, bf16_to_float);
            default:
                throw io_error(path(), "tensor " + qtk::quoted(info.name) +
                                           ": expected F32, F16, BF16 or F64, found " +
                                           std::string(name_of(info.type)));
        }
    }

  private:
    safetensors_file(mapped_file file, io_limits const& limits)
        : file_(std::move(file)),
          header_(parse_safetensors_header(file_.bytes(), file_.path(), limits)) {}

    mapped_file file_;
    safetensors_header header_;
};

}  // namespace qtk
