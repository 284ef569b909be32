// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/dispatch.hpp>

#include <doctest/doctest.h>

namespace {

constexpr qtk::scheme w8{};
constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(128)};
constexpr qtk::scheme w4_zero{
    .element = qtk::i4, .grain = qtk::per_group(128), .zero = qtk::origin::floating};

/// Where the call lands, as text.
constexpr auto landing = []<qtk::scheme S>() { return qtk::to_string(S); };
constexpr auto format_landing = []<qtk::format F>() { return qtk::name_of(F); };

}  // namespace

TEST_CASE("dispatch calls the scheme that equals the value, whatever its place in the list") {
    for (auto const& s : {w8, w4, w4_zero})
        CHECK(qtk::dispatch<w8, w4, w4_zero>(s, landing) == qtk::to_string(s));
    CHECK(qtk::dispatch<w4>(w4, landing) == "i4/g128/sym/f32");
}

TEST_CASE("dispatch calls once and passes references through") {
    int calls = 0;
    auto count = [&calls]<qtk::scheme S>() -> int& { return ++calls; };
    int& result = qtk::dispatch<w8, w4>(w4, count);
    CHECK(calls == 1);
    CHECK(&result == &calls);
}

TEST_CASE("a scheme that the program lacks is named beside those it has") {
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::dispatch<w8, w4>(qtk::mxfp4, landing)),
                         "this program was not built for the scheme e2m1/g32/sym/e8m0; it has "
                         "i8/tensor/sym/f32 i4/g128/sym/f32",
                         qtk::value_error);
    qtk::scheme near_miss = w4;
    near_miss.round = qtk::rounding::stochastic;
    CHECK_THROWS_AS(static_cast<void>(qtk::dispatch<w8, w4>(near_miss, landing)), qtk::value_error);
}

TEST_CASE("every known format reaches its own instantiation") {
    for (auto const& [name, f] : qtk::known_formats)
        CHECK(qtk::dispatch_format(f, format_landing) == name);
}

TEST_CASE("an unknown format is refused with the list of known ones") {
    for (auto const& f : {qtk::format{.bits = 9}, qtk::format{.bits = 1},
                          qtk::format{.kind = qtk::numeral::minifloat, .bits = 4, .exponent = 1},
                          qtk::format{.bits = 4, .exponent = 2}})
        CHECK_THROWS_WITH_AS(
            static_cast<void>(qtk::dispatch_format(f, format_landing)),
            "unknown format: use i2..i8, u2..u8, nf4, fp4, e2m1, e3m2, e4m3 or e5m2",
            qtk::value_error);
}
