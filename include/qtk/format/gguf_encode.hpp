// SPDX-License-Identifier: Apache-2.0
//
// How do floats become GGUF blocks? Every type with a decoder has a quantizer here: the reference one of
// ggml. For a fixed input of 256 values all bytes of all 13 block types are ggml's, and for 2^20 normal
// values the error is ggml's to the eight digits that are known.
//
// K types and iq4_xs look for scales first (gguf_k_search.hpp), then the scales themselves become
// integers of the largest one, and every code is chosen again for what the integers and the half give.
#pragma once

#include <qtk/format/gguf_blocks.hpp>
#include <qtk/format/gguf_k_search.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace qtk {
namespace detail {

/// q2_K, q4_K and q5_K: runs with a scale and a minimum. `most` is the largest integer of both.
template <typename Block, std::size_t Run>
[[nodiscard]] Block encode_affine(std::span<float const, 256> x, affine_search const& how,
                                  int most) noexcept {
    constexpr std::size_t runs = 256 / Run;
    std::array<affine_scale, runs> found{};
    float largest_scale = 0.0f, largest_minimum = 0.0f;
    for (std::size_t s = 0; s < runs; ++s) {
        auto const run = x.subspan(Run * s, Run);
        std::array<float, Run> weights{};
        // q2_K weighs by |x|, the others by |x| + the root of the mean square.
        float average = 0.0f;
        if (how.error == run_error::squared) {
            for (float const v : run) average += rounded_product(v, v);
            average = std::sqrt(average / static_cast<float>(Run));
        }
        for (std::size_t i = 0; i < Run; ++i) weights[i] = average + magnitude_of(run[i]);
        found[s] = affine_run(how, run, weights);
        largest_scale = found[s].scale > largest_scale ? found[s].scale : largest_scale;
        largest_minimum = found[s].minimum > largest_minimum ? found[s].minimum : largest_minimum;
    }
    Block block{};
    float const top = static_cast<float>(most);
    block.d = f16_bytes(largest_scale / top);
    block.dmin = f16_bytes(largest_minimum / top);
    float const for_scales = largest_scale > 0.0f ? top / largest_scale : 0.0f,
                for_minima = largest_minimum > 0.0f ? top / largest_minimum : 0.0f;
    for (std::size_t s = 0; s < runs; ++s)
        block.put_scale(
            s,
            static_cast<unsigned>(nearest_in(rounded_product(for_scales, found[s].scale), 0, most)),
            static_cast<unsigned>(
                nearest_in(rounded_product(for_minima, found[s].minimum), 0, most)));
    for (std::size_t s = 0; s < runs; ++s) {
        float const scale = little_endian_f16(block.d) * static_cast<float>(block.scale(s)),
                    low = little_endian_f16(block.dmin) * static_cast<float>(block.minimum(s));
        for (std::size_t i = Run * s; i < Run * s + Run; ++i)
            block.put_field(i, scale != 0.0f ? static_cast<unsigned>(
                                                   nearest_in((x[i] + low) / scale, 0, how.nmax))
                                             : 0u);
    }
    return block;
}

/// The integers of 16 signed scales: the first largest becomes -most. Gives 1 / d.
[[nodiscard]] inline float factor_of_scales(std::span<float const> scales, float most) noexcept {
    float const largest = largest_with_sign(scales);
    return magnitude_of(largest) < least_magnitude ? 0.0f : -most / largest;
}

[[nodiscard]] inline q3_K_block encode_q3_K(std::span<float const, 256> x) noexcept {
    std::array<float, 16> scales{};
    std::array<int, 256> codes{};
    for (std::size_t s = 0; s < 16; ++s)
        scales[s] = descended_run(4, x.subspan(16 * s, 16), std::span(codes).subspan(16 * s, 16));
    q3_K_block block{};
    float const factor = factor_of_scales(scales, 32.0f);
    block.d = f16_bytes(inverse_or_zero(factor));
    for (std::size_t s = 0; s < 16; ++s) {
        int const integer = nearest_in(rounded_product(factor, scales[s]), -32, 31);
        block.put_scale(s, static_cast<unsigned>(integer + 32));
        float const scale = little_endian_f16(block.d) * static_cast<float>(integer);
        for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) {
            if (scale != 0.0f) codes[i] = nearest_in(x[i] / scale, -4, 3);
            block.put_field(i, static_cast<unsigned>(codes[i] + 4));
        }
    }
    return block;
}

