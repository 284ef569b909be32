// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/parallel.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace {
constexpr std::size_t much = 1'000'000'000;  // work that pays for a team of threads
}

TEST_CASE("no iterations call nothing") {
    bool was_called = false;
    qtk::parallel_for(0, much, [&](std::size_t) { was_called = true; });
    CHECK_FALSE(was_called);
}

TEST_CASE("every index is visited once, with threads or without") {
    for (std::size_t const work : {std::size_t{1}, much}) {
        std::vector<int> visits(1000, 0);
        qtk::parallel_for(visits.size(), work, [&](std::size_t i) { ++visits[i]; });
        for (int const count : visits) REQUIRE(count == 1);
    }
}

TEST_CASE("what a body throws reaches the caller, the lowest index first") {
    auto const fail_late = [](std::size_t i) {
        if (i == 17 || i == 900) throw std::runtime_error("index " + std::to_string(i));
    };
    CHECK_THROWS_WITH(qtk::parallel_for(1000, much, fail_late), "index 17");
    CHECK_THROWS_WITH(qtk::parallel_for(1000, 1, fail_late), "index 17");
}
