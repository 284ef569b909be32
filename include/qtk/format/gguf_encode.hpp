// SPDX-License-Identifier: Apache-2.0
//
// How do floats become GGUF blocks? Every type with a decoder has a quantizer here: the reference one of
// ggml. For a fixed input of 256 values all bytes of all 13 block types are ggml's, and for 2^20 normal
// values the error is ggml's to the eight digits that are known.
//
// K types and iq4_xs look for scales first (gguf_k_search.hpp), then the scales themselves become
// integers of the largest one, and every code is chosen again for what the integers and the half give.
//
// With an importance of every column (imatrix: mean x_j^2) the searches weigh errors as llama.cpp does
// (gguf_importance.hpp). q8_0 and mxfp4 do not search.
#pragma once

#include <qtk/format/gguf_blocks.hpp>
#include <qtk/format/gguf_importance.hpp>
#include <qtk/format/gguf_k_search.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace qtk {
namespace detail {

/// Integers 0 .. most of scales and minima, and what they are multiplied by.
template <std::size_t Runs>
struct affine_integers {
    float d = 0.0f, dmin = 0.0f;
    std::array<int, Runs> scales{}, minima{};
};

template <std::size_t Run>
[[nodiscard]] affine_integers<256 / Run> search_affine(std::span<float const, 256> x,
                                                       affine_search const& how,
                                                       int most) noexcept {
    constexpr std::size_t runs = 256 / Run;
    std::array<affine_scale, runs> found{};
    float largest_scale = 0.0f, largest_minimum = 0.0f;
    for (std::size_t s = 0; s < runs; ++s) {
        auto const run = x.subspan(Run * s, Run);
        std::array<float, Run> weights{};
        // q2_K weighs by |x|, the others by |x| + the root of the mean square.
        float const average = how.error == run_error::squared ? std::sqrt(mean_square(run)) : 0.0f;
        for (std::size_t i = 0; i < Run; ++i) weights[i] = average + magnitude_of(run[i]);
        found[s] = affine_run(how, run, weights);
        largest_scale = found[s].scale > largest_scale ? found[s].scale : largest_scale;
        largest_minimum = found[s].minimum > largest_minimum ? found[s].minimum : largest_minimum;
    }
    float const top = static_cast<float>(most);
    affine_integers<runs> to{largest_scale / top, largest_minimum / top, {}, {}};
    float const for_scales = largest_scale > 0.0f ? top / largest_scale : 0.0f,
                for_minima = largest_minimum > 0.0f ? top / largest_minimum : 0.0f;
    for (std::size_t s = 0; s < runs; ++s) {
        to.scales[s] = nearest_in(rounded_product(for_scales, found[s].scale), 0, most);
        to.minima[s] = nearest_in(rounded_product(for_minima, found[s].minimum), 0, most);
    }
    return to;
}

/// The same, weighted: scales of scales are searched too, a run counts as the sum of its weights.
template <std::size_t Run>
[[nodiscard]] affine_integers<256 / Run> search_affine_weighted(std::span<float const, 256> x,
                                                                block_weights const& by, int nmax,
                                                                int most,
                                                                float sigma_squared) noexcept {
    constexpr std::size_t runs = 256 / Run;
    std::array<float, runs> scales{}, minima{}, sums{};
    for (std::size_t s = 0; s < runs; ++s) {
        auto const run = x.subspan(Run * s, Run);
        auto const weights = weights_of_run<Run>(run, by, Run * s, sigma_squared);
        auto const found = affine_run(weighted_search(nmax), run, weights);
        scales[s] = found.scale;
        minima[s] = found.minimum;
        sums[s] = sum_of(weights);
    }
    affine_integers<runs> to;
    to.d = positive_run(most, scales, to.scales, sums);
    to.dmin = positive_run(most, minima, to.minima, sums);
    return to;
}

/// q2_K, q4_K and q5_K: runs with a scale and a minimum. `most` is the largest integer of both.
template <typename Block, std::size_t Run>
[[nodiscard]] Block encode_affine(std::span<float const, 256> x, affine_search const& how, int most,
                                  block_weights const& by) noexcept {
    constexpr std::size_t runs = 256 / Run;
    float const times = Block::type == gguf_type::q2_K ? 1.0f : 2.0f;
    auto const found =
        by.is_flat() ? search_affine<Run>(x, how, most)
                     : search_affine_weighted<Run>(x, by, how.nmax, most, times * mean_square(x));
    Block block{};
    block.d = f16_bytes(found.d);
    block.dmin = f16_bytes(found.dmin);
    for (std::size_t s = 0; s < runs; ++s)
        block.put_scale(s, static_cast<unsigned>(found.scales[s]),
                        static_cast<unsigned>(found.minima[s]));
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

[[nodiscard]] inline q3_K_block encode_q3_K(std::span<float const, 256> x,
                                            block_weights const& by) noexcept {
    std::array<float, 16> scales{}, sums{};
    std::array<int, 256> codes{};
    std::array<int, 16> integers{};
    float d = 0.0f;
    for (std::size_t s = 0; s < 16; ++s) {
        auto const run = x.subspan(16 * s, 16);
        auto const to = std::span(codes).subspan(16 * s, 16);
        if (by.is_flat()) {
            scales[s] = descended_run(4, run, to);
        } else {
            auto const weights = weights_of_run<16>(run, by, 16 * s, 2.0f * mean_square(x));
            scales[s] = signed_run(4, run, to, weights);
            sums[s] = sum_of(weights);
        }
    }
    if (by.is_flat()) {
        float const factor = factor_of_scales(scales, 32.0f);
        d = inverse_or_zero(factor);
        for (std::size_t s = 0; s < 16; ++s)
            integers[s] = nearest_in(rounded_product(factor, scales[s]), -32, 31);
    } else {
        d = signed_run(32, scales, integers, sums);
    }
    q3_K_block block{};
    block.d = f16_bytes(d);
    for (std::size_t s = 0; s < 16; ++s) {
        block.put_scale(s, static_cast<unsigned>(integers[s] + 32));
        float const scale = little_endian_f16(block.d) * static_cast<float>(integers[s]);
        for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) {
            if (scale != 0.0f) codes[i] = nearest_in(x[i] / scale, -4, 3);
            block.put_field(i, static_cast<unsigned>(codes[i] + 4));
        }
    }
    return block;
}

[[nodiscard]] inline q6_K_block encode_q6_K(std::span<float const, 256> x,
                                            block_weights const& by) noexcept {
    std::array<float, 16> scales{};
    std::array<int, 256> codes{};
    for (std::size_t s = 0; s < 16; ++s) {
        auto weights = by.is_flat() ? by.importance : by.importance.subspan(16 * s, 16);
        if (std::ranges::none_of(weights, [](float v) { return v > 0.0f; })) weights = {};
        scales[s] =
            signed_run(32, x.subspan(16 * s, 16), std::span(codes).subspan(16 * s, 16), weights);
    }
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

[[nodiscard]] inline iq4_xs_block encode_iq4_xs(std::span<float const, 256> x,
                                                block_weights const& by) noexcept {
    std::array<float, 8> scales{};
    for (std::size_t s = 0; s < 8; ++s) {
        auto const run = x.subspan(32 * s, 32);
        scales[s] =
            by.is_flat()
                ? levels_run(run)
                : levels_run(run, weights_of_run<32>(run, by, 32 * s, 2.0f * mean_square(x)));
    }
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

template <typename Block>
[[nodiscard]] Block encode_block(std::span<float const, Block::values> x,
                                 block_weights const& by) noexcept {
    if constexpr (has_weighted_scale(Block::type)) {
        return by.is_flat() ? Block::encode(x) : encode_weighted<Block>(x, by);
    } else if constexpr (requires { Block::encode(x); }) {
        return Block::encode(x);
    } else if constexpr (Block::type == gguf_type::q2_K) {
        return encode_affine<Block, 16>(x, {3, -0.5f, 15, run_error::absolute}, 15, by);
    } else if constexpr (Block::type == gguf_type::q4_K) {
        return encode_affine<Block, 32>(x, {15, -1.0f, 20, run_error::squared}, 63, by);
    } else if constexpr (Block::type == gguf_type::q5_K) {
        return encode_affine<Block, 32>(x, {31, -0.5f, 15, run_error::squared}, 63, by);
    } else if constexpr (Block::type == gguf_type::q3_K) {
        return encode_q3_K(x, by);
    } else if constexpr (Block::type == gguf_type::q6_K) {
        return encode_q6_K(x, by);
    } else {
        return encode_iq4_xs(x, by);
    }
}

}  // namespace detail

/// Floats to one block. x must be finite.
template <typename Block>
[[nodiscard]] Block encode_gguf_block(std::span<float const, Block::values> x) noexcept {
    return detail::encode_block<Block>(x, {});
}

/// One row of floats to the bytes of its blocks, weighted by the importance of every column or, if that
/// is empty, by the rules without one. Throws value_error for a type without a quantizer, shape_error if
/// x is no whole number of blocks or `to` or the importance has another size. x must be finite, and
/// importances finite and not negative.
inline void encode_gguf_row(gguf_type type, std::span<float const> x, std::span<std::uint8_t> to,
                            std::span<float const> importance = {}) {
    require_gguf({type, to, 1, x.size()});
    if (!importance.empty() && importance.size() != x.size())
        throw shape_error("gguf: a row of " + std::to_string(x.size()) + " values has " +
                          std::to_string(importance.size()) + " importances");
    detail::block_weights by;
    if (!importance.empty() && detail::has_weighted_scale(type))
        by.row_square = detail::mean_square(x);
    with_gguf_block(type, [&]<typename Block>() {
        for (std::size_t b = 0; b < x.size() / Block::values; ++b) {
            if (!importance.empty())
                by.importance = importance.subspan(b * Block::values, Block::values);
            Block const block = detail::encode_block<Block>(
                x.subspan(b * Block::values).template first<Block::values>(), by);
            std::memcpy(to.data() + b * sizeof(Block), &block, sizeof(Block));
        }
    });
}

}  // namespace qtk
