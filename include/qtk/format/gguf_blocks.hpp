// SPDX-License-Identifier: Apache-2.0
//
// How do weights lie in a GGUF file? In blocks that never cross a row, each with its own scales; a
// block may lie at any address. This is the front of the headers that know one kind each:
//
//   gguf_float_blocks.hpp   f32, f16, bf16                  one value a block
//   gguf_legacy_blocks.hpp  q4_0, q4_1, q5_0, q5_1, q8_0    32 values
//   gguf_k_blocks.hpp       q2_K, q3_K, q4_K, q5_K, q6_K    256 values, scales with a scale
//   gguf_table_blocks.hpp   iq4_nl, mxfp4, iq4_xs           32 and 256 values, levels from a table
//
// The other types of gguf_type.hpp have no decoder here. gguf_encode.hpp has all quantizers.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/format/gguf_float_blocks.hpp>
#include <qtk/format/gguf_k_blocks.hpp>
#include <qtk/format/gguf_legacy_blocks.hpp>
#include <qtk/format/gguf_table_blocks.hpp>
#include <qtk/format/gguf_type.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace qtk {

/// A block from anywhere in memory.
template <typename Block>
[[nodiscard]] Block read_block(std::uint8_t const* bytes) noexcept {
    Block block;
    std::memcpy(&block, bytes, sizeof block);
    return block;
}

/// Does with_gguf_block know the type?
[[nodiscard]] constexpr bool has_gguf_decoder(gguf_type type) noexcept {
    switch (type) {
        case gguf_type::f32:
        case gguf_type::f16:
        case gguf_type::q4_0:
        case gguf_type::q4_1:
        case gguf_type::q5_0:
        case gguf_type::q5_1:
        case gguf_type::q8_0:
        case gguf_type::q2_K:
        case gguf_type::q3_K:
        case gguf_type::q4_K:
        case gguf_type::q5_K:
        case gguf_type::q6_K:
        case gguf_type::iq4_nl:
        case gguf_type::iq4_xs:
        case gguf_type::bf16:
        case gguf_type::mxfp4:
            return true;
        default:
            return false;
    }
}

/// `f.operator()<Block>()` for the block of `type`. Throws value_error for a type without a decoder and
/// for a number that is none.
template <typename F>
constexpr decltype(auto) with_gguf_block(gguf_type type, F&& f) {
    switch (type) {
        case gguf_type::f32:
            return f.template operator()<f32_block>();
        case gguf_type::f16:
            return f.template operator()<f16_block>();
        case gguf_type::q4_0:
            return f.template operator()<q4_0_block>();
        case gguf_type::q4_1:
            return f.template operator()<q4_1_block>();
        case gguf_type::q5_0:
            return f.template operator()<q5_0_block>();
        case gguf_type::q5_1:
            return f.template operator()<q5_1_block>();
        case gguf_type::q8_0:
            return f.template operator()<q8_0_block>();
        case gguf_type::q2_K:
            return f.template operator()<q2_K_block>();
        case gguf_type::q3_K:
            return f.template operator()<q3_K_block>();
        case gguf_type::q4_K:
            return f.template operator()<q4_K_block>();
        case gguf_type::q5_K:
            return f.template operator()<q5_K_block>();
        case gguf_type::q6_K:
            return f.template operator()<q6_K_block>();
        case gguf_type::iq4_nl:
            return f.template operator()<iq4_nl_block>();
        case gguf_type::iq4_xs:
            return f.template operator()<iq4_xs_block>();
        case gguf_type::bf16:
            return f.template operator()<bf16_block>();
        case gguf_type::mxfp4:
            return f.template operator()<mxfp4_block>();
        default:
            break;
    }
    throw value_error(
        "gguf: type " + std::to_string(static_cast<std::uint32_t>(type)) + " (" +
        std::string(name_of(type)) +
        ") has no decoder here; expected f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q2_K, q3_K, "
        "q4_K, q5_K, q6_K, iq4_nl, iq4_xs or mxfp4");
}

/// Weights [rows, cols] as they lie in the file: a row is cols / values blocks. Borrows the bytes.
struct gguf_view {
    gguf_type type = gguf_type::f32;
    std::span<std::uint8_t const> bytes;
    std::size_t rows = 0, cols = 0;

    [[nodiscard]] constexpr std::size_t block_values() const {
        return with_gguf_block(type, []<typename B>() { return B::values; });
    }
    [[nodiscard]] constexpr std::size_t block_bytes() const {
        return with_gguf_block(type, []<typename B>() { return sizeof(B); });
    }
    [[nodiscard]] constexpr std::size_t row_blocks() const { return cols / block_values(); }
    [[nodiscard]] constexpr std::uint8_t const* row(std::size_t r) const {
        return bytes.data() + r * row_blocks() * block_bytes();
    }
};

/// Throws value_error for an unknown type, shape_error if cols is no multiple of the block or the
/// bytes are not exactly those of rows x cols.
inline void require_gguf(gguf_view const& w) {
    std::size_t const values = w.block_values();
    std::string const name = "gguf: " + std::string(name_of(w.type)) + " of " +
                             std::to_string(w.rows) + " x " + std::to_string(w.cols);
    if (w.cols % values != 0)
        throw shape_error(name + ": expected columns in a multiple of " + std::to_string(values) +
                          ", the values of a block");
    std::size_t const bytes = checked_mul(checked_mul(w.rows, w.cols / values), w.block_bytes());
    if (w.bytes.size() != bytes)
        throw shape_error(name + ": expected " + std::to_string(bytes) + " bytes, found " +
                          std::to_string(w.bytes.size()));
}

/// Row r of the weights as floats: what every decoder of GGUF gives.
inline void decode_gguf_row(gguf_view const& w, std::size_t r, std::span<float> to) {
    with_gguf_block(w.type, [&]<typename B>() {
        for (std::size_t b = 0; b < w.cols / B::values; ++b)
            read_block<B>(w.row(r) + b * sizeof(B))
                .decode(to.subspan(b * B::values).template first<B::values>());
    });
}

static_assert(
    [] {
        for (auto const& entry : known_gguf_types)
            if (has_gguf_decoder(entry.type) &&
                !with_gguf_block(entry.type, [&entry]<typename B>() {
                    return B::type == entry.type && B::values == entry.values &&
                           sizeof(B) == entry.bytes;
                }))
                return false;
        return true;
    }(),
    "the structs are as long as the table says");

}  // namespace qtk
