// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/format.hpp>

#include <doctest/doctest.h>

#include <set>

static_assert(qtk::format{} == qtk::i8, "the default");
static_assert(qtk::i4.patterns() == 16 && qtk::e4m3.patterns() == 256);
static_assert(qtk::e2m1.mantissa() == 1 && qtk::e3m2.mantissa() == 2 && qtk::e4m3.mantissa() == 3 &&
              qtk::e5m2.mantissa() == 2);

TEST_CASE("names and formats are one to one") {
    std::set<std::string_view> names;
    for (auto const& [name, f] : qtk::known_formats) {
        names.insert(name);
        CHECK(qtk::name_of(f) == name);
        CHECK(qtk::is_known(f));
        CHECK(f.bits >= 2);
        CHECK(f.bits <= 8);
    }
    CHECK(names.size() == qtk::known_formats.size());
}

TEST_CASE("a name says the kind and the bits") {
    for (auto const& [name, f] : qtk::known_formats) {
        CAPTURE(name);
        if (name[0] == 'i' || name[0] == 'u') {
            CHECK(f.is_integer());
            CHECK(f.bits == name[1] - '0');
            CHECK((f.kind == qtk::numeral::signed_integer) == (name[0] == 'i'));
        } else if (name[0] == 'e') {
            CHECK(f.kind == qtk::numeral::minifloat);
            CHECK(f.exponent == name[1] - '0');
            CHECK(f.mantissa() == name[3] - '0');
        } else {
            CHECK(f.kind == qtk::numeral::codebook);
            CHECK(f.table != qtk::codebook::none);
        }
        CHECK((f.table == qtk::codebook::none) == (f.kind != qtk::numeral::codebook));
    }
}

TEST_CASE("what is no format has no name") {
    for (auto const& f :
         {qtk::format{.bits = 1}, qtk::format{.bits = 9}, qtk::format{.bits = 0},
          qtk::format{.bits = -4}, qtk::format{.kind = qtk::numeral::codebook, .bits = 4},
          qtk::format{.kind = qtk::numeral::minifloat, .bits = 8, .exponent = 3},
          qtk::format{.bits = 4, .table = qtk::codebook::nf4}}) {
        CHECK_FALSE(qtk::is_known(f));
        CHECK(qtk::name_of(f).empty());
    }
}
