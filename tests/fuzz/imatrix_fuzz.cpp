// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as an importance matrix, in both forms: a refusal, or entries whose values are means of squares.
#include <qtk/io/imatrix_file.hpp>

#include "fuzz_target.hpp"

namespace {

void read(std::uint8_t const* data, std::size_t size) {
    fuzz::memory_file const file(data, size);
    try {
        auto const found = qtk::imatrix_file::open(file.path());
        fuzz::require(!found.entries().empty());
        for (auto const& [name, entry] : found.entries()) {
            fuzz::require(!name.empty() && entry.columns > 0 && !entry.counts.empty());
            fuzz::require(entry.importance.size() == entry.columns * entry.counts.size());
            for (float const v : entry.importance)
                fuzz::require(v >= 0.0f && !qtk::is_nonfinite(v));
        }
    } catch (qtk::error const&) {
    }
}

}  // namespace

QTK_FUZZ_TARGET(imatrix) {
    read(data, size);
    // The GGUF form, whose start is written here: version 3, the counts one byte each.
    if (size < 2) return 0;
    std::vector<std::uint8_t> file{'G', 'G', 'U', 'F', 3, 0, 0, 0};
    for (int i = 0; i < 2; ++i) {
        file.push_back(static_cast<std::uint8_t>(data[i] % 8));
        file.insert(file.end(), 7, 0);
    }
    file.insert(file.end(), data + 2, data + size);
    read(file.data(), file.size());
    return 0;
}
