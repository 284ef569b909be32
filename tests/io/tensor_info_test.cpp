// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/tensor_info.hpp>

#include <doctest/doctest.h>

#include "message_of.hpp"
#include <string>
#include <utility>
#include <vector>

namespace {

using qtk_test::says;

/// What is said of a tensor of this type, shape and place; empty if it fits together.
std::string refusal(qtk::dtype type, std::vector<std::uint64_t> shape, std::uint64_t begin,
                    std::uint64_t end) {
    try {
        qtk::require_size({"w", type, std::move(shape), begin, end}, "m.safetensors");
        return {};
    } catch (qtk::io_error const& e) {
        CHECK(e.path == "m.safetensors");
        std::string const message = e.what();
        CHECK(message.find("tensor \"w\": ") != message.npos);
        return message;
    }
}

}  // namespace

TEST_CASE("a tensor takes what its shape and type need") {
    CHECK(refusal(qtk::dtype::f32, {}, 4, 8).empty());
    CHECK(refusal(qtk::dtype::f16, {2, 3}, 0, 12).empty());
    CHECK(refusal(qtk::dtype::f4, {4, 4}, 8, 16).empty());
    CHECK(refusal(qtk::dtype::u8, {7, 0}, 3, 3).empty());
    CHECK(says(refusal(qtk::dtype::f32, {3}, 0, 8), "[0, 8) but shape [3] x F32 needs 12 bytes"));
    CHECK(says(refusal(qtk::dtype::f32, {3}, 0, 16), "needs 12 bytes"));
    CHECK(says(refusal(qtk::dtype::f32, {2}, 8, 0), "[8, 0)"));
}

TEST_CASE("sizes cannot wrap") {
    constexpr std::uint64_t two_to_32 = 4294967296;
    CHECK(says(refusal(qtk::dtype::f32, {two_to_32, two_to_32}, 0, 8), "overflows"));
    CHECK(says(refusal(qtk::dtype::f64, {two_to_32 / 2, two_to_32 / 4}, 0, 0), "overflows"));
}

TEST_CASE("a tensor ends on a byte") {
    CHECK(says(refusal(qtk::dtype::f4, {3}, 0, 2), "does not end on a byte"));
    CHECK(says(refusal(qtk::dtype::f4, {3}, 0, 1), "does not end on a byte"));
}

TEST_CASE("a shape is written as people write it") {
    CHECK(qtk::to_string(std::vector<std::uint64_t>{4, 5}) == "[4, 5]");
    CHECK(qtk::to_string(std::vector<std::uint64_t>{}) == "[]");
}
