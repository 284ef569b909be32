// SPDX-License-Identifier: Apache-2.0
//
// Which quantized matrices are GGUF blocks already? Those whose grid some block type has: fields of as many
// bits, a scale for 32 columns or for a whole number of 32. Codes that a method has found (GPTQ) go into such
// a file as they are, where encode_gguf_row() would choose others for the same floats.
//
//   scheme      type    a block holds
//   i4 sym      q4_0    d = scale;  value d (q - 8)
//   i4 asym     q4_1    d = scale, m = -zero d;  value d q + m
//   i5 sym      q5_0    as q4_0, of fields of 5 bits and 16
//   i5 asym     q5_1    as q4_1
//   i8 sym      q8_0    d = scale;  value d q, q signed
//   e2m1 e8m0   mxfp4   e = the scale's exponent
//
// Fields are never changed. d and m are IEEE halves: scales of f16 are kept, others are rounded. m is rounded
// where -zero d needs more than the 11 bits of a half, by at most 2^-11 of itself: zero / 2048 of a step, so
// that zero is no longer a code. is_exact says whether anything was rounded. Decoded blocks are then the
// same floats as the codes; but mxfp4 reads the code of -0 as 0.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/gguf_blocks.hpp>
#include <qtk/format/half.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/format/scale.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// Columns of every block type here.
inline constexpr std::size_t gguf_code_columns = 32;

/// For messages: what has a type, at its narrowest group.
inline constexpr char const* gguf_code_schemes =
    "i4/g32/sym (q4_0), i4/g32/asym (q4_1), i5/g32/sym (q5_0), i5/g32/asym (q5_1), i8/g32/sym "
    "(q8_0) or e2m1/g32/sym/e8m0 (mxfp4), groups of 32 or a multiple";

/// The type whose blocks hold codes of the scheme; nothing where no type has its grid. A whole row or tensor
/// under one scale counts as a multiple of 32 columns, which its matrix must be.
[[nodiscard]] constexpr std::optional<gguf_type> gguf_type_for(scheme const& s) noexcept {
    if (!is_valid(s) || s.grain.cols % static_cast<int>(gguf_code_columns) != 0)
        return std::nullopt;
    if (s.element == e2m1)
        return s.scale == scale_type::e8m0 ? std::optional(gguf_type::mxfp4) : std::nullopt;
    if (!s.element.is_integer()) return std::nullopt;
    switch (s.element.bits) {
        case 4:
            return s.has_zero_point() ? gguf_type::q4_1 : gguf_type::q4_0;
        case 5:
            return s.has_zero_point() ? gguf_type::q5_1 : gguf_type::q5_0;
        case 8:
            return s.has_zero_point() ? std::nullopt : std::optional(gguf_type::q8_0);
        default:
            return std::nullopt;
    }
}

/// Codes as they lie in a GGUF file, and what was lost on the way.
struct gguf_codes {
    std::vector<std::uint8_t> blocks;  ///< row by row, as in gguf_view
    gguf_type type = gguf_type::q4_0;
    /// The blocks stand for the same floats as the matrix.
    bool is_exact = true;
    /// max |stored - meant| / |meant| of all scales and lowest values m.
    double largest_change = 0.0;
};

namespace detail {

using code_fields = std::array<std::uint8_t, gguf_code_columns>;

/// f.operator()<Block>() for a type of gguf_type_for(). Throws value_error for every other one.
template <typename F>
decltype(auto) with_code_block(gguf_type type, F&& f) {
    switch (type) {
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
        case gguf_type::mxfp4:
            return f.template operator()<mxfp4_block>();
        default:
            throw value_error("gguf: the blocks of " + std::string(name_of(type)) +
                              " hold no codes of a scheme; expected q4_0, q4_1, q5_0, q5_1, q8_0 "
                              "or mxfp4");
    }
}
template <typename Block>
concept has_lowest_value = requires(Block const& block) {
    block.m;
};

template <typename Block>
constexpr void put_fields(Block& block, code_fields const& fields) noexcept {
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if constexpr (requires { block.codes; })
            block.codes[i] = static_cast<std::int8_t>(fields[i] - 128);
        else if constexpr (requires { block.high; })
            put_five_bits(block.high, block.nibbles, i, fields[i]);
        else
            block.nibbles[i % 16] =
                static_cast<std::uint8_t>(block.nibbles[i % 16] | fields[i] << (i < 16 ? 0 : 4));
    }
}
template <typename Block>
[[nodiscard]] constexpr code_fields fields_of(Block const& block) noexcept {
    code_fields fields{};
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if constexpr (requires { block.codes; })
            fields[i] = static_cast<std::uint8_t>(block.codes[i] + 128);
        else if constexpr (requires { block.high; })
            fields[i] = static_cast<std::uint8_t>(five_bits(block.high, block.nibbles, i));
        else
            fields[i] = static_cast<std::uint8_t>(block.nibbles[i % 16] >> (i < 16 ? 0 : 4) & 15);
    }
    return fields;
}

