// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/safetensors_header.hpp>

#include <doctest/doctest.h>

#include "message_of.hpp"
#include "scratch.hpp"
#include <string>

namespace {

using qtk_test::says;

auto parse(std::string const& file) {
    return qtk::parse_safetensors_header(std::as_bytes(std::span(file)), "m.safetensors");
}
/// The message with which a file of this header and data is refused; empty if it is accepted.
std::string refusal(std::string const& header, std::string const& data = {}) {
    try {
        (void)parse(test::safetensors(header, data));
        return {};
    } catch (qtk::io_error const& e) {
        CHECK(e.path == "m.safetensors");
        return e.what();
    }
}
std::string const eight(8, '\1');

}  // namespace

TEST_CASE("a small file is read as it is") {
    auto const header = parse(test::safetensors(
        R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},)"
        R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )",
        eight));
    REQUIRE(header.tensors.size() == 2);
    CHECK(header.tensors[0].name == "a");  // in the order of the data
    CHECK(header.tensors[0].shape.empty());
    CHECK(header.tensors[1].type == qtk::dtype::f16);
    CHECK(header.metadata.at("format") == "pt");
}

TEST_CASE("what the format allows at its edges is allowed") {
    CHECK(refusal("{}").empty());
    CHECK(refusal(R"({"__metadata__":{}})").empty());
    CHECK(refusal(test::one_tensor("F32", "[0, 5]", "[0,0]")).empty());
    CHECK(refusal(test::one_tensor("F4", "[4, 4]", "[0,8]"), eight).empty());
    CHECK(refusal(test::one_tensor("BOOL", "[8]", "[0,8]"), eight).empty());
}

TEST_CASE("a file cut short anywhere is refused") {
    std::string const whole = test::safetensors(test::one_tensor("F32", "[2]", "[0,8]"), eight);
    CHECK_NOTHROW(parse(whole));
    for (std::size_t n = 0; n < whole.size(); ++n) {
        CAPTURE(n);
        CHECK_THROWS_AS(parse(whole.substr(0, n)), qtk::io_error);
    }
}

TEST_CASE("a header longer than the file or the limit is refused before it is read") {
    std::string file = test::safetensors("{}");
    file[7] = '\x7f';  // 2^62 and more
    CHECK_THROWS_WITH_AS(parse(file), doctest::Contains("more than the limit"), qtk::io_error);
    file[7] = '\x80';  // 2^63
    CHECK_THROWS_AS(parse(file), qtk::io_error);
    file[7] = 0;
    file[1] = 1;  // 258 bytes, 2 are there
    CHECK_THROWS_WITH_AS(parse(file), doctest::Contains("needs 258 bytes but only 2"),
                         qtk::io_error);
}

TEST_CASE("the header is an object and nothing but spaces follows") {
    CHECK(says(refusal(" {}"), "must start with '{'"));
    CHECK(says(refusal("[]"), "must start with '{'"));
    CHECK(says(refusal("\xef\xbb\xbf{}"), "must start with '{'"));
    CHECK(says(refusal(""), "must start with '{'"));
    CHECK(says(refusal("{}\t"), "only spaces"));
    CHECK(says(refusal("{}\n"), "only spaces"));
    CHECK_FALSE(refusal("{} {}").empty());
    CHECK(says(refusal("{\"\xff\":1}"), "UTF-8"));
}

TEST_CASE("names appear once") {
    CHECK(says(refusal(R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                       R"("w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
               "\"w\" appears twice"));
}

TEST_CASE("what the events and the sizes refuse is refused") {
    CHECK(says(refusal(test::one_tensor("U8", "[1.0]", "[0,1]"), "x"), "whole number"));
    CHECK(says(refusal(test::one_tensor("F32", "[3]", "[0,8]"), eight), "needs 12 bytes"));
}

TEST_CASE("tensors tile the data") {
    auto const two = [](char const* first, char const* second) {
        return std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + first +
               R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
    };
    CHECK(refusal(two("[0,4]", "[4,8]"), eight).empty());
    CHECK(refusal(two("[4,8]", "[0,4]"), eight).empty());
    CHECK(says(refusal(two("[0,4]", "[3,7]"), eight), "overlap"));
    CHECK(says(refusal(two("[0,4]", "[0,4]"), eight), "overlap"));
    CHECK(says(refusal(two("[0,4]", "[5,9]"), eight + "x"), "hole"));
    CHECK(says(refusal(two("[1,5]", "[5,9]"), eight + "x"), "hole"));
    CHECK(says(refusal(two("[0,4]", "[4,8]"), eight + "x"), "appended"));
    CHECK(says(refusal(two("[0,4]", "[4,8]"), "xxxxxxx"), "cut short"));
}

TEST_CASE("limits that a user lowers hold") {
    std::string const file = test::safetensors(test::one_tensor("F32", "[2]", "[0,8]"), eight);
    auto const with = [&](qtk::io_limits limits) {
        return qtk::parse_safetensors_header(std::as_bytes(std::span(file)), "m", limits);
    };
    CHECK_NOTHROW(with({}));
    CHECK_THROWS_AS(with({.safetensors_header_bytes = 10}), qtk::io_error);
    CHECK_THROWS_AS(with({.tensors = 0}), qtk::io_error);
    CHECK_THROWS_AS(with({.tensor_name_bytes = 0}), qtk::io_error);
    CHECK_THROWS_AS(with({.tensor_rank = 0}), qtk::io_error);
    std::string const described = test::safetensors(R"({"__metadata__":{"ab":"cd"}})");
    CHECK_THROWS_WITH_AS(qtk::parse_safetensors_header(std::as_bytes(std::span(described)), "m",
                                                       {.metadata_bytes = 3}),
                         doctest::Contains("__metadata__ has more than 3 bytes"), qtk::io_error);
}
