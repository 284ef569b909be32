// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/dtype.hpp>

#include <doctest/doctest.h>

TEST_CASE("every type is found by its own name and has a size") {
    for (auto const& [name, type, bits] : qtk::known_dtypes) {
        CAPTURE(name);
        CHECK(qtk::find_dtype(name) == type);
        CHECK(qtk::name_of(type) == name);
        CHECK(qtk::bits_of(type) == bits);
        CHECK(bits >= 4);
    }
}

TEST_CASE("names that are none are not found") {
    for (char const* const name : {"", "f32", "F33", "F8", "FLOAT"})
        CHECK_FALSE(qtk::find_dtype(name));
}
