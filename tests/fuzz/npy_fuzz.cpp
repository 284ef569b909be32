// SPDX-License-Identifier: Apache-2.0
//
// Any bytes after the signature of a .npy file: a header or a refusal.
#include <qtk/io/npy.hpp>

#include "fuzz_target.hpp"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <vector>

QTK_FUZZ_TARGET(npy) {
    std::string_view const signature = "\x93NUMPY";
    std::vector<std::byte> file;
    for (char const c : signature) file.push_back(static_cast<std::byte>(c));
    std::transform(data, data + size, std::back_inserter(file),
                   [](std::uint8_t byte) { return std::byte{byte}; });
    try {
        static_cast<void>(qtk::parse_npy_header(file, "fuzz"));
    } catch (qtk::error const&) {
    }
    return 0;
}