/// Notes what became of a number. Throws value_error if it became none.
inline void note_stored(gguf_codes& codes, float meant, float stored, std::size_t row,
                        std::size_t block) {
    if (is_nonfinite(stored) || is_nonfinite(meant))
        throw value_error("gguf: row " + std::to_string(row) + ", block " + std::to_string(block) +
                          ": " + std::to_string(meant) + " is no number that " +
                          std::string(name_of(codes.type)) +
                          " can hold. Hint: f16 scales, at most "
                          "65504, lowest values too");
    if (meant == stored) return;
    codes.is_exact = false;
    auto const was = static_cast<double>(meant), is = static_cast<double>(stored);
    codes.largest_change = std::max(codes.largest_change, std::abs(is - was) / std::abs(was));
}

/// Scale and zero point to the head of a block.
template <typename Block>
void put_params(Block& block, tile_params const& params, gguf_codes& codes, std::size_t row,
                std::size_t at) {
    if constexpr (requires { block.e; }) {
        block.e = static_cast<std::uint8_t>(store_scale(scale_type::e8m0, params.scale));
        // 255 is a number for ggml, NaN for the scheme.
        note_stored(codes, params.scale, load_scale(scale_type::e8m0, block.e), row, at);
    } else {
        // A scale that is too small becomes the smallest half, as everywhere (format/scale.hpp).
        std::uint32_t const half =
            params.scale == 0.0f ? 0u : store_scale(scale_type::f16, params.scale);
        float const scale = load_scale(scale_type::f16, half);
        block.d = f16_bytes(scale);
        note_stored(codes, params.scale, scale, row, at);
        if constexpr (has_lowest_value<Block>) {
            // 5 bits times 11: exact.
            float const low = params.zero == 0 ? 0.0f : static_cast<float>(-params.zero) * scale;
            block.m = f16_bytes(low);
            note_stored(codes, low, little_endian_f16(block.m), row, at);
        }
    }
}

/// The zero point that d and m stand for; nothing where m is no whole multiple of -d within the fields.
[[nodiscard]] inline std::optional<std::uint8_t> zero_between(float scale, float low,
                                                              int fields) noexcept {
    for (int zero = 0; zero < fields; ++zero)
        if (static_cast<float>(-zero) * scale == low) return static_cast<std::uint8_t>(zero);
    return std::nullopt;
}

/// The scheme whose codes blocks hold, with one scale a block.
template <typename Block>
[[nodiscard]] constexpr scheme scheme_of_block() noexcept {
    if constexpr (Block::type == gguf_type::mxfp4) return mxfp4;
    scheme s{.element = i4, .grain = per_group(32), .scale = scale_type::f16};
    if constexpr (requires(Block const& block) { block.codes; })
        s.element = i8;
    else if constexpr (requires(Block const& block) { block.high; })
        s.element = i5;
    if constexpr (has_lowest_value<Block>) s.zero = origin::floating;
    return s;
}

}  // namespace detail

