// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/amx/product_bf16.hpp>
#include <qtk/kernel/product.hpp>

#include <doctest/doctest.h>

#include "amx_emulator.hpp"
#include "product_cases.hpp"
#include <cmath>

#if QTK_HAS_X86

namespace {

float rounded(float v) {
    return static_cast<float>(qtk::bf16_value(v));
}

/// On tiles, against sums in double precision of rounded weights times rounded activations.
void check_bf16_tiles(qtk::scheme const& s, cases::product_shape const& shape) {
    std::string const name = qtk::to_string(s);
    CAPTURE(name);
    CAPTURE(shape.m);
    CAPTURE(shape.n);
    CAPTURE(shape.k);
    cases::product const p(s, shape);
    qtk::packed_view const& w = p.packed.view();
    qtk::float_rows const x = qtk::detail::filled_up(
        w.layout, qtk::matrix_view<float const>(p.x.data(), shape.m, shape.k));
    std::vector<float> found(shape.m * shape.n, -1.0f);
    std::uint64_t const before = qtk_test::amx_emulation::count();
    std::size_t const panels = w.layout.panels, middle = panels / 2;
    for (auto const& [from, to] : {std::pair{std::size_t{0}, middle}, std::pair{middle, panels}})
        qtk::amx::product_bf16(w, x, {0, shape.m, from, to},
                               qtk::matrix_view<float>(found.data(), shape.m, shape.n));
    if (qtk_test::amx_emulation::is_emulated())
        REQUIRE(qtk_test::amx_emulation::count() > before + 8);
    for (std::size_t m = 0; m < shape.m; ++m)
        for (std::size_t n = 0; n < shape.n; ++n) {
            double sum = 0.0, magnitude = 0.0;
            for (std::size_t k = 0; k < shape.k; ++k) {
                double const term = static_cast<double>(rounded(p.decoded[n * shape.k + k])) *
                                    static_cast<double>(rounded(p.x[m * shape.k + k]));
                sum += term;
                magnitude += std::fabs(term);
            }
            double const bound =
                static_cast<double>(w.layout.depth() + 4) * 0x1p-23 * magnitude + 0x1p-126;
            REQUIRE(std::fabs(static_cast<double>(found[m * shape.n + n]) - sum) <= bound);
        }
}

}  // namespace

TEST_CASE("bf16 products on tiles lie within the stated bound, for every scheme") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        check_bf16_tiles(s, {3, 33, 100});
        check_bf16_tiles(s, {40, 40, 70});
    }
}

TEST_CASE("bf16 products on tiles take any rows, panels and depth") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    for (cases::product_shape const& shape : cases::shapes_of_products())
        check_bf16_tiles({.element = qtk::i4, .grain = qtk::per_group(32)}, shape);
    // Several chunks of a panel, and more rows than a block.
    check_bf16_tiles({.element = qtk::i4, .grain = qtk::per_group(128)}, {20, 64, 900});
    check_bf16_tiles({.element = qtk::i4, .grain = qtk::per_group(64)}, {145, 32, 64});
}

TEST_CASE("bf16 products on tiles go through the epilogue") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    cases::product const p({.element = qtk::i4, .grain = qtk::per_group(32)}, {5, 45, 64});
    qtk::float_rows const x{p.x.data(), 64};
    std::vector<float> plain(5 * 45), found(5 * 45);
    std::vector<float> const bias = qtk::gaussian_vector(45, 8);
    qtk::output_rows y(qtk::matrix_view<float>(plain.data(), 5, 45));
    qtk::amx::product_bf16(p.packed.view(), x, {0, 5, 0, 2}, y);
    y.data = found.data();
    y.end.bias = bias;
    qtk::amx::product_bf16(p.packed.view(), x, {0, 5, 0, 2}, y);
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == plain[i] + bias[i % 45]);
}

#endif
