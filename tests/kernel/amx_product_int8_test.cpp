// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/amx/product_int8.hpp>
#include <qtk/kernel/avx512/product_int8.hpp>
#include <qtk/kernel/product.hpp>

#include <doctest/doctest.h>

#include "amx_emulator.hpp"
#include "product_cases.hpp"
#include "threads.hpp"
#include <cmath>
#include <limits>

#if QTK_HAS_X86

using cases::product;
using qtk::activation_type;
using qtk::instruction_set;

namespace {

/// On tiles as on the scalar twin, with every way of scaling activations.
void check_tiles(qtk::scheme const& s, cases::product_shape const& shape) {
    std::string const name = qtk::to_string(s);
    CAPTURE(name);
    CAPTURE(shape.m);
    CAPTURE(shape.n);
    CAPTURE(shape.k);
    product const p(s, shape);
    for (activation_type const type : cases::int8_types) {
        qtk::product_options const options{.activations = type, .static_scale = 0.02f};
        std::uint64_t const before = qtk_test::amx_emulation::count();
        std::vector<float> const found = p.on(instruction_set::amx, options);
        if (qtk_test::amx_emulation::is_emulated())
            REQUIRE((qtk_test::amx_emulation::count() > before) == (shape.m > 2));
        REQUIRE(cases::same_bits(found, p.on(instruction_set::scalar, options)));
    }
}

std::vector<qtk::scheme> all_stored_bits() {
    std::vector<qtk::scheme> all;
    for (qtk::format const& f :
         {qtk::i2, qtk::i3, qtk::i4, qtk::i5, qtk::i6, qtk::i7, qtk::i8, qtk::u4})
        for (qtk::origin const zero : {qtk::origin::fixed, qtk::origin::floating})
            all.push_back({.element = f,
                           .grain = qtk::per_group(64),
                           .zero = zero,
                           .scale = qtk::scale_type::f16});
    for (qtk::format const& f : {qtk::nf4, qtk::fp4, qtk::e2m1})
        all.push_back({.element = f, .grain = qtk::per_group(64)});
    return all;
}

std::vector<qtk::scheme> all_groups(qtk::origin zero) {
    std::vector<qtk::scheme> all{{.element = qtk::i4, .zero = zero},
                                 {.element = qtk::i4, .grain = qtk::per_channel, .zero = zero}};
    for (int const group : {20, 32, 64, 96, 128, 192})
        all.push_back({.element = qtk::i4,
                       .grain = qtk::granularity{.rows = 1, .cols = group},
                       .zero = zero});
    return all;
}

}  // namespace

TEST_CASE("tiles give the twin's bits for all stored bits and tables") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    for (qtk::scheme const& s : all_stored_bits()) {
        check_tiles(s, {5, 40, 160});
        check_tiles(s, {33, 40, 160});
    }
}

TEST_CASE("tiles give the twin's bits for 1 to 50 rows") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    for (std::size_t const m : {1u, 2u, 3u, 8u, 16u, 17u, 29u, 32u, 33u, 49u, 50u})
        for (qtk::origin const zero : {qtk::origin::fixed, qtk::origin::floating})
            check_tiles({.element = qtk::i4, .grain = qtk::per_group(32), .zero = zero},
                        {m, 70, 100});
}

TEST_CASE("tiles give the twin's bits for groups of every kind") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    for (qtk::origin const zero : {qtk::origin::fixed, qtk::origin::floating})
        for (qtk::scheme const& s : all_groups(zero))
            for (std::size_t const k : {32u, 200u, 420u}) {
                check_tiles(s, {7, 33, k});
                check_tiles(s, {20, 33, k});
                check_tiles(s, {40, 33, k});
            }
    // Groups that are cut into segments, and a long one; the last segment ends inside a step.
    for (std::size_t const m : {4u, 35u}) {
        check_tiles({.element = qtk::i4, .grain = qtk::per_group(608)}, {m, 32, 1300});
        check_tiles({.element = qtk::i3, .grain = qtk::per_channel}, {m, 32, 1090});
    }
}

