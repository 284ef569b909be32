// SPDX-License-Identifier: Apache-2.0
//
// Any bytes: either a refusal, or tensors that tile the rest of the file without gap or overlap.
#include <qtk/io/safetensors_header.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    // The length prefix is written here: a fuzzer would spend its time guessing eight bytes.
    std::uint64_t const length = size / 2;
    std::vector<std::byte> file(8 + size);
    std::memcpy(file.data(), &length, 8);
    if (size != 0) std::memcpy(file.data() + 8, data, size);
    try {
        auto const header = qtk::parse_safetensors_header(file, "fuzz");
        std::uint64_t end = 0;
        for (auto const& tensor : header.tensors) {
            if (tensor.begin != end || tensor.end < tensor.begin) std::abort();
            end = tensor.end;
        }
        if (header.data_offset + end != file.size()) std::abort();
    } catch (qtk::error const&) {
    }
    return 0;
}
