// SPDX-License-Identifier: Apache-2.0
//
// What is in this GGUF file? Mapped into memory and checked as a whole when it is opened: from then
// on every span lies inside the file. Weights are multiplied where they lie:
//
//     auto const file = qtk::gguf_file::open("model.gguf");
//     qtk::gguf_gemm(file.view(file.at("blk.0.attn_q.weight")), x, y);
//
// dims are those of the file, the fastest first: a matrix [in, out] of GGUF is the weight [out, in] of
// PyTorch, and its view has rows = dims[1] = out and cols = dims[0] = in.
#pragma once

#include <qtk/format/gguf_blocks.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/gguf_header.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/safetensors.hpp>
#include <qtk/io/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

class gguf_file {
  public:
    /// Maps (or reads) and checks the file. Throws system_error if it cannot be opened, io_error if
    /// it breaks a rule.
    [[nodiscard]] static gguf_file open(std::filesystem::path const& path,
                                        io_limits const& limits = {},
                                        io_mode mode = io_mode::mmap) {
        return gguf_file(mapped_file::open(path, mode), limits);
    }

    [[nodiscard]] std::string const& path() const noexcept { return file_.path(); }
    [[nodiscard]] std::uint32_t version() const noexcept { return header_.version; }
    [[nodiscard]] std::uint32_t alignment() const noexcept { return header_.alignment; }
    [[nodiscard]] gguf_metadata const& metadata() const noexcept { return header_.metadata; }
    /// In the order of the header.
    [[nodiscard]] std::vector<gguf_tensor> const& tensors() const noexcept {
        return header_.tensors;
    }

    /// Null if there is no tensor of that name.
    [[nodiscard]] gguf_tensor const* find(std::string_view name) const {
        return header_.find(name);
    }
    /// Throws io_error with the nearest name there is.
    [[nodiscard]] gguf_tensor const& at(std::string_view name) const {
        if (gguf_tensor const* const tensor = find(name)) return *tensor;
        std::vector<std::string_view> names;
        for (auto const& tensor : tensors()) names.push_back(tensor.name);
        std::string const nearest = detail::nearest_name(names, name);
        throw io_error(path(),
                       "the tensor " + qtk::quoted(name) + " is missing" +
                           (nearest.empty() ? "" : ". Hint: there is " + qtk::quoted(nearest)));
    }

    /// The tensor's bytes in the file; valid while this object lives.
    [[nodiscard]] std::span<std::byte const> bytes(gguf_tensor const& tensor) const noexcept {
        return file_.bytes().subspan(static_cast<std::size_t>(header_.data_offset + tensor.offset),
                                     static_cast<std::size_t>(tensor.bytes));
    }
    /// Lets the system take back the memory behind a tensor that has been read.
    void release(gguf_tensor const& tensor) const noexcept { file_.release(bytes(tensor)); }
    void release(std::span<std::byte const> part) const noexcept { file_.release(part); }

    /// Rows dims[1], columns dims[0]; a vector is one row. Of three and four dimensions `slice` names
    /// the matrix, the third dimension fastest (the experts of a mixture). Throws io_error for a type
    /// without a decoder and for a slice that is not there.
    [[nodiscard]] gguf_view view(gguf_tensor const& tensor, std::uint64_t slice = 0) const {
        require_decoder(tensor);
        std::uint64_t const slices = tensor.dims[2] * tensor.dims[3];
        if (slice >= slices)
            throw io_error(path(), "tensor " + qtk::quoted(tensor.name) + ": " + to_string(tensor) +
                                       " has " + std::to_string(slices) +
                                       " matrices, so there is no number " + std::to_string(slice));
        std::uint64_t const size = tensor.bytes / slices;
        auto const part = bytes(tensor).subspan(static_cast<std::size_t>(slice * size),
                                                static_cast<std::size_t>(size));
        return {tensor.type,
                {reinterpret_cast<std::uint8_t const*>(part.data()), part.size()},
                static_cast<std::size_t>(tensor.dims[1]),
                static_cast<std::size_t>(tensor.dims[0])};
    }

    /// All values as floats in the order of the file, row by row; whole numbers and f64 are rounded.
    /// Throws io_error for a type without a decoder.
    [[nodiscard]] std::vector<float> floats(gguf_tensor const& tensor) const {
        switch (tensor.type) {
            case gguf_type::i8:
                return numbers<std::int8_t>(tensor);
            case gguf_type::i16:
                return numbers<std::int16_t>(tensor);
            case gguf_type::i32:
                return numbers<std::int32_t>(tensor);
            case gguf_type::i64:
                return numbers<std::int64_t>(tensor);
            case gguf_type::f64:
                return numbers<double>(tensor);
            default:
                break;
        }
        require_decoder(tensor);
        std::vector<float> values(static_cast<std::size_t>(tensor.values()));
        auto const raw = bytes(tensor);
        // Rows are whole blocks, so the tensor is one long row of them.
        gguf_view const all{tensor.type,
                            {reinterpret_cast<std::uint8_t const*>(raw.data()), raw.size()},
                            1,
                            values.size()};
        decode_gguf_row(all, 0, values);
        return values;
    }

  private:
    gguf_file(mapped_file file, io_limits const& limits) : file_(std::move(file)) {
        header_ = parse_gguf_header(file_.bytes(), file_.path(), limits);
    }

    void require_decoder(gguf_tensor const& tensor) const {
        if (!has_gguf_decoder(tensor.type))
            throw io_error(path(), "tensor " + qtk::quoted(tensor.name) + " is " +
                                       std::string(name_of(tensor.type)) +
                                       ", which has no decoder here");
    }
    template <typename T>
    [[nodiscard]] std::vector<float> numbers(gguf_tensor const& tensor) const {
        std::vector<float> values(static_cast<std::size_t>(tensor.values()));
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] =
                static_cast<float>(load_little_endian<T>(bytes(tensor).data() + i * sizeof(T)));
        return values;
    }

    mapped_file file_;
    gguf_header header_;
};

}  // namespace qtk
