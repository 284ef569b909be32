// SPDX-License-Identifier: Apache-2.0
#include <qtk/quantizer/any_quantizer.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/dispatch.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

/// Both quantizers on intervals and values of many sizes.
template <qtk::format Element, qtk::origin Zero, qtk::rounding Round>
void check_same(qtk::scale_type type, float tensor_scale) {
    qtk::tile_quantizer<Element, Zero, Round> const compiled(type, tensor_scale);
    qtk::any_quantizer const any({.element = Element, .zero = Zero, .scale = type, .round = Round},
                                 tensor_scale);
    auto const values = qtk::gaussian_vector(64, 3);
    for (float const size : {0.0f, 1e-30f, 0.02f, 1.0f, 700.0f}) {
        qtk::interval const range{-0.7f * size, size};
        CHECK(any.ideal_scale(range) == compiled.ideal_scale(range));
        qtk::tile_params const p = compiled.fit(range);
        REQUIRE(any.fit(range) == p);
        for (float const x : values) {
            std::uint8_t const field = compiled.encode(size * x, p, 0.3f);
            REQUIRE(any.encode(size * x, p, 0.3f) == field);
            REQUIRE(any.decode(field, p) == compiled.decode(field, p));
        }
    }
}

template <qtk::format Element, qtk::origin Zero>
void check_roundings() {
    using enum qtk::rounding;
    using enum qtk::scale_type;
    check_same<Element, Zero, nearest_even>(f32, 1.0f);
    check_same<Element, Zero, nearest_even>(f16, 1.0f);
    check_same<Element, Zero, nearest_even>(e8m0, 1.0f);
    check_same<Element, Zero, nearest_away>(bf16, 1.0f);
    check_same<Element, Zero, stochastic>(e4m3, 0.01f);
}

}  // namespace

TEST_CASE("a run-time quantizer does what the compiled one does, bit for bit, in every format") {
    for (auto const& [name, element] : qtk::known_formats) {
        CAPTURE(name);
        qtk::dispatch_format(element, [&]<qtk::format Element>() {
            check_roundings<Element, qtk::origin::fixed>();
            if constexpr (Element.is_integer()) check_roundings<Element, qtk::origin::floating>();
        });
    }
}

TEST_CASE("a stored scale is one that the scheme can hold") {
    qtk::any_quantizer const half({.element = qtk::i4, .scale = qtk::scale_type::f16});
    CHECK(half.stored_scale(0.1f) == qtk::f16_to_float(qtk::float_to_f16(0.1f)));
    CHECK(qtk::any_quantizer({.element = qtk::i4}).stored_scale(0.1f) == 0.1f);
    CHECK(half.round_trip(0.26f, {0.1f, 8}) == doctest::Approx(0.3f));
}
