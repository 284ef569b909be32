// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/int8_vnni.hpp>
#include <qtk/kernel/avx2/product_int8.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>

#include <doctest/doctest.h>

#include "avx_vnni_emulator.hpp"
#include "product_cases.hpp"
#include <algorithm>

#if QTK_HAS_X86 && defined(__linux__)

using cases::product;
using qtk::activation_type;
using qtk::instruction_set;

namespace {

/// The product with one of the two dot instructions, whatever this processor would choose.
template <typename Dot>
std::vector<float> with(product const& p, qtk::product_options const& options) {
    std::vector<float> y(p.shape.m * p.shape.n, -1.0f);
    qtk::packed_view const w = p.packed.view();
    qtk::quantized_rows const x =
        qtk::detail::quantize_all(instruction_set::avx2, w.layout, p.shape.m, options,
                                  [&](std::size_t r) { return p.x.data() + r * p.shape.k; });
    qtk::output_rows const to(qtk::matrix_view<float>(y.data(), p.shape.m, p.shape.n));
    qtk::detail::for_each_part(p.shape.m, w.layout, [&](qtk::product_part const& part) {
        qtk::avx2::product_int8_with<Dot>(w, x, part, to);
    });
    return y;
}

void check_both(qtk::scheme const& s, cases::product_shape const& shape, activation_type type) {
    std::string const name = qtk::to_string(s);
    CAPTURE(name);
    CAPTURE(shape.m);
    CAPTURE(shape.n);
    CAPTURE(shape.k);
    if (!qtk::has_integer_levels(s.element)) return;
    product const p(s, shape);
    qtk::product_options const options{.activations = type, .static_scale = 0.02f};
    std::vector<float> const expected = p.on(instruction_set::scalar, options);
    REQUIRE(cases::same_bits(with<qtk::avx2::maddubs>(p, options), expected));
    REQUIRE(cases::same_bits(with<qtk::avx2::dpbusd>(p, options), expected));
}

}  // namespace

// An emulated instruction costs a signal: small shapes, and the ways of scaling in turn.
TEST_CASE("vpdpbusd and vpmaddubsw give the twin's bits for all formats, shapes and scales") {
    qtk_test::avx_vnni_emulation const emulation;
    if (!emulation.can_run()) return;
    std::uint64_t const before = emulation.count();
    constexpr cases::product_shape shapes[] = {{1, 33, 100}, {2, 7, 70}, {4, 7, 40}, {5, 7, 96}};
    std::size_t turn = 0;
    for (qtk::scheme const& s : cases::schemes_of_products())
        for (cases::product_shape const& shape : shapes)
            check_both(s, shape, cases::int8_types[turn++ % 3]);
    CHECK((emulation.count() > before) == emulation.is_emulated());
}

TEST_CASE("segments that end inside a chunk of vpdpbusd go on in the next one") {
    qtk_test::avx_vnni_emulation const emulation;
    if (!emulation.can_run()) return;
    cases::product_shape const shape{6, 9, 1100};
    for (qtk::granularity const grain : {qtk::granularity{.rows = 1, .cols = 96}, qtk::per_channel})
        check_both({.element = qtk::i8, .grain = grain}, shape, activation_type::a8_group);
}

TEST_CASE("the largest fields and codes do not overflow the sums of vpdpbusd") {
    qtk_test::avx_vnni_emulation const emulation;
    if (!emulation.can_run()) return;
    for (float const sign : {1.0f, -1.0f}) {
        product p({.element = qtk::u8, .grain = qtk::per_channel}, {5, 9, 4096});
        for (std::size_t r = 0; r < 9; ++r)
            p.weights.set_row(r, std::vector<std::uint8_t>(4096, 255));
        p.packed = qtk::prepack(p.weights);
        std::fill(p.x.begin(), p.x.end(), sign);
        qtk::product_options const options{.activations = activation_type::a8_row};
        REQUIRE(cases::same_bits(with<qtk::avx2::dpbusd>(p, options),
                                 p.on(instruction_set::scalar, options)));
    }
}

#endif
