// SPDX-License-Identifier: Apache-2.0
//
// Any fields in the words of GPTQ, AWQ, compressed-tensors and bitsandbytes: a refusal of the shape, or
// unpack(pack(x)) == x; and pack(unpack(w)) == w where a layout uses every bit.
#include <qtk/format/awq_packing.hpp>
#include <qtk/format/bitsandbytes_packing.hpp>
#include <qtk/format/compressed_tensors_packing.hpp>
#include <qtk/format/gptq_packing.hpp>

#include "fuzz_target.hpp"

namespace {

void check(int layout, int bits, bool second, qtk::row_major<std::uint8_t> const& x) {
    auto const version = second ? qtk::gptq_version::v2 : qtk::gptq_version::v1;
    auto const fill = second ? qtk::word_fill::stream : qtk::word_fill::whole;
    switch (layout) {
        case 0:
            return fuzz::require(
                qtk::unpack_gptq_weight(qtk::pack_gptq_weight(x.view(), bits).view(), bits) == x);
        case 1:
            return fuzz::require(
                qtk::unpack_gptq_zeros(qtk::pack_gptq_zeros(x.view(), bits, version).view(), bits,
                                       version) == x);
        case 2:
            return fuzz::require(qtk::unpack_awq(qtk::pack_awq(x.view()).view()) == x);
        case 3:
            return fuzz::require(qtk::unpack_compressed_weight(
                                     qtk::pack_compressed_weight(x.view(), bits, fill).view(), bits,
                                     x.cols, fill) == x);
        case 4:
            return fuzz::require(qtk::unpack_compressed_zeros(
                                     qtk::pack_compressed_zeros(x.view(), bits, fill).view(), bits,
                                     x.rows, fill) == x);
        default:
            return fuzz::require(qtk::unpack_bitsandbytes(qtk::pack_bitsandbytes(x.values),
                                                          x.values.size()) == x.values);
    }
}

/// Words of any bits.
void check(int layout, int bits, bool second, qtk::row_major<std::uint32_t> const& w) {
    auto const version = second ? qtk::gptq_version::v2 : qtk::gptq_version::v1;
    if (layout == 0)
        fuzz::require(qtk::pack_gptq_weight(qtk::unpack_gptq_weight(w.view(), bits).view(), bits) ==
                      w);
    if (layout == 1)
        fuzz::require(qtk::pack_gptq_zeros(qtk::unpack_gptq_zeros(w.view(), bits, version).view(),
                                           bits, version) == w);
    if (layout == 2) fuzz::require(qtk::pack_awq(qtk::unpack_awq(w.view()).view()) == w);
}

}  // namespace

QTK_FUZZ_TARGET(checkpoint_packing) {
    fuzz::cursor in(data, size);
    int const layout = static_cast<int>(in.below(6)), bits = 1 + static_cast<int>(in.below(8));
    std::size_t const rows = in.below(65), cols = in.below(65);
    bool const second = in.byte() % 2 != 0;
    qtk::row_major<std::uint8_t> x{rows, cols, in.bytes(rows * cols)};
    // One field in 256 may be too large: a refusal, not a spill.
    for (std::uint8_t& field : x.values)
        if (field != 255) field &= static_cast<std::uint8_t>((1 << bits) - 1);
    qtk::row_major<std::uint32_t> w{.rows = rows, .cols = cols};
    for (std::size_t i = 0; i < w.values.size(); ++i)
        w.values[i] = std::uint32_t{x.values[i]} * 0x01030507u + static_cast<std::uint32_t>(i);
    try {
        check(layout, bits, second, x);
    } catch (qtk::error const&) {
    }
    try {
        check(layout, bits, second, w);
    } catch (qtk::error const&) {
    }
    return 0;
}
