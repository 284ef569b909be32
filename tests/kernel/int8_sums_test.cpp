// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/int8_sums.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/prepack.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

#if QTK_HAS_X86

// Random codes hardly ever reach what sums of 16 bits hold.
TEST_CASE("the largest fields and codes do not overflow the sums of an int8 product") {
    using cases::product;
    for (qtk::format const& f : {qtk::u2, qtk::u3, qtk::u4, qtk::u5, qtk::u6, qtk::u7, qtk::u8,
                                 qtk::e2m1, qtk::nf4, qtk::fp4})
        for (float const sign : {1.0f, -1.0f})
            for (std::size_t const m : {1u, 2u, 4u, 9u}) {
                std::string const name(qtk::name_of(f));
                CAPTURE(name);
                CAPTURE(m);
                qtk::scheme const s{.element = f, .grain = qtk::per_group(128)};
                product p(s, {m, 40, 256});
                int const largest = f.is_integer() || f.table == qtk::codebook::nf4
                                        ? f.patterns() - 1
                                        : f.patterns() / 2 - 1;
                std::vector<std::uint8_t> const fields(256, static_cast<std::uint8_t>(largest));
                for (std::size_t r = 0; r < 40; ++r) p.weights.set_row(r, fields);
                p.packed = qtk::prepack(p.weights);
                for (float& x : p.x) x = sign;
                qtk::product_options const options{.activations = qtk::activation_type::a8_row};
                std::vector<float> const expected = p.on(qtk::instruction_set::scalar, options);
                for (qtk::instruction_set const isa : cases::usable_isas())
                    REQUIRE(cases::same_bits(p.on(isa, options), expected));
            }
}

TEST_CASE("a row tile finds codes, scales and sums where quantized rows have them") {
    qtk::packed_layout const w({.element = qtk::i4, .grain = qtk::per_group(32)}, 1, 200);
    qtk::segment_plan const plan(w, 4);
    qtk::quantized_rows_storage const sizes(11, w.depth(), plan.total);
    qtk::aligned_bytes storage(sizes.bytes());
    qtk::quantized_rows const x =
        qtk::quantized_rows_in(storage.data(), 11, w, plan, qtk::activation_scale::segment, 1.0f);
    std::vector<float> const row = qtk::gaussian_vector(200, 7);
    for (std::size_t r = 0; r < 16; ++r)
        r < 11 ? qtk::quantize_row_scalar(row.data(), r, w, x) : qtk::clear_row(r, x);
    for (std::size_t const first : {0u, 4u, 8u}) {
        qtk::avx2::row_tile const tile(x, first);
        for (std::size_t u = 0; u < 7; ++u) CHECK(tile.unit(u) == x.code(first, 32 * u));
        for (std::size_t r = 0; r < 4; ++r)
            for (std::size_t s = 0; s < plan.total; ++s) {
                CHECK(tile.scale(s, r) == x.scale(first + r, s));
                CHECK(tile.sum(s, r) == x.sums[x.at(first + r, s)]);
            }
    }
}

#endif
