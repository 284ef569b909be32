// SPDX-License-Identifier: Apache-2.0
//
// The kernels of every instruction set against their twin: product_test.cpp. Here: rows that are cut
// into uneven tiles, more panels than are summed together, more k than is decoded at once.
#include <qtk/kernel/avx2/product_f32.hpp>
#include <qtk/kernel/avx512/product_f32.hpp>
#include <qtk/kernel/portable/product_f32.hpp>
#include <qtk/kernel/prepack.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

TEST_CASE("whole numbers are multiplied exactly, whatever the tiles") {
    // Scale 1 and small whole activations: every sum is exact in float.
    qtk::scheme const s{
        .element = qtk::i4, .grain = qtk::per_group(96), .zero = qtk::origin::floating};
    for (std::size_t const m : {1u, 2u, 4u, 5u, 6u, 7u, 8u, 11u, 13u, 19u, 129u}) {
        CAPTURE(m);
        cases::product p(s, {m, m == 5 ? 1100u : 70u, 700});
        std::vector<qtk::tile_params> params(p.weights.grid().count());
        for (std::size_t i = 0; i < params.size(); ++i)
            params[i] = {1.0f, static_cast<int>(i % 16)};
        p.weights.set_params(params);
        p.packed = qtk::prepack(p.weights);
        for (std::size_t i = 0; i < p.x.size(); ++i)
            p.x[i] = static_cast<float>(static_cast<int>(i * 7 % 19) - 9);
        std::vector<float> const expected = p.on(qtk::instruction_set::scalar, {});
        for (qtk::instruction_set const isa : cases::usable_isas()) {
            std::string const isa_name(qtk::name_of(isa));
            CAPTURE(isa_name);
            REQUIRE(p.on(isa, {}) == expected);
        }
    }
}

#if QTK_HAS_X86
TEST_CASE("a split of rows has every row once, in tiles of 3 to 6") {
    for (std::size_t rows = 5; rows < 200; ++rows) {
        qtk::avx2::row_split const split(rows);
        std::size_t next = 0;
        for (std::size_t t = 0; t < split.tiles; ++t) {
            REQUIRE(split.first(t) == next);
            REQUIRE((split.rows_of(t) >= 3 && split.rows_of(t) <= 6));
            next += split.rows_of(t);
        }
        REQUIRE(next == rows);
    }
}

TEST_CASE("several rows are chains of fused products of the decoded weights, for any neighbours") {
    if (!qtk::cpu().avx512) return;
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        for (std::size_t const m : {2u, 5u, 20u}) {
            cases::product const p(s, {m, 70, 300});
            std::vector<float> const y = p.on(qtk::instruction_set::avx512, {});
            for (std::size_t i = 0; i<y.size(); i += m> 16 ? 13 : 1) {
                float sum = 0.0f;
                for (std::size_t k = 0; k < 300; ++k)
                    sum = std::fma(p.x[i / 70 * 300 + k], p.decoded[i % 70 * 300 + k], sum);
                REQUIRE(y[i] == sum);
            }
        }
    }
}

#endif