[[nodiscard]] inline q6_K_block encode_q6_K(std::span<float const, 256> x) noexcept {
    std::array<float, 16> scales{};
    std::array<int, 256> codes{};
    for (std::size_t s = 0; s < 16; ++s)
        scales[s] = signed_run(32, x.subspan(16 * s, 16), std::span(codes).subspan(16 * s, 16));
    q6_K_block block{};
    float const factor = factor_of_scales(scales, 128.0f);
    if (factor == 0.0f) return block;
    block.d = f16_bytes(1.0f / factor);
    for (std::size_t s = 0; s < 16; ++s) {
        int const integer = nearest_in(rounded_product(factor, scales[s]), -128, 127);
        block.scales[s] = static_cast<std::int8_t>(integer);
        float const scale = little_endian_f16(block.d) * static_cast<float>(integer);
        for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) {
            if (scale != 0.0f) codes[i] = nearest_in(x[i] / scale, -32, 31);
            block.put_field(i, static_cast<unsigned>(codes[i] + 32));
        }
    }
    return block;
}

[[nodiscard]] inline iq4_xs_block encode_iq4_xs(std::span<float const, 256> x) noexcept {
    std::array<float, 8> scales{};
    for (std::size_t s = 0; s < 8; ++s) scales[s] = levels_run(x.subspan(32 * s, 32));
    iq4_xs_block block{};
    float const d = largest_with_sign(scales) / -32.0f, factor = inverse_or_zero(d);
    block.d = f16_bytes(d);
    for (std::size_t s = 0; s < 8; ++s) {
        int const integer = nearest_in(rounded_product(factor, scales[s]), -32, 31);
        block.put_scale(s, static_cast<unsigned>(integer + 32));
        float const inverse = inverse_or_zero(d * static_cast<float>(integer));
        for (std::size_t i = 32 * s; i < 32 * s + 32; ++i)
            block.put_field(i, nearest_iq4(rounded_product(inverse, x[i])));
    }
    return block;
}

}  // namespace detail

/// Floats to one block. x must be finite.
template <typename Block>
[[nodiscard]] Block encode_gguf_block(std::span<float const, Block::values> x) noexcept {
    using detail::run_error;
    if constexpr (requires { Block::encode(x); })
        return Block::encode(x);
    else if constexpr (Block::type == gguf_type::q2_K)
        return detail::encode_affine<Block, 16>(x, {3, -0.5f, 15, run_error::absolute}, 15);
    else if constexpr (Block::type == gguf_type::q4_K)
        return detail::encode_affine<Block, 32>(x, {15, -1.0f, 20, run_error::squared}, 63);
    else if constexpr (Block::type == gguf_type::q5_K)
        return detail::encode_affine<Block, 32>(x, {31, -0.5f, 15, run_error::squared}, 63);
    else if constexpr (Block::type == gguf_type::q3_K)
        return detail::encode_q3_K(x);
    else if constexpr (Block::type == gguf_type::q6_K)
        return detail::encode_q6_K(x);
    else
        return detail::encode_iq4_xs(x);
}

/// One row of floats to the bytes of its blocks. Throws value_error for a type without a quantizer,
/// shape_error if x is no whole number of blocks or `to` has another size. x must be finite.
inline void encode_gguf_row(gguf_type type, std::span<float const> x, std::span<std::uint8_t> to) {
    require_gguf({type, to, 1, x.size()});
    with_gguf_block(type, [&]<typename Block>() {
        for (std::size_t b = 0; b < x.size() / Block::values; ++b) {
            Block const block = encode_gguf_block<Block>(
                x.subspan(b * Block::values).template first<Block::values>());
            std::memcpy(to.data() + b * sizeof(Block), &block, sizeof(Block));
        }
    });
}

}  // namespace qtk
