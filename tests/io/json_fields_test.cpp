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
