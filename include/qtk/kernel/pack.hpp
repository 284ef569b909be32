// SPDX-License-Identifier: Apache-2.0
//
// How are many fields packed and unpacked at the speed of memory? The canonical stream of
// format/pack.hpp, which is the meaning; whole blocks go through vectors, what is left through the
// words of pack_fields.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/kernel/avx2/pack.hpp>
#include <qtk/kernel/avx512/pack.hpp>
#include <qtk/kernel/isa.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk {
inline namespace QTK_ABI_NS {

/// pack_fields with the instructions of `set`, which must be usable.
inline void pack_fields(instruction_set set, std::span<std::uint8_t const> fields, int bits,
                        std::span<std::uint8_t> bytes) noexcept {
    QTK_EXPECTS(bits >= 1 && bits <= 8 && bytes.size() >= packed_bytes(fields.size(), bits));
    std::size_t done = 0;
#if QTK_HAS_X86
    if (set >= instruction_set::avx512)
        done = avx512::pack_blocks(fields.data(), fields.size(), bits, bytes.data());
    else if (set == instruction_set::avx2)
        done = avx2::pack_blocks(fields.data(), fields.size(), bits, bytes.data());
#endif
    static_cast<void>(set);
    if (done < fields.size())
        qtk::pack_fields(fields.subspan(done), bits, bytes.subspan(packed_bytes(done, bits)));
}

/// unpack_fields with the instructions of `set`, which must be usable.
inline void unpack_fields(instruction_set set, std::span<std::uint8_t const> bytes, int bits,
                          std::span<std::uint8_t> fields) noexcept {
    QTK_EXPECTS(bits >= 1 && bits <= 8 && bytes.size() >= packed_bytes(fields.size(), bits));
    std::size_t done = 0;
#if QTK_HAS_X86
    std::uint8_t const* const end = bytes.data() + bytes.size();
    if (set >= instruction_set::avx512)
        done = avx512::unpack_blocks(bytes.data(), end, bits, fields.data(), fields.size());
    else if (set == instruction_set::avx2)
        done = avx2::unpack_blocks(bytes.data(), end, bits, fields.data(), fields.size());
#endif
    static_cast<void>(set);
    if (done < fields.size())
        qtk::unpack_fields(bytes.subspan(packed_bytes(done, bits)), bits, fields.subspan(done));
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
