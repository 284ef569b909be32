// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/gguf_dot.hpp>
#include <qtk/kernel/avx512/gguf_dot.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include "product_cases.hpp"
#include <cmath>

TEST_CASE("int8 products with GGUF blocks are the twin's bit for bit, on every instruction set") {
    for (qtk::gguf_type const type : cases::gguf_types) {
        CAPTURE(qtk::name_of(type));
        std::size_t const block = qtk::chunk_of(type).block;
        // Whole chunks, one block, and chunks that are filled up; rows on both sides of a tile.
        for (std::size_t const blocks : {1u, 3u, 8u, 19u})
            for (std::size_t const m : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 17u}) {
                cases::gguf_weights const w(type, 32 + m, block * blocks);
                CAPTURE(w.view.cols);
                CAPTURE(m);
                std::vector<float> const x = qtk::gaussian_vector(m * w.view.cols, 3 + m);
                for (auto const a : {qtk::activation_type::a8_group, qtk::activation_type::a8_row,
                                     qtk::activation_type::a8_static}) {
                    qtk::product_options const options{.activations = a, .static_scale = 0.02f};
                    std::vector<float> const expected =
                        cases::gguf_product_on(qtk::instruction_set::scalar, w.view, x, m, options);
                    for (qtk::instruction_set const isa : cases::usable_isas()) {
                        CAPTURE(qtk::name_of(isa));
                        REQUIRE(cases::same_bits(cases::gguf_product_on(isa, w.view, x, m, options),
                                                 expected));
                    }
                }
            }
    }
}

TEST_CASE("the largest fields, scales and codes do not overflow") {
    for (qtk::gguf_type const type : cases::gguf_types)
        for (unsigned const byte : {0x00u, 0x7fu, 0x80u, 0xffu}) {
            cases::gguf_weights w(type, 3, 1024);
            qtk::gguf_view const view = w.view;
            std::size_t const d = type == qtk::gguf_type::q6_K ? 208 : 0,
                              scales = type == qtk::gguf_type::q4_K ? 4 : 2;
            for (std::size_t i = 0; i < view.bytes.size(); ++i)
                if (std::size_t const at = i % view.block_bytes(); at < d || at >= d + scales)
                    w.storage[1 + i] = static_cast<std::uint8_t>(byte);
            for (float const sign : {1.0f, -1.0f}) {
                std::vector<float> const x(1024, sign);
                qtk::product_options const options{.activations = qtk::activation_type::a8_group};
                std::vector<float> const expected =
                    cases::gguf_product_on(qtk::instruction_set::scalar, view, x, 1, options);
                for (std::size_t n = 0; n < 3; ++n) {
                    std::vector<float> row(1024);
                    qtk::decode_gguf_row(view, n, row);
                    double sum = 0.0, magnitude = 0.0;
                    for (float const v : row) {
                        sum += static_cast<double>(v * sign);
                        magnitude += std::fabs(static_cast<double>(v));
                    }
                    CHECK(std::fabs(static_cast<double>(expected[n]) - sum) <=
                          0x1p-18 * (magnitude + 1024.0));
                }
                for (qtk::instruction_set const isa : cases::usable_isas())
                    CHECK(cases::same_bits(cases::gguf_product_on(isa, view, x, 1, options),
                                           expected));
            }
        }
}
