// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/scheme.hpp>

#include <doctest/doctest.h>

#include <string>

namespace {

template <qtk::scheme S>
constexpr int bits_of = S.element.bits;

constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(128)};

}  // namespace

static_assert(bits_of<w4> == 4, "a scheme is a template argument");
static_assert(bits_of<qtk::scheme{.element = qtk::u3}> == 3, "spelled in place, too");
static_assert(qtk::scheme_constant<w4>::value == w4 && qtk::checked_scheme<w4>::value == w4);
static_assert(qtk::valid_scheme<w4> && !qtk::valid_scheme<qtk::scheme{.element = {.bits = 9}}>);

TEST_CASE("the default is i8, one scale, symmetric, f32, half to even") {
    constexpr qtk::scheme s;
    CHECK(s.element == qtk::i8);
    CHECK(s.grain == qtk::per_tensor);
    CHECK_FALSE(s.has_zero_point());
    CHECK(s.scale == qtk::scale_type::f32);
    CHECK(s.round == qtk::rounding::nearest_even);
}

TEST_CASE("named schemes are what their standards say") {
    CHECK(qtk::mxfp4.element == qtk::e2m1);
    CHECK(qtk::mxfp4.grain == qtk::per_group(32));
    CHECK(qtk::mxfp4.scale == qtk::scale_type::e8m0);
    CHECK(qtk::nvfp4.element == qtk::e2m1);
    CHECK(qtk::nvfp4.grain == qtk::per_group(16));
    CHECK(qtk::nvfp4.scale == qtk::scale_type::e4m3);
}

TEST_CASE("only integers take a zero point") {
    for (auto const& [name, f] : qtk::known_formats) {
        CAPTURE(name);
        CHECK(qtk::is_valid({.element = f}));
        CHECK(qtk::is_valid({.element = f, .zero = qtk::origin::floating}) == f.is_integer());
    }
}

TEST_CASE("each fault has its sentence") {
    auto const fault = [](qtk::scheme const& s) {
        char const* const text = qtk::fault_of(s);
        return std::string(text == nullptr ? "" : text);
    };
    CHECK(fault(w4).empty());
    CHECK(fault({.element = {.bits = 9}}).find("unknown format") == 0);
    CHECK(fault({.grain = {.rows = 4}}).find("unknown granularity") == 0);
    CHECK(fault({.element = qtk::nf4, .zero = qtk::origin::floating})
              .find("only integer formats have a zero point") == 0);
}

TEST_CASE("schemes differ in every field") {
    qtk::scheme const base = w4;
    CHECK(base != qtk::scheme{.element = qtk::u4, .grain = base.grain});
    CHECK(base != qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(64)});
    qtk::scheme other = base;
    other.zero = qtk::origin::floating;
    CHECK(base != other);
    other = base;
    other.scale = qtk::scale_type::f16;
    CHECK(base != other);
    other = base;
    other.round = qtk::rounding::stochastic;
    CHECK(base != other);
}
