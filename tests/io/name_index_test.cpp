// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/name_index.hpp>

#include <doctest/doctest.h>

#include <string>

TEST_CASE("every name is found where it is, and no other is") {
    std::vector<std::string> names;
    for (int i = 0; i < 1000; ++i) names.push_back("blk." + std::to_string(i * 7 % 1000));
    names.emplace_back();
    auto const name_at = [&](std::size_t i) { return std::string_view(names[i]); };
    qtk::name_index const index(names.size(), name_at);
    for (std::size_t i = 0; i < names.size(); ++i) CHECK(index.find(names[i], name_at) == i);
    CHECK_FALSE(index.find("blk.1000", name_at));
    CHECK_FALSE(index.find_twin(name_at));
    CHECK_FALSE(qtk::name_index().find("x", name_at));
}

TEST_CASE("a name that is there twice is told") {
    std::vector<std::string> const names{"b", "a", "c", "a"};
    auto const name_at = [&](std::size_t i) { return std::string_view(names[i]); };
    auto const twin = qtk::name_index(4, name_at).find_twin(name_at);
    REQUIRE(twin);
    CHECK(names[*twin] == "a");
}
