// SPDX-License-Identifier: Apache-2.0
//
// Any bytes: either a refusal, or keys and tensors that lie inside the file, apart from each other.
#include <qtk/io/gguf_header.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

bool is_inside(std::span<std::byte const> part, std::span<std::byte const> file) {
    return part.empty() ||
           (part.data() >= file.data() && part.data() + part.size() <= file.data() + file.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    // The start is written here: a fuzzer would spend its time guessing it. The counts are its own,
    // one byte each.
    if (size < 2) return 0;
    std::vector<std::byte> file(24 + size - 2);
    std::uint32_t const version = 3;
    std::uint64_t const tensors = data[0] % 16, keys = data[1] % 16;
    std::memcpy(file.data(), "GGUF", 4);
    std::memcpy(file.data() + 4, &version, 4);
    std::memcpy(file.data() + 8, &tensors, 8);
    std::memcpy(file.data() + 16, &keys, 8);
    std::memcpy(file.data() + 24, data + 2, size - 2);
    try {
        auto const header = qtk::parse_gguf_header(file, "fuzz");
        require(header.tensors.size() == tensors && header.metadata.entries().size() == keys);
        for (auto const& [key, value] : header.metadata.entries()) {
            require(header.metadata.find(key) == &value);
            require(is_inside(value.payload(), file));
            for (std::string_view const text : value.strings())
                require(is_inside(std::as_bytes(std::span(text)), file));
            require(!value.describe().empty());
            static_cast<void>(value.as<std::vector<float>>());
            static_cast<void>(value.as<std::vector<int>>());
            static_cast<void>(value.as<std::int8_t>());
        }
        for (auto const& a : header.tensors) {
            require(header.data_offset + a.offset + a.bytes <= file.size());
            require(a.offset % header.alignment == 0);
            for (auto const& b : header.tensors)
                require(&a == &b || a.offset + a.bytes <= b.offset ||
                        b.offset + b.bytes <= a.offset);
        }
    } catch (qtk::io_error const&) {
    }
    return 0;
}