TEST_CASE("more rows than a block of tiles, and panels beyond, give the twin's bits") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    check_tiles({.element = qtk::i4, .grain = qtk::per_channel}, {150, 100, 64});
    // One part of more rows than a block; product.hpp hands out smaller ones.
    product const p({.element = qtk::i4, .grain = qtk::per_group(64)}, {300, 64, 128});
    qtk::packed_view const& w = p.packed.view();
    qtk::segment_plan const plan(w.layout, 16);
    qtk::quantized_rows_storage const sizes(300, w.layout.depth(), plan.total);
    qtk::aligned_bytes storage(sizes.bytes());
    qtk::quantized_rows const x = qtk::quantized_rows_in(storage.data(), 300, w.layout, plan,
                                                         qtk::activation_scale::segment, 1.0f);
    for (std::size_t r = 0; r < 304; ++r)
        if (r < 300)
            qtk::quantize_row_scalar(p.x.data() + 128 * r, r, w.layout, x);
        else
            qtk::clear_row(r, x);
    std::vector<float> found(300 * 64, 7.0f);
    qtk::amx::product_int8(w, x, {0, 300, 0, 2}, qtk::matrix_view<float>(found.data(), 300, 64));
    CHECK(cases::same_bits(
        found, p.on(instruction_set::scalar, {.activations = activation_type::a8_group})));
}

TEST_CASE("tiles on 2 threads give the same bits") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    product const p({.element = qtk::i4, .grain = qtk::per_group(64)}, {40, 96, 512});
    qtk::product_options const options{.activations = activation_type::a8_group};
    auto const work = [&] { return p.on(instruction_set::amx, options); };
    std::vector<float> const expected = p.on(instruction_set::scalar, options);
    CHECK(cases::same_bits(cases::on_threads(1, work), expected));
    CHECK(cases::same_bits(cases::on_threads(2, work), expected));
}

TEST_CASE("tiles write aligned rows past the caches, and unaligned ones and others through them") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    for (std::size_t const m : {32u, 40u}) {
        product const p({.element = qtk::i4, .grain = qtk::per_group(64)}, {m, 64, 64});
        qtk::product_options options{.activations = activation_type::a8_row};
        std::vector<float> const expected = p.on(instruction_set::scalar, options);
        qtk::matrix_view<float const> const x(p.x.data(), m, 64);
        for (std::size_t const shift : {0u, 1u}) {
            qtk::aligned_bytes storage((m * 80 + 16) * 4);
            std::fill_n(storage.as<float>(), m * 80 + 16, 7.0f);
            float* const y = storage.as<float>() + shift;
            qtk::detail::checked_product(instruction_set::amx, p.packed, x,
                                         qtk::matrix_view<float>(y, m, 64, 80), options);
            for (std::size_t i = 0; i < m * 80; ++i)
                REQUIRE(y[i] == (i % 80 < 64 ? expected[i / 80 * 64 + i % 80] : 7.0f));
        }
        std::vector<float> const bias = qtk::gaussian_vector(64, 3);
        options.end.bias = bias;
        options.end.function = qtk::activation::relu;
        CHECK(cases::same_bits(p.on(instruction_set::amx, options),
                               p.on(instruction_set::scalar, options)));
    }
}

TEST_CASE("an infinite activation makes its row NaN and no other, on tiles") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    for (std::size_t const m : {3u, 33u}) {
        product p({.element = qtk::i4, .grain = qtk::per_group(32)}, {m, 40, 64});
        p.x[64 + 40] = std::numeric_limits<float>::infinity();
        for (activation_type const type : {activation_type::a8_row, activation_type::a8_group}) {
            std::vector<float> const y = p.on(instruction_set::amx, {.activations = type});
            for (std::size_t i = 0; i < y.size(); ++i) REQUIRE((y[i] == y[i]) == (i / 40 != 1));
        }
    }
}

TEST_CASE("scales whose products are subnormal round as the twin's do, on tiles") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    for (std::size_t const m : {4u, 36u}) {
        product p({.element = qtk::i4, .grain = qtk::per_group(32)}, {m, 40, 64});
        for (float& v : p.x) v *= 0x1p-128f;
        qtk::product_options const options{.activations = activation_type::a8_group};
        CHECK(cases::same_bits(p.on(instruction_set::amx, options),
                               p.on(instruction_set::scalar, options)));
    }
}

#endif
