// SPDX-License-Identifier: Apache-2.0
//
// What every test of GGUF products goes through: random blocks with sensible scales.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/kernel/gguf_product.hpp>

#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace cases {

inline constexpr std::array<qtk::gguf_type, 4> gguf_types{
    qtk::gguf_type::q4_0, qtk::gguf_type::q8_0, qtk::gguf_type::q4_K, qtk::gguf_type::q6_K};

/// All with a decoder.
inline std::vector<qtk::gguf_type> decoded_gguf_types() {
    std::vector<qtk::gguf_type> types;
    for (auto const& entry : qtk::known_gguf_types)
        if (qtk::has_gguf_decoder(entry.type)) types.push_back(entry.type);
    return types;
}

/// Where the halves of a block lie.
inline std::vector<std::size_t> halves_of(qtk::gguf_type type) {
    switch (type) {
        case qtk::gguf_type::q2_K:
            return {80, 82};
        case qtk::gguf_type::q3_K:
            return {108};
        case qtk::gguf_type::q6_K:
            return {208};
        case qtk::gguf_type::q4_1:
        case qtk::gguf_type::q5_1:
        case qtk::gguf_type::q4_K:
        case qtk::gguf_type::q5_K:
            return {0, 2};
        case qtk::gguf_type::mxfp4:
        case qtk::gguf_type::f32:
        case qtk::gguf_type::bf16:
            return {};
        default:
            return {0};
    }
}

/// Random bytes; d and dmin are random halves near one hundredth. `shift` bytes off alignment.
struct gguf_weights {
    std::vector<std::uint8_t> storage;
    qtk::gguf_view view;

    gguf_weights(qtk::gguf_type type, std::size_t rows, std::size_t cols, std::size_t shift = 1) {
        view = {type, {}, rows, cols};
        std::size_t const block = view.block_bytes(), count = rows * view.row_blocks();
        storage.resize(shift + block * count);
        qtk::splitmix64 random(19 + rows + cols);
        for (std::uint8_t& b : storage) b = static_cast<std::uint8_t>(random());
        auto const put_scale = [&](std::size_t at) {
            float const value = (0.5f + qtk::half_open_unit(random())) / 64.0f;
            std::uint16_t const bits = qtk::float_to_f16(random() % 2 != 0 ? value : -value);
            storage[at] = static_cast<std::uint8_t>(bits & 0xff);
            storage[at + 1] = static_cast<std::uint8_t>(bits >> 8);
        };
        for (std::size_t i = 0; i < count; ++i) {
            std::size_t const at = shift + i * block;
            for (std::size_t const half : halves_of(type)) put_scale(at + half);
            // 2^-12 .. 2^3 where the exponent is a byte of its own.
            auto const small = [&](std::size_t byte) {
                storage[byte] = static_cast<std::uint8_t>(115 + storage[byte] % 16);
            };
            if (type == qtk::gguf_type::mxfp4) small(at);
            if (type == qtk::gguf_type::f32) small(at + 3), storage[at + 3] /= 2;
            if (type == qtk::gguf_type::bf16) small(at + 1), storage[at + 1] /= 2;
        }
        view.bytes = {storage.data() + shift, block * count};
    }
};

inline std::vector<float> gguf_product_on(qtk::instruction_set isa, qtk::gguf_view const& w,
                                          std::vector<float> const& x, std::size_t m,
                                          qtk::product_options const& options) {
    std::vector<float> y(m * w.rows, -1.0f);
    qtk::detail::checked_gguf_product(isa, w, qtk::matrix_view<float const>(x.data(), m, w.cols),
                                      qtk::matrix_view<float>(y.data(), m, w.rows), options);
    return y;
}

}  // namespace cases
