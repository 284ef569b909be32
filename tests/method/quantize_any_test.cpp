// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

namespace {

template <qtk::scheme S>
bool agrees(qtk::matrix_view<float const> w) {
    return qtk::quantize_any(w, S) == qtk::quantize<S>(w);
}

}  // namespace

TEST_CASE("a scheme at run time gives the bytes of the same scheme at compile time") {
    auto const values = qtk::gaussian_vector(6 * 50, 1);
    qtk::matrix_view<float const> const w(values.data(), 6, 50);
    using enum qtk::scale_type;
    using qtk::scheme;
    CHECK(agrees<scheme{.element = qtk::i4, .grain = qtk::per_group(16)}>(w));
    CHECK(agrees<scheme{.element = qtk::i8, .grain = qtk::per_channel, .scale = f16}>(w));
    CHECK(
        agrees<scheme{.element = qtk::u3, .grain = qtk::per_tensor, .zero = qtk::origin::floating}>(
            w));
    CHECK(agrees<scheme{.element = qtk::nf4, .grain = qtk::per_group(64)}>(w));
    CHECK(agrees<scheme{.element = qtk::e3m2, .round = qtk::rounding::nearest_away}>(w));
    CHECK(agrees<scheme{.element = qtk::i2, .round = qtk::rounding::stochastic}>(w));
    CHECK(agrees<qtk::mxfp4>(w));
    CHECK(agrees<qtk::nvfp4>(w));
}

TEST_CASE("every format decodes to finite values near the original") {
    auto const values = qtk::gaussian_vector(4 * 64, 2);
    qtk::matrix_view<float const> const w(values.data(), 4, 64);
    for (auto const& [name, element] : qtk::known_formats) {
        CAPTURE(name);
        qtk::matrix const back =
            qtk::dequantize(qtk::quantize_any(w, {.element = element, .grain = qtk::per_group(8)}));
        for (std::size_t i = 0; i < values.size(); ++i) {
            REQUIRE(std::isfinite(back.data()[i]));
            REQUIRE(back.data()[i] * values[i] >= 0.0f);  // nearest codes never change the sign
        }
    }
}

TEST_CASE("a senseless scheme is refused with its reason") {
    std::vector<float> const w(4, 1.0f);
    CHECK_THROWS_WITH_AS(qtk::quantize_any(qtk::matrix_view<float const>(w.data(), 2, 2),
                                           {.element = qtk::nf4, .zero = qtk::origin::floating}),
                         "quantize: only integer formats have a zero point: nf4, fp4 and "
                         "minifloats need origin::fixed",
                         qtk::value_error);
}
