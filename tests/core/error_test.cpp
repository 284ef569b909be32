// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/error.hpp>

#include <doctest/doctest.h>

#include <type_traits>

static_assert(std::is_base_of_v<std::runtime_error, qtk::error>);
static_assert(std::is_base_of_v<qtk::error, qtk::shape_error>);
static_assert(std::is_base_of_v<qtk::value_error, qtk::nonfinite_error>);
static_assert(std::is_base_of_v<qtk::io_error, qtk::system_error>);
static_assert(!std::is_base_of_v<qtk::io_error, qtk::value_error>);

TEST_CASE("one handler catches everything that qtk throws") {
    CHECK_THROWS_AS(throw qtk::shape_error("shape"), qtk::error);
    CHECK_THROWS_AS(throw qtk::value_error("value"), qtk::error);
    CHECK_THROWS_AS(throw qtk::io_error("file", "what"), qtk::error);
    CHECK_THROWS_AS(throw qtk::system_error("file", "what", 2), qtk::error);
}

TEST_CASE("a file error says path, byte and what, and carries the first two") {
    qtk::io_error const e("model.safetensors", "the header is cut off", 8);
    CHECK(std::string(e.what()) == "model.safetensors: byte 8: the header is cut off");
    CHECK(e.path == "model.safetensors");
    CHECK(e.offset == 8);
    CHECK(std::string(qtk::io_error("f", "w", 0).what()) == "f: byte 0: w");
}

TEST_CASE("a file error without a place does not invent one") {
    qtk::io_error const e("model.safetensors", "no such tensor");
    CHECK(std::string(e.what()) == "model.safetensors: no such tensor");
    CHECK(e.offset == qtk::io_error::no_offset);
}

TEST_CASE("an error of the system carries its number") {
    qtk::system_error const e("out", "no space left", 28);
    CHECK(e.code == 28);
    CHECK(std::string(e.what()) == "out: no space left");
}

TEST_CASE("a nonfinite error carries count and place") {
    qtk::nonfinite_error const e("found", 3, 17);
    CHECK(e.count == 3);
    CHECK(e.first == 17);
}
