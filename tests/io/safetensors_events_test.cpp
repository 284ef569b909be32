// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/safetensors_events.hpp>

#include <doctest/doctest.h>

#include "message_of.hpp"
#include "scratch.hpp"
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using qtk_test::says;

struct taken {
    std::vector<qtk::tensor_info> tensors;
    std::map<std::string, std::string> metadata;
};
taken take(std::string const& json) {
    taken all;
    std::string const path = "m.safetensors";
    qtk::io_limits const limits;
    qtk::detail::safetensors_events events(all.tensors, all.metadata, path, limits);
    bool const is_whole = nlohmann::json::sax_parse(json, &events);
    CHECK(is_whole);
    return all;
}
/// The message with which these events are refused; empty if they are taken.
std::string refusal(std::string const& json) {
    try {
        (void)take(json);
        return {};
    } catch (qtk::io_error const& e) {
        CHECK(e.path == "m.safetensors");
        return e.what();
    }
}
}  // namespace

TEST_CASE("tensors come in the order of the text, metadata by name") {
    taken const all =
        take(R"({"b":{"shape":[2,3],"dtype":"F16","data_offsets":[4,16]},"__metadata__":{"x":"y"},)"
             R"("a":{"dtype":"F32","data_offsets":[0,4],"shape":[]}})");
    REQUIRE(all.tensors.size() == 2);
    CHECK(all.tensors[0].name == "b");
    CHECK(all.tensors[0].type == qtk::dtype::f16);
    CHECK(all.tensors[0].shape == std::vector<std::uint64_t>{2, 3});
    CHECK(all.tensors[0].begin == 4);
    CHECK(all.tensors[0].end == 16);
    CHECK(all.tensors[1].shape.empty());
    CHECK(all.metadata == std::map<std::string, std::string>{{"x", "y"}});
}

TEST_CASE("fields and keys of metadata appear once, and no others") {
    CHECK(says(refusal(R"({"__metadata__":{"a":"b","a":"b"}})"), "\"a\" appears twice"));
    CHECK(says(refusal(R"({"__metadata__":{},"__metadata__":{}})"), "appears twice"));
    CHECK(says(refusal(R"({"w":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}})"),
               "appears twice"));
    CHECK(says(refusal(R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"extra":1}})"),
               "unknown field"));
}

TEST_CASE("text that is no JSON is refused with its place in the file") {
    CHECK(says(refusal(R"({"w":nul})"), "this is not JSON, near"));
    try {
        (void)take(R"({"w" 1})");
        FAIL("taken");
    } catch (qtk::io_error const& e) {
        CHECK(e.offset == 8 + 5);
    }
}

TEST_CASE("missing or misshapen fields are named with their tensor") {
    CHECK(says(refusal(R"({"w":{"shape":[0],"data_offsets":[0,0]}})"), "\"w\": dtype"));
    CHECK(says(refusal(R"({"w":{"dtype":"U8","data_offsets":[0,0]}})"), "\"w\": shape"));
    CHECK(says(refusal(R"({"w":{"dtype":"U8","shape":[0]}})"), "\"w\": data_offsets"));
    CHECK(says(refusal(test::one_tensor("U8", "[0]", "[0]")), "data_offsets"));
    CHECK(says(refusal(R"({"w":[]})"), "expected an object"));
    CHECK(says(refusal(test::one_tensor("Q4", "[0]", "[0,0]")), "unknown dtype \"Q4\""));
    CHECK(says(refusal(test::one_tensor("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]")), "9 dimensions"));
}

TEST_CASE("numbers are whole and have no sign") {
    for (char const* const shape :
         {"[-1]", "[-0]", "[1e0]", "[1.0]", "[\"1\"]", "[null]", "[18446744073709551616]"}) {
        CAPTURE(shape);
        CHECK(says(refusal(test::one_tensor("U8", shape, "[0,1]")), "whole number"));
    }
    CHECK(says(refusal(test::one_tensor("U8", "[1]", "[-1,1]")), "whole number"));
}

TEST_CASE("metadata is strings, and nothing nests deeper than a tensor's lists") {
    CHECK(says(refusal(R"({"__metadata__":{"a":1}})"), "not a string"));
    CHECK(says(refusal(R"({"__metadata__":[]})"), "object of strings"));
    CHECK(says(refusal(R"({"w":)" + std::string(100, '[') + std::string(100, ']') + "}"),
               "expected an object"));
    CHECK(says(refusal(test::one_tensor("U8", "[[1]]", "[0,1]")), "found \"an array\""));
    CHECK(says(refusal(test::one_tensor("U8", "[{}]", "[0,1]")), "found \"an object\""));
    CHECK(says(refusal(R"({"w":{"dtype":{}}})"), "\"w\": dtype"));
    CHECK(says(refusal(R"({"__metadata__":{"a":{}}})"), "not a string"));
}