/// Codes to the blocks that hold them. Throws value_error for a scheme without a type and for a scale that is
/// not finite or too large for a half, shape_error unless rows are whole blocks.
[[nodiscard]] inline gguf_codes encode_gguf_codes(any_qmatrix const& q) {
    auto const type = gguf_type_for(q.scheme());
    if (!type)
        throw value_error("gguf: no block type has the grid of " + to_string(q.scheme()) +
                          "; expected " + gguf_code_schemes);
    std::size_t const across = q.cols() / gguf_code_columns;
    if (q.cols() % gguf_code_columns != 0)
        throw shape_error("gguf: " + std::string(name_of(*type)) + " of " +
                          std::to_string(q.rows()) + " x " + std::to_string(q.cols()) +
                          ": expected columns in a multiple of 32, the values of a block");
    gguf_codes codes{.blocks = {}, .type = *type};
    detail::with_code_block(*type, [&]<typename Block>() {
        codes.blocks.resize(checked_mul(checked_mul(q.rows(), across), sizeof(Block)));
        tile_grid const& grid = q.grid();
        std::vector<std::uint8_t> row(q.cols());
        std::uint8_t* to = codes.blocks.data();
        for (std::size_t r = 0; r < q.rows(); ++r) {
            unpack_fields(q.row_codes(r), q.scheme().element.bits, row);
            for (std::size_t b = 0; b < across; ++b, to += sizeof(Block)) {
                std::size_t const first = b * gguf_code_columns;
                detail::code_fields fields;
                std::copy_n(row.data() + first, fields.size(), fields.data());
                Block block{};
                detail::put_params(block, q.params(r / grid.rows, first / grid.cols), codes, r, b);
                detail::put_fields(block, fields);
                std::memcpy(to, &block, sizeof block);
            }
        }
    });
    return codes;
}

/// Blocks to the codes that they hold, without loss: i4, i5 or i8 with f16 scales, or mxfp4, in groups of 32.
/// Throws value_error for another type, and for a block of q4_1 or q5_1 whose m is no whole multiple of -d, which
/// has no zero point; what require_gguf() throws.
[[nodiscard]] inline any_qmatrix decode_gguf_codes(gguf_view const& w) {
    return detail::with_code_block(w.type, [&]<typename Block>() {
        require_gguf(w);
        constexpr scheme s = detail::scheme_of_block<Block>();
        static_assert(gguf_type_for(s) == Block::type);
        std::size_t const across = w.row_blocks();
        std::vector<std::uint8_t> codes, scales, zeros, row(w.cols);
        std::vector<std::uint8_t> packed(packed_bytes(w.cols, s.element.bits));
        for (std::size_t r = 0; r < w.rows; ++r) {
            for (std::size_t b = 0; b < across; ++b) {
                auto const block = read_block<Block>(w.row(r) + b * sizeof(Block));
                detail::code_fields const fields = detail::fields_of(block);
                std::copy_n(fields.data(), fields.size(), row.data() + b * gguf_code_columns);
                if constexpr (requires { block.e; }) {
                    if (block.e == 255)
                        throw value_error("gguf: row " + std::to_string(r) + ", block " +
                                          std::to_string(b) +
                                          ": the exponent 255, which is NaN for " + to_string(s));
                    scales.push_back(block.e);
                } else {
                    scales.insert(scales.end(), block.d.begin(), block.d.end());
                }
                if constexpr (detail::has_lowest_value<Block>) {
                    float const d = detail::little_endian_f16(block.d),
                                m = detail::little_endian_f16(block.m);
                    auto const zero = detail::zero_between(d, m, s.element.patterns());
                    if (!zero)
                        throw value_error(
                            "gguf: row " + std::to_string(r) + ", block " + std::to_string(b) +
                            ": the lowest value " + std::to_string(m) +
                            " is no whole multiple of -" + std::to_string(d) + " up to " +
                            std::to_string(s.element.patterns() - 1) + ", so no code is zero");
                    zeros.push_back(*zero);
                }
            }
            pack_fields(row, s.element.bits, packed);
            codes.insert(codes.end(), packed.begin(), packed.end());
        }
        std::vector<std::uint8_t> zero_stream(
            s.has_zero_point() ? packed_bytes(zeros.size(), s.element.bits) : 0);
        pack_fields(zeros, s.element.bits, zero_stream);
        return any_qmatrix(s, w.rows, w.cols, std::move(codes), std::move(scales),
                           std::move(zero_stream));
    });
}

static_assert(gguf_type_for(mxfp4) == gguf_type::mxfp4 && !gguf_type_for(nvfp4));
static_assert(gguf_type_for({.element = u4, .grain = per_group(64)}) == gguf_type::q4_0);
static_assert(!gguf_type_for({.element = i4, .grain = per_group(16)}));

}  // namespace qtk
