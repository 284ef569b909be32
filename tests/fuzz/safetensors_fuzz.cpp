// SPDX-License-Identifier: Apache-2.0
//
// Any bytes: either a refusal, or tensors that tile the rest of the file without gap or overlap.
#include <qtk/io/safetensors_header.hpp>

#include "fuzz_target.hpp"
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

QTK_FUZZ_TARGET(safetensors) {
    // The length prefix is written here: a fuzzer would spend its time guessing eight bytes.
    std::uint64_t const length = size / 2;
    std::vector<std::byte> file(8 + size);
    std::memcpy(file.data(), &length, 8);
    if (size != 0) std::memcpy(file.data() + 8, data, size);
    try {
        auto const header = qtk::parse_safetensors_header(file, "fuzz");
        std::uint64_t end = 0;
        for (auto const& tensor : header.tensors) {
            fuzz::require(tensor.begin == end && tensor.end >= tensor.begin);
            end = tensor.end;
        }
        fuzz::require(header.data_offset + end == file.size());
    } catch (qtk::error const&) {
    }
    return 0;
}
