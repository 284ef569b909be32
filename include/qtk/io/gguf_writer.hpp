// SPDX-License-Identifier: Apache-2.0
//
// How is a GGUF file written so that every reader accepts it? Version 3, keys and tensors in the order
// in which they were added, zeros between them: the same calls give the same bytes. The size is known
// before a byte is written, and the file is there whole or not at all.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/io/atomic_file.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/gguf_header.hpp>
#include <qtk/io/safetensors_writer.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

class gguf_writer {
  public:
    /// A number, a bool or a string. Throws value_error for a key or a string that is no UTF-8, a key
    /// that is empty, too long or taken.
    template <typename T>
    void set(std::string_view key, T const& value) {
        if constexpr (std::constructible_from<std::string_view, T const&>) {
            require_utf8(value);
            start(key, gguf_kind::string);
            put_text(keys_, value);
        } else {
            constexpr gguf_kind kind = detail::kind_of<T>();
            std::uint32_t const alignment =
                alignment_after(key, kind, static_cast<std::uint64_t>(value));
            start(key, kind);
            put(value);
            alignment_ = alignment;
        }
    }
    /// An array of numbers, bools or strings.
    template <typename T>
    void set_array(std::string_view key, std::vector<T> const& values) {
        constexpr bool is_text = std::constructible_from<std::string_view, T const&>;
        static_cast<void>(alignment_after(key, gguf_kind::array, 0));
        if constexpr (is_text)
            for (T const& text : values) require_utf8(text);
        start(key, gguf_kind::array);
        if constexpr (is_text) {
            put(static_cast<std::uint32_t>(gguf_kind::string));
            put(static_cast<std::uint64_t>(values.size()));
            for (T const& text : values) put_text(keys_, text);
        } else {
            put(static_cast<std::uint32_t>(detail::kind_of<T>()));
            put(static_cast<std::uint64_t>(values.size()));
            for (T const value : values) put(value);
        }
    }
    /// A value of another file, as it is.
    void set_value(std::string_view key, gguf_value const& value) {
        std::uint32_t const alignment =
            alignment_after(key, value.kind(), value.as<std::uint32_t>().value_or(0));
        start(key, value.kind());
        if (value.is_array()) {
            put(static_cast<std::uint32_t>(value.element()));
            put(value.size());
        } else if (value.kind() == gguf_kind::string) {
            put(static_cast<std::uint64_t>(value.payload().size()));
        }
        keys_.insert(keys_.end(), value.payload().begin(), value.payload().end());
        alignment_ = alignment;
    }

    /// Plans a tensor; its bytes are borrowed until write(). dims[0] is the length of a row. Throws
    /// value_error for a name that is empty, taken or no UTF-8, for dims that are no whole blocks, and
    /// for a rank other than 1 to 4; shape_error if the bytes do not fill the dims.
    void add(std::string_view name, gguf_type type, std::vector<std::uint64_t> dims,
             std::span<std::byte const> bytes) {
        std::uint64_t const size = plan(name, type, std::move(dims), [bytes] { return bytes; });
        if (size == bytes.size()) return;
        tensors_.pop_back();
        names_.erase(std::string(name));
        throw_size(name, size, bytes.size());
    }
    /// The same; the bytes are asked for when their turn comes and borrowed until the next are: a model
    /// that is quantized tensor by tensor need not be in memory. write() throws shape_error for a span
    /// of another size.
    void add(std::string_view name, gguf_type type, std::vector<std::uint64_t> dims,
             std::function<std::span<std::byte const>()> make) {
        plan(name, type, std::move(dims), std::move(make));
    }

    /// Bytes of the file that write() would make.
    [[nodiscard]] std::uint64_t size_bytes() const {
        std::uint64_t size = detail::aligned_up(header().size(), alignment_);
        for (planned const& tensor : tensors_)
            size = detail::aligned_up(checked_add(size, tensor.size), alignment_);
        return size;
    }

    /// What stands before the first tensor, without the zeros up to it.
    [[nodiscard]] std::vector<std::byte> header() const {
        auto const magic = std::as_bytes(std::span(gguf_magic));
        std::vector<std::byte> bytes(magic.begin(), magic.end());
        put(bytes, std::uint32_t{3});
        put(bytes, static_cast<std::uint64_t>(tensors_.size()));
        put(bytes, static_cast<std::uint64_t>(taken_keys_.size()));
        bytes.insert(bytes.end(), keys_.begin(), keys_.end());
        std::uint64_t at = 0;
        for (planned const& tensor : tensors_) {
            put_text(bytes, tensor.name);
            put(bytes, static_cast<std::uint32_t>(tensor.dims.size()));
            for (std::uint64_t const side : tensor.dims) put(bytes, side);
            put(bytes, static_cast<std::uint32_t>(tensor.type));
            put(bytes, at);
            at = detail::aligned_up(checked_add(at, tensor.size), alignment_);
        }
        return bytes;
    }
    /// Where the tensors lie in the file, in its order.
    [[nodiscard]] std::vector<tensor_place> places() const {
        std::vector<tensor_place> places;
        std::uint64_t at = detail::aligned_up(header().size(), alignment_);
        for (planned const& tensor : tensors_) {
            places.push_back({tensor.name, at, tensor.size});
            at = detail::aligned_up(checked_add(at, tensor.size), alignment_);
        }
        return places;
    }

