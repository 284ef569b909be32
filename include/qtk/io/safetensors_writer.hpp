// SPDX-License-Identifier: Apache-2.0
//
// How is a safetensors file written so that every reader accepts it? The same bytes for the same
// content: tensors by falling element size, then by name; keys sorted; the header padded with
// spaces so that data starts at a multiple of 64 and every tensor lies aligned. The size and every
// place are known before a byte is written: a file that is larger than memory is planned here and
// written elsewhere (staged_file.hpp).
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/io/atomic_file.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/safetensors_header.hpp>
#include <qtk/io/utf8.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// Where the bytes of a tensor lie in a file that is planned.
struct tensor_place {
    std::string name;
    std::uint64_t offset = 0, bytes = 0;  ///< from the start of the file
};

class safetensors_writer {
  public:
    /// Plans a tensor; its bytes, little endian and row-major, are borrowed until write(). Throws
    /// value_error for a name that is taken, is no UTF-8 or is "__metadata__", shape_error if the
    /// bytes do not fill the shape.
    void add(std::string name, dtype type, std::vector<std::uint64_t> shape,
             std::span<std::byte const> bytes) {
        require_name(name);
        std::uint64_t const size = size_of(name, type, shape);
        if (size != bytes.size()) throw_size(name, type, shape, size, bytes.size());
        insert(std::move(name), {type, std::move(shape), size, bytes});
    }
    /// The same for a tensor that somebody else writes at its place; write() throws value_error then.
    void plan(std::string name, dtype type, std::vector<std::uint64_t> shape) {
        require_name(name);
        std::uint64_t const size = size_of(name, type, shape);
        has_plans_ = has_plans_ || size > 0;
        insert(std::move(name), {type, std::move(shape), size, {}});
    }

    /// One string of `__metadata__`; a later value replaces an earlier one.
    void set_metadata(std::string key, std::string value) {
        metadata_[std::move(key)] = std::move(value);
    }

    /// Bytes of the file that write() would make.
    [[nodiscard]] std::uint64_t size_bytes() const {
        std::uint64_t size = header().size() + 8;
        for (auto const& [name, tensor] : tensors_)
            size = checked_add<std::uint64_t>(size, tensor.size);
        return size;
    }

    /// What stands before the first tensor.
    [[nodiscard]] std::vector<std::byte> start() const {
        std::string const text = header();
        std::vector<std::byte> bytes(8 + text.size());
        store_little_endian(static_cast<std::uint64_t>(text.size()), bytes.data());
        std::ranges::copy(std::as_bytes(std::span(text)), bytes.begin() + 8);
        return bytes;
    }
    /// Where the tensors lie, in the order of the file.
    [[nodiscard]] std::vector<tensor_place> places() const {
        std::vector<tensor_place> places;
        std::uint64_t at = header().size() + 8;
        for (auto const* const tensor : ordered()) {
            places.push_back({tensor->first, at, tensor->second.size});
            at += tensor->second.size;
        }
        return places;
    }

    /// Writes the file, whole or not at all. Throws system_error.
    void write(std::filesystem::path const& path) const {
        if (has_plans_)
            throw value_error("safetensors: a tensor that was only planned has no bytes to write");
        atomic_file file(path, size_bytes());
        file.write(start());
        for (auto const* const tensor : ordered()) file.write(tensor->second.bytes);
        file.commit();
    }

  private:
    struct planned {
        dtype type;
        std::vector<std::uint64_t> shape;
        std::uint64_t size;
        std::span<std::byte const> bytes;
    };
    using named = std::pair<std::string const, planned>;

    static void require_name(std::string const& name) {
        if (name == "__metadata__" || find_utf8_fault(name) < name.size())
            throw value_error("safetensors: " + qtk::quoted(name) +
                              " cannot be the name of a tensor");
    }
    [[noreturn]] static void throw_size(std::string const& name, dtype type,
                                        std::vector<std::uint64_t> const& shape,
                                        std::uint64_t needed, std::uint64_t found) {
        throw shape_error("safetensors: tensor " + qtk::quoted(name) + ": shape " +
                          to_string(shape) + " x " + std::string(name_of(type)) + " needs " +
                          std::to_string(needed) + " bytes, found " + std::to_string(found));
    }
    [[nodiscard]] static std::uint64_t size_of(std::string const& name, dtype type,
                                               std::vector<std::uint64_t> const& shape) {
        std::uint64_t bits = bits_of(type);
        for (std::uint64_t const side : shape) bits = checked_mul(bits, side);
        if (bits % 8 != 0)
            throw shape_error("safetensors: tensor " + qtk::quoted(name) + ": shape " +
                              to_string(shape) + " x " + std::string(name_of(type)) +
                              " is no whole number of bytes");
        return bits / 8;
    }
    void insert(std::string name, planned tensor) {
        auto const [place, is_new] = tensors_.try_emplace(std::move(name), std::move(tensor));
        if (!is_new)
            throw value_error("safetensors: there are two tensors " + qtk::quoted(place->first));
    }

    [[nodiscard]] std::vector<named const*> ordered() const {
        std::vector<named const*> order;
        for (auto const& tensor : tensors_) order.push_back(&tensor);
        std::ranges::stable_sort(order, [](named const* a, named const* b) {
            return bits_of(a->second.type) > bits_of(b->second.type);
        });
        return order;
    }

    [[nodiscard]] std::string header() const {
        nlohmann::ordered_json json = nlohmann::ordered_json::object();
        if (!metadata_.empty()) json["__metadata__"] = metadata_;
        std::uint64_t at = 0;
        for (auto const* const tensor : ordered()) {
            std::uint64_t const end = at + tensor->second.size;
            // Appended, not looked up: an ordered object searches its keys one by one.
            json.get_ref<nlohmann::ordered_json::object_t&>().push_back(
                {tensor->first,
                 {{"dtype", name_of(tensor->second.type)},
                  {"shape", tensor->second.shape},
                  {"data_offsets", {at, end}}}});
            at = end;
        }
        std::string text = json.dump();
        text.resize(div_ceil(text.size() + 8, 64) * 64 - 8, ' ');
        return text;
    }

    std::map<std::string, planned> tensors_;
    std::map<std::string, std::string> metadata_;
    bool has_plans_ = false;
};

}  // namespace qtk
