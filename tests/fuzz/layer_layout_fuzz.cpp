// SPDX-License-Identifier: Apache-2.0
//
// Any tensors under any configuration: either a refusal, or codes that go back into the layout and come
// out as the same weight. A configuration is four bytes, a tensor is: suffix, type, rank, sides of two
// bytes, and its bytes, of which the input may have too few.
#include <qtk/io/layer_layout.hpp>

#include "fuzz_target.hpp"
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace {

qtk::quantization_config any_config(fuzz::cursor& in) {
    qtk::quantization_config c;
    c.layout = qtk::weight_layouts[in.byte() % 4].first;
    c.scheme.element = qtk::known_formats[in.byte() % qtk::known_formats.size()].value;
    unsigned const group = in.byte(), flags = in.byte();
    c.scheme.grain = group == 0   ? qtk::per_channel
                     : group == 1 ? qtk::per_tensor
                                  : qtk::granularity{.rows = 1, .cols = static_cast<int>(group)};
    c.scheme.zero = (flags & 1u) != 0 ? qtk::origin::floating : qtk::origin::fixed;
    c.version = (flags & 2u) != 0 ? qtk::gptq_version::v2 : qtk::gptq_version::v1;
    c.has_order = (flags & 4u) != 0;
    c.is_packed = (flags & 8u) == 0;
    if ((flags & 16u) != 0) c.scheme = (flags & 32u) != 0 ? qtk::nvfp4 : qtk::mxfp4;
    c.is_nested = false;
    return c;
}

/// What the file of a layer of bitsandbytes says takes the place of what the configuration does.
void adopt(qtk::quantization_config& c, qtk::any_qmatrix const& q) {
    if (c.layout == qtk::weight_layout::compressed_tensors && c.scheme.element != qtk::e2m1)
        c.scheme.scale = q.scheme().scale;
    if (c.layout == qtk::weight_layout::bitsandbytes) c.scheme = q.scheme();
    if (c.scheme.grain == qtk::per_tensor) c.scheme.grain = qtk::per_channel;
}

}  // namespace

QTK_FUZZ_TARGET(layer_layout) {
    constexpr std::uint64_t most = 1 << 14;
    fuzz::cursor in(data, size);
    qtk::quantization_config config = any_config(in);
    auto const suffixes = qtk::layer_suffixes(config);
    qtk::encoded_layer input;
    while (!in.is_done() && input.tensors.size() < 8) {
        qtk::tensor_plan plan{.suffix = std::string(suffixes[in.byte() % suffixes.size()]),
                              .type = qtk::known_dtypes[in.byte() % qtk::known_dtypes.size()].type,
                              .shape = {}};
        std::uint64_t bits = qtk::bits_of(plan.type);
        for (unsigned rank = in.byte() % 4; rank > 0; --rank) {
            unsigned const low = in.byte(), high = in.byte();
            plan.shape.push_back(low | high << 8);
            bits *= plan.shape.back();
        }
        if (bits % 8 != 0 || bits / 8 > most) return 0;
        input.tensors.push_back(
            {std::move(plan), in.bytes<std::byte>(static_cast<std::size_t>(bits / 8))});
    }
    try {
        auto const found = qtk::read_layer(qtk::layer_tensors(input, "fuzz"), config).weight;
        qtk::require_order(found);
        auto const weight = qtk::decode_in_order(found);
        adopt(config, found.matrix);
        auto const written = qtk::encode_layer(found, config);
        auto const again = qtk::read_layer(qtk::layer_tensors(written, "fuzz"), config).weight;
        fuzz::require(!written.is_exact || qtk::decode_in_order(again) == weight);
    } catch (qtk::error const&) {
    }
    return 0;
}
