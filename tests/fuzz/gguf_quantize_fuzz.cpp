// SPDX-License-Identifier: Apache-2.0
//
// Any finite floats, with or without importance, as blocks of any GGUF type: the same bytes each time, and
// values of an ordinary size come back no further away than the largest of their block.
#include <qtk/format/gguf_encode.hpp>

#include "kernel_input.hpp"
#include <cmath>

QTK_FUZZ_TARGET(gguf_quantize) {
    fuzz::cursor in(data, size);
    auto const& entry = qtk::known_gguf_types[in.below(qtk::known_gguf_types.size())];
    if (!qtk::has_gguf_decoder(entry.type)) return 0;
    std::size_t const cols = entry.values * (1 + in.below(entry.values == 1 ? 40 : 2));
    unsigned const flags = in.byte();
    bool const is_wild = flags % 4 == 0, is_weighted = flags / 4 % 2 == 0;
    std::vector<float> x(cols), importance(is_weighted ? cols : 0), back(cols);
    for (float& v : x) {
        v = is_wild ? fuzz::any_float(in) : fuzz::plain_float(in);
        if (!std::isfinite(v)) v = 0.0f;
    }
    for (float& v : importance) v = std::fabs(fuzz::plain_float(in));
    std::vector<std::uint8_t> bytes(cols / entry.values * entry.bytes), again(bytes.size());
    qtk::encode_gguf_row(entry.type, x, bytes, importance);
    qtk::encode_gguf_row(entry.type, x, again, importance);
    fuzz::require(bytes == again);
    qtk::decode_gguf_row({entry.type, bytes, 1, cols}, 0, back);
    if (is_wild || is_weighted) return 0;
    for (std::size_t b = 0; b < cols; b += entry.values) {
        float largest = 0.0f;
        for (std::size_t i = b; i < b + entry.values; ++i)
            largest = std::max(largest, std::fabs(x[i]));
        for (std::size_t i = b; i < b + entry.values; ++i)
            fuzz::require(std::fabs(x[i] - back[i]) <= largest * 1.01f + 1e-6f);
    }
    return 0;
}
