// SPDX-License-Identifier: Apache-2.0
//
// Any bytes: either a refusal, or keys and tensors that lie inside the file, apart from each other.
#include <qtk/io/gguf_header.hpp>

#include "fuzz_target.hpp"
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

bool is_inside(std::span<std::byte const> part, std::span<std::byte const> file) {
    return part.empty() ||
           (part.data() >= file.data() && part.data() + part.size() <= file.data() + file.size());
}

}  // namespace

QTK_FUZZ_TARGET(gguf) {
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
        fuzz::require(header.tensors.size() == tensors && header.metadata.entries().size() == keys);
        for (auto const& [key, value] : header.metadata.entries()) {
            fuzz::require(header.metadata.find(key) == &value);
            fuzz::require(is_inside(value.payload(), file));
            for (std::string_view const text : value.strings())
                fuzz::require(is_inside(std::as_bytes(std::span(text)), file));
            fuzz::require(!value.describe().empty());
            static_cast<void>(value.as<std::vector<float>>());
            static_cast<void>(value.as<std::vector<int>>());
            static_cast<void>(value.as<std::int8_t>());
        }
        for (auto const& a : header.tensors) {
            fuzz::require(header.data_offset + a.offset + a.bytes <= file.size());
            fuzz::require(a.offset % header.alignment == 0);
            for (auto const& b : header.tensors)
                fuzz::require(&a == &b || a.offset + a.bytes <= b.offset ||
                              b.offset + b.bytes <= a.offset);
        }
    } catch (qtk::io_error const&) {
    }
    return 0;
}
