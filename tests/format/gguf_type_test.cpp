// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gguf_type.hpp>

#include <doctest/doctest.h>

TEST_CASE("every GGUF type is found by its number and by its name") {
    for (auto const& entry : qtk::known_gguf_types) {
        CHECK(qtk::find_gguf_type(entry.type) == &entry);
        CHECK(qtk::find_gguf_type(entry.name) == &entry);
        CHECK(qtk::name_of(entry.type) == entry.name);
    }
    CHECK(qtk::find_gguf_type(static_cast<qtk::gguf_type>(15)) == nullptr);
    CHECK(qtk::name_of(static_cast<qtk::gguf_type>(1000)) == "?");
}

TEST_CASE("fields are cut off and clamped, whatever the float") {
    CHECK(qtk::detail::field_of(14.99f, 15.0f) == 14);
    CHECK(qtk::detail::field_of(1e30f, 15.0f) == 15);
    CHECK(qtk::detail::field_of(-1e30f, 15.0f) == 0);
    CHECK(qtk::detail::field_of(__builtin_nanf(""), 15.0f) == 15);
}
