// SPDX-License-Identifier: Apache-2.0
//
// GGUF files made by hand, good ones and bad ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace test {

template <typename T>
std::string number(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
}
inline std::string u32(std::uint32_t value) {
    return number(value);
}
inline std::string u64(std::uint64_t value) {
    return number(value);
}
inline std::string text(std::string_view content) {
    return u64(content.size()).append(content);
}
inline std::string key(std::string_view name, std::uint32_t kind, std::string const& value) {
    return text(name) + u32(kind) + value;
}
inline std::string tensor(std::string_view name, std::vector<std::uint64_t> const& dims,
                          std::uint32_t type, std::uint64_t offset) {
    std::string bytes = text(name) + u32(static_cast<std::uint32_t>(dims.size()));
    for (std::uint64_t const side : dims) bytes += u64(side);
    return bytes + u32(type) + u64(offset);
}
/// A file of these keys, tensors and `data` bytes of data.
inline std::string gguf(std::vector<std::string> const& keys,
                        std::vector<std::string> const& tensors = {}, std::size_t data = 0,
                        std::uint32_t version = 3, std::size_t alignment = 32) {
    std::string file = "GGUF" + u32(version) + u64(tensors.size()) + u64(keys.size());
    for (auto const& one : keys) file += one;
    for (auto const& one : tensors) file += one;
    if (data > 0) file.resize((file.size() + alignment - 1) / alignment * alignment + data, '\1');
    return file;
}

}  // namespace test
