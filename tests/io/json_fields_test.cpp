// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/json_fields.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace {
nlohmann::json const object =
    nlohmann::json::parse(R"({"yes": true, "name": "x", "list": [1], "none": null})");
qtk::json_fields const fields("f.json");
}  // namespace

TEST_CASE("members of the expected kind are given back") {
    CHECK(fields.flag(object, "yes", false));
    CHECK(fields.flag(object, "none", true));
    CHECK_FALSE(fields.flag(object, "absent", false));
    CHECK(fields.text(object, "name") == "x");
    CHECK(fields.array(object, "list").size() == 1);
    CHECK(qtk::json_fields::is(object, "name", "x"));
    CHECK_FALSE(qtk::json_fields::is(object, "list", "x"));
}

TEST_CASE("what is absent is null, in an object or in none") {
    CHECK(qtk::json_fields::member(object, "absent").is_null());
    CHECK(qtk::json_fields::member(object["list"], "name").is_null());
}

TEST_CASE("members of another kind are named with what was found") {
    CHECK_THROWS_WITH_AS((void)fields.flag(object, "name", false),
                         R"(f.json: name: expected true or false, found "x")", qtk::io_error);
    CHECK_THROWS_WITH_AS((void)fields.text(object, "absent"),
                         R"(f.json: absent: expected a string, found null)", qtk::io_error);
    CHECK_THROWS_WITH_AS((void)fields.array(object, "yes"),
                         R"(f.json: yes: expected an array, found true)", qtk::io_error);
}

TEST_CASE("whole numbers are read within their bounds, and numbers as they are") {
    auto const json =
        nlohmann::json::parse(R"({"n": 7, "less": -3, "x": 1.5, "large": 18446744073709551615})");
    CHECK(fields.whole(json, "n", 0, 7) == 7);
    CHECK(fields.whole(json, "less", -3, 7) == -3);
    CHECK(fields.whole(json, "absent", 0, 7, 5) == 5);
    CHECK(fields.number(json, "x") == 1.5);
    CHECK(fields.number(json, "n") == 7.0);
    CHECK_THROWS_WITH_AS((void)fields.whole(json, "n", 0, 6),
                         "f.json: n: expected a whole number from 0 to 6, found 7", qtk::io_error);
    CHECK_THROWS_AS((void)fields.whole(json, "x", 0, 7), qtk::io_error);
    CHECK_THROWS_AS((void)fields.whole(json, "large", 0, 7), qtk::io_error);
    CHECK_THROWS_WITH_AS((void)fields.whole(json, "absent", 0, 7),
                         "f.json: absent: expected a whole number from 0 to 7, found null",
                         qtk::io_error);
    CHECK_THROWS_WITH_AS((void)fields.number(object, "name"),
                         R"(f.json: name: expected a number, found "x")", qtk::io_error);
}
