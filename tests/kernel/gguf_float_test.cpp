// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/gguf_float.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include "product_cases.hpp"

TEST_CASE("a row of a float product with GGUF blocks does not depend on the rows beside it") {
    for (qtk::gguf_type const type : cases::decoded_gguf_types()) {
        CAPTURE(qtk::name_of(type));
        // More than a piece of 512 columns; rows that are no whole panel.
        cases::gguf_weights const w(type, 43, 1280);
        std::vector<float> const x = qtk::gaussian_vector(140 * 1280, 5);
        for (qtk::instruction_set const isa : cases::usable_isas()) {
            if (isa < qtk::instruction_set::avx2) continue;
            std::vector<float> const all = cases::gguf_product_on(isa, w.view, x, 140, {});
            for (std::size_t const m : {1u, 2u, 3u, 4u, 5u, 6u}) {
                std::vector<float> const some = cases::gguf_product_on(
                    isa, w.view,
                    std::vector<float>(x.end() - static_cast<std::ptrdiff_t>(m * 1280), x.end()), m,
                    {});
                REQUIRE(std::memcmp(some.data(), all.data() + (140 - m) * 43,
                                    m * 43 * sizeof(float)) == 0);
            }
            CHECK(cases::same_bits(
                cases::gguf_product_on(cases::usable_isas().back(), w.view, x, 140, {}), all));
        }
    }
}

TEST_CASE("rows of plain floats may have any length, also none") {
    for (auto const type : {qtk::gguf_type::f32, qtk::gguf_type::f16, qtk::gguf_type::bf16})
        for (std::size_t const k : {0u, 1u, 5u, 33u, 515u}) {
            cases::gguf_weights const w(type, 3, k);
            std::vector<float> const x = qtk::gaussian_vector(6 * k, 5);
            std::vector<float> row(k);
            for (qtk::instruction_set const isa : cases::usable_isas())
                for (std::size_t const m : {1u, 6u}) {
                    auto const y = cases::gguf_product_on(isa, w.view, x, m, {});
                    for (std::size_t i = 0; i < m; ++i)
                        for (std::size_t r = 0; r < 3; ++r) {
                            qtk::decode_gguf_row(w.view, r, row);
                            double sum = 0.0, magnitude = 0.0;
                            for (std::size_t j = 0; j < k; ++j) {
                                double const product =
                                    static_cast<double>(row[j]) * static_cast<double>(x[i * k + j]);
                                sum += product;
                                magnitude += std::fabs(product);
                            }
                            REQUIRE(std::fabs(static_cast<double>(y[i * 3 + r]) - sum) <=
                                    static_cast<double>(k + 8) * 0x1p-23 * magnitude);
                        }
                }
        }
}

TEST_CASE("rows as floats are the decoder's, bit for bit, in every type") {
    for (qtk::gguf_type const type : cases::decoded_gguf_types()) {
        cases::gguf_weights const w(type, 3, 768);
        std::vector<float> expected(768), found(768);
        for (std::size_t r = 0; r < 3; ++r) {
            qtk::decode_gguf_row(w.view, r, expected);
            qtk::gguf_row_floats(w.view, r, found);
            CHECK(std::memcmp(found.data(), expected.data(), 768 * sizeof(float)) == 0);
        }
    }
}
