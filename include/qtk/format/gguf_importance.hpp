// SPDX-License-Identifier: Apache-2.0
//
// How much does an error count in a GGUF block if the importance of every column is known? The importance
// matrix of llama.cpp ("imatrix") holds mean x_j^2 of the inputs; its quantizers weigh value j by
//
//   w_j = importance_j sqrt(sigma^2 + x_j^2)   sigma^2 = mean x^2 of the row: q4_0, q4_1, q5_0, q5_1;
//                                              of the block: q2_K; twice that: q3_K, q4_K, q5_K, iq4
//   w_j = importance_j                         q6_K
//
// and search for scales by those weights. Here are the weights, and the blocks of 32 values whose quantizer
// searches only then; the rest is in gguf_encode.hpp.
//
// Differs from llama.cpp: a run whose values all have importance 0 is quantized as if they had the same,
// not to zeros.
#pragma once

#include <qtk/format/gguf_k_search.hpp>
#include <qtk/format/gguf_legacy_blocks.hpp>
#include <qtk/format/gguf_table_blocks.hpp>
#include <qtk/format/gguf_type.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk::detail {

/// What weighs the values of a block: the importance of each, or none; the mean square of the row.
struct block_weights {
    std::span<float const> importance;
    float row_square = 0.0f;

    [[nodiscard]] bool is_flat() const noexcept { return importance.empty(); }
};

[[nodiscard]] inline float mean_square(std::span<float const> x) noexcept {
    float sum = 0.0f;
    for (float const v : x) sum += rounded_product(v, v);
    return sum / static_cast<float>(x.size());
}

/// w of the run x, whose importance is that from value `first` of the block on.
template <std::size_t Run>
[[nodiscard]] std::array<float, Run> weights_of_run(std::span<float const> x,
                                                    block_weights const& from, std::size_t first,
                                                    float sigma_squared) noexcept {
    std::array<float, Run> weights{};
    auto const importance = from.importance.subspan(first, Run);
    bool const is_known = std::ranges::any_of(importance, [](float v) { return v > 0.0f; });
    for (std::size_t i = 0; i < Run; ++i)
        weights[i] = rounded_product(is_known ? importance[i] : 1.0f,
                                     std::sqrt(sigma_squared + rounded_product(x[i], x[i])));
    return weights;
}
template <std::size_t Run>
[[nodiscard]] float sum_of(std::array<float, Run> const& weights) noexcept {
    float sum = 0.0f;
    for (float const w : weights) sum += w;
    return sum;
}

/// What affine searches of weighted runs try.
[[nodiscard]] constexpr affine_search weighted_search(int nmax) noexcept {
    return {nmax, -0.9f, 36, run_error::squared, 0.05f};
}

/// The 32-value blocks whose scale an importance moves: q4_0, q4_1, q5_0, q5_1 and iq4_nl.
template <typename Block>
[[nodiscard]] Block encode_weighted(std::span<float const, 32> x,
                                    block_weights const& by) noexcept {
    Block block{};
    auto const put_nibble = [&](std::size_t i, unsigned q) {
        block.nibbles[i % 16] =
            static_cast<std::uint8_t>(block.nibbles[i % 16] | q << (i < 16 ? 0 : 4));
    };
    auto const put = [&](std::size_t i, unsigned q) {
        if constexpr (requires { block.high; })
            put_five_bits(block.high, block.nibbles, i, q);
        else
            put_nibble(i, q);
    };
    if constexpr (Block::type == gguf_type::iq4_nl) {
        float const scale = levels_run(x, weights_of_run<32>(x, by, 0, 2.0f * mean_square(x)));
        block.d = f16_bytes(scale);
        float const inverse = inverse_or_zero(scale);
        for (std::size_t i = 0; i < 32; ++i)
            put_nibble(i, nearest_iq4(rounded_product(inverse, x[i])));
    } else if constexpr (requires { block.m; }) {
        constexpr int nmax = Block::type == gguf_type::q4_1 ? 15 : 31;
        std::array<float, 32> codes{};
        auto const found = affine_run(weighted_search(nmax), x,
                                      weights_of_run<32>(x, by, 0, by.row_square), codes);
        block.d = f16_bytes(found.scale);
        block.m = f16_bytes(-found.minimum);
        for (std::size_t i = 0; i < 32; ++i) put(i, static_cast<unsigned>(codes[i]));
    } else {
        constexpr int nmax = Block::type == gguf_type::q4_0 ? 8 : 16;
        std::array<int, 32> codes{};
        block.d =
            f16_bytes(signed_run(nmax, x, codes, weights_of_run<32>(x, by, 0, by.row_square)));
        for (std::size_t i = 0; i < 32; ++i) put(i, static_cast<unsigned>(codes[i] + nmax));
    }
    return block;
}

/// Is it one of those?
[[nodiscard]] constexpr bool has_weighted_scale(gguf_type type) noexcept {
    using enum gguf_type;
    return type == q4_0 || type == q4_1 || type == q5_0 || type == q5_1 || type == iq4_nl;
}

static_assert(has_weighted_scale(gguf_type::iq4_nl) && !has_weighted_scale(gguf_type::q8_0));

}  // namespace qtk::detail
