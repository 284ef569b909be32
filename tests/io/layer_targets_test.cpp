// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/layer_targets.hpp>

#include <doctest/doctest.h>

#include <string>

using qtk::layer_targets, qtk::target_match;

TEST_CASE("a name is closer than an expression, and an expression than a class") {
    layer_targets const all({"Linear", "re:.*down_proj", "model.layers.0.mlp.down_proj"});
    CHECK(all.match("model.layers.0.mlp.down_proj") == target_match::by_name);
    CHECK(all.match("model.layers.1.mlp.down_proj") == target_match::by_pattern);
    CHECK(all.match("model.layers.1.mlp.up_proj") == target_match::by_class);
    layer_targets const some({"re:.*layers\\.(0|2)\\."});
    CHECK(some.match("model.layers.2.mlp.up_proj") == target_match::by_pattern);
    CHECK(some.match("model.layers.1.mlp.up_proj") == target_match::none);
    CHECK(layer_targets().match("a") == target_match::none);
}

TEST_CASE("expressions begin where names begin, and names are whole") {
    CHECK(layer_targets({"re:mlp"}).match("model.mlp") == target_match::none);
    CHECK(layer_targets({"re:model"}).match("model.mlp") == target_match::by_pattern);
    CHECK(layer_targets({"mlp"}).match("model.mlp") == target_match::none);
}

TEST_CASE("expressions are taken in the order of their targets, and texts are kept") {
    layer_targets const copy = layer_targets({"x", "re:a", "y", "re:b"});
    CHECK(copy.match("bc") == target_match::by_pattern);
    CHECK(copy.texts() == std::vector<std::string>{"x", "re:a", "y", "re:b"});
}

TEST_CASE("a faulty expression and one without end are refused") {
    CHECK_THROWS_WITH_AS(layer_targets({"re:a("}),
                         doctest::Contains("the expression \"a(\" is faulty at character 2"),
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(layer_targets({"re:(a+)+[bc]"}).match(std::string(64, 'a'))),
        doctest::Contains("needs too many steps"), qtk::value_error);
}
