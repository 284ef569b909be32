// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/amx/stream_int8.hpp>
#include <qtk/kernel/avx512/stream_int8.hpp>
#include <qtk/kernel/product.hpp>

#include <doctest/doctest.h>

#include "amx_emulator.hpp"
#include "product_cases.hpp"

#if QTK_HAS_X86

// product_test.cpp compares whole products; here: every number of rows that is streamed, in a part
// that begins inside the matrix.
TEST_CASE("1 to 16 rows are streamed, wherever the part begins") {
    if (!qtk::cpu().avx512) return;
    for (qtk::format const& f : {qtk::i2, qtk::i3, qtk::i4, qtk::i5, qtk::i6, qtk::i8, qtk::nf4}) {
        std::string const name(qtk::name_of(f));
        CAPTURE(name);
        for (std::size_t rows = 1; rows <= qtk::avx512::most_streamed; ++rows) {
            cases::product const p({.element = f, .grain = qtk::per_group(64)},
                                   {128 + rows, 64, 96});
            qtk::product_options const options{.activations = qtk::activation_type::a8_group};
            std::vector<float> const y = p.on(qtk::instruction_set::avx512, options);
            for (std::size_t m = 128; m < 128 + rows; ++m) {
                std::vector<float> one(64);
                qtk::detail::checked_product(
                    qtk::instruction_set::scalar, p.packed,
                    qtk::matrix_view<float const>(p.x.data() + m * 96, 1, 96),
                    qtk::matrix_view<float>(one.data(), 1, 64), options);
                for (std::size_t n = 0; n < 64; ++n) REQUIRE(y[m * 64 + n] == one[n]);
            }
        }
    }
}

TEST_CASE("3 to 32 rows are streamed through tiles, wherever the part begins") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    for (std::size_t rows = qtk::amx::fewest_streamed; rows <= qtk::amx::most_streamed; ++rows) {
        CAPTURE(rows);
        cases::product const p({.element = qtk::i4, .grain = qtk::per_group(64)},
                               {128 + rows, 64, 160});
        qtk::product_options const options{.activations = qtk::activation_type::a8_group};
        std::uint64_t const before = qtk_test::amx_emulation::count();
        std::vector<float> const found = p.on(qtk::instruction_set::amx, options);
        if (tiles.is_emulated()) REQUIRE(qtk_test::amx_emulation::count() > before);
        REQUIRE(cases::same_bits(found, p.on(qtk::instruction_set::avx512, options)));
    }
}

#endif