    /// Writes the file, whole or not at all. Throws system_error.
    void write(std::filesystem::path const& path) const {
        atomic_file file(path, size_bytes());
        std::vector<std::byte> const zeros(alignment_);
        auto const pad = [&] {
            std::uint64_t const behind = file.written() % alignment_;
            if (behind != 0)
                file.write(std::span(zeros).first(static_cast<std::size_t>(alignment_ - behind)));
        };
        file.write(header());
        pad();
        for (planned const& tensor : tensors_) {
            std::span<std::byte const> const bytes = tensor.make();
            if (bytes.size() != tensor.size) throw_size(tensor.name, tensor.size, bytes.size());
            file.write(bytes);
            pad();
        }
        file.commit();
    }

  private:
    struct planned {
        std::string name;
        gguf_type type;
        std::vector<std::uint64_t> dims;
        std::uint64_t size;
        std::function<std::span<std::byte const>()> make;
    };

    [[noreturn]] static void throw_size(std::string_view name, std::uint64_t expected,
                                        std::uint64_t found) {
        throw shape_error("gguf: tensor " + qtk::quoted(name) + ": expected " +
                          std::to_string(expected) + " bytes, found " + std::to_string(found));
    }
    static void require_name(std::string_view what, std::string_view name, std::size_t most) {
        if (name.empty() || name.size() > most || find_utf8_fault(name) != std::string_view::npos)
            throw value_error("gguf: " + qtk::quoted(name) + " cannot be the name of a " +
                              std::string(what) + ": expected 1 to " + std::to_string(most) +
                              " bytes of UTF-8");
    }
    static void require_utf8(std::string_view text) {
        if (find_utf8_fault(text) != std::string_view::npos)
            throw value_error("gguf: the string " + qtk::quoted(text, 40) + " is not UTF-8");
    }
    [[nodiscard]] std::uint32_t alignment_after(std::string_view key, gguf_kind kind,
                                                std::uint64_t value) const {
        if (key != gguf_alignment_key) return alignment_;
        if (kind != gguf_kind::u32 || !is_gguf_alignment(static_cast<std::uint32_t>(value)))
            throw value_error(
                "gguf: general.alignment is a u32, a power of two from 8 to 1048576; found " +
                std::string(name_of(kind)) + " " + std::to_string(value));
        return static_cast<std::uint32_t>(value);
    }

    std::uint64_t plan(std::string_view name, gguf_type type, std::vector<std::uint64_t> dims,
                       std::function<std::span<std::byte const>()> make) {
        require_name("tensor", name, io_limits{}.tensor_name_bytes);
        std::string const where = "gguf: tensor " + qtk::quoted(name) + ": ";
        if (dims.empty() || dims.size() > 4)
            throw value_error(where + "expected 1 to 4 dimensions, found " +
                              std::to_string(dims.size()));
        std::uint64_t size = 0;
        try {
            size = detail::gguf_bytes(type, dims);
        } catch (value_error const& e) {
            throw value_error(where + e.what());
        }
        if (!names_.emplace(name).second) throw value_error(where + "the name is taken");
        tensors_.push_back({std::string(name), type, std::move(dims), size, std::move(make)});
        return size;
    }

    template <typename T>
    static void put(std::vector<std::byte>& to, T value) {
        std::array<std::byte, sizeof(T)> bytes;
        store_little_endian(value, bytes.data());
        to.insert(to.end(), bytes.begin(), bytes.end());
    }
    static void put_text(std::vector<std::byte>& to, std::string_view text) {
        put(to, static_cast<std::uint64_t>(text.size()));
        auto const bytes = std::as_bytes(std::span(text));
        to.insert(to.end(), bytes.begin(), bytes.end());
    }
    template <typename T>
    void put(T value) {
        put(keys_, value);
    }
    void start(std::string_view key, gguf_kind kind) {
        require_name("key", key, io_limits{}.gguf_key_bytes);
        if (!taken_keys_.emplace(key).second)
            throw value_error("gguf: the key " + qtk::quoted(key) + " is taken");
        put_text(keys_, key);
        put(static_cast<std::uint32_t>(kind));
    }

    std::uint32_t alignment_ = 32;
    std::vector<std::byte> keys_;
    std::set<std::string, std::less<>> taken_keys_, names_;
    std::vector<planned> tensors_;
};

}  // namespace qtk
