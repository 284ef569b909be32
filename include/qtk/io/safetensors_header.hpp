// SPDX-License-Identifier: Apache-2.0
//
// Which tensors does a safetensors file hold, and may one believe it? The layout, as its authors
// publish it:
//
//   8 bytes    N, little endian; N <= 100,000,000 and N <= what the file has left
//   N bytes    a JSON object, UTF-8, first byte '{', may end in spaces
//                name: {"dtype": .., "shape": [..], "data_offsets": [begin, end)}
//                "__metadata__": {string: string}
//   the rest   data, from which offsets count: the tensors tile it without holes or overlap;
//              sizes are product(shape) x bits / 8
//
// Every rule is checked before anything is read by it; products and sums cannot wrap.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/name_index.hpp>
#include <qtk/io/tensor_info.hpp>
#if !defined(QTK_KERNELS_ELSEWHERE)
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/safetensors_events.hpp>
#include <qtk/io/utf8.hpp>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

struct safetensors_header {
    std::vector<tensor_info> tensors;  ///< In the order of their data.
    std::map<std::string, std::string> metadata;
    std::uint64_t data_offset = 0;  ///< Where the data section starts in the file.
    name_index names;               ///< Of the tensors.
};

namespace detail {

[[nodiscard]] inline auto name_in(std::vector<tensor_info> const& tensors) {
    return [&tensors](std::size_t i) -> std::string_view { return tensors[i].name; };
}

}  // namespace detail

#if defined(QTK_KERNELS_ELSEWHERE)
[[nodiscard]] safetensors_header parse_safetensors_header(std::span<std::byte const> file,
                                                          std::string const& path,
                                                          io_limits const& limits = {});
#else

namespace detail {

/// Reads a header from the bytes of a whole file.
class safetensors_parser {
  public:
    safetensors_parser(std::span<std::byte const> file, std::string const& path,
                       io_limits const& limits)
        : file_(file), path_(path), limits_(limits) {}

    safetensors_header parse() {
        std::string_view const text = json_text();
        safetensors_events events(header_.tensors, header_.metadata, path_, limits_);
        static_cast<void>(nlohmann::json::sax_parse(text.begin(), text.end(), &events));
        require_tiling();
        auto const name = name_in(header_.tensors);
        header_.names = name_index(header_.tensors.size(), name);
        if (auto const twin = header_.names.find_twin(name))
            fail("the key " + qtk::quoted(name(*twin)) + " appears twice in one object");
        return std::move(header_);
    }

  private:
    [[noreturn]] void fail(std::string const& what) const { throw io_error(path_, what); }
    [[noreturn]] void fail(std::string_view tensor, std::string const& what) const {
        fail("tensor " + qtk::quoted(tensor) + ": " + what);
    }

    [[nodiscard]] std::string_view json_text() {
        byte_reader reader(file_, path_);
        auto const length = reader.take<std::uint64_t>("the length of the header");
        if (length > limits_.safetensors_header_bytes)
            throw io_error(path_,
                           "the header claims " + std::to_string(length) +
                               " bytes, more than the limit of " +
                               std::to_string(limits_.safetensors_header_bytes) +
                               ". Hint: is this a safetensors file?",
                           0);
        auto const bytes = reader.take_bytes(length, "the header");
        header_.data_offset = reader.offset();
        std::string_view const text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
        if (text.empty() || text.front() != '{')
            throw io_error(path_,
                           "the header must start with '{'. Hint: is this a safetensors file?", 8);
        // What may follow the object is spaces alone; JSON itself would allow tabs and newlines
        // too.
        std::size_t const last = text.find_last_not_of(' ');
        if (text[last] != '}')
            throw io_error(path_, "only spaces may follow the header's '}'", 8 + last);
        if (std::size_t const fault = find_utf8_fault(text); fault < text.size())
            throw io_error(path_, "the JSON is not UTF-8", 8 + fault);
        return text;
    }

    /// Sorted by place, each tensor starts where the one before ended, and the last ends with the
    /// file.
    void require_tiling() {
        std::ranges::sort(header_.tensors, [](tensor_info const& a, tensor_info const& b) {
            return a.begin != b.begin ? a.begin < b.begin
                   : a.end != b.end   ? a.end < b.end
                                      : a.name < b.name;
        });
        std::uint64_t reached = 0;
        for (tensor_info const& info : header_.tensors) {
            if (info.begin != reached)
                fail(info.name,
                     "its data starts at " + std::to_string(info.begin) +
                         " but the tensor before ends at " + std::to_string(reached) +
                         (info.begin < reached ? ": they overlap" : ": there is a hole"));
            reached = info.end;
        }
        std::uint64_t const data = file_.size() - header_.data_offset;
        if (reached != data)
            fail("the tensors need " + std::to_string(reached) + " bytes of data, the file has " +
                 std::to_string(data) + " (size on disk " + std::to_string(file_.size()) +
                 "). Hint: " +
                 (reached > data ? "the file is cut short; copy or download it again"
                                 : "something was appended to the file"));
    }

    std::span<std::byte const> file_;
    std::string const& path_;
    io_limits limits_;
    safetensors_header header_;
};

}  // namespace detail

/// The header of a safetensors file, given all of its bytes. Throws io_error naming the tensor and
/// the rule.
[[nodiscard]] QTK_KERNEL_ENTRY safetensors_header parse_safetensors_header(
    std::span<std::byte const> file, std::string const& path, io_limits const& limits = {}) {
    return detail::safetensors_parser(file, path, limits).parse();
}

#endif

}  // namespace qtk
