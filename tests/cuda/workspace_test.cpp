// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/workspace.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace {
using namespace qtk::cuda;

TEST_CASE("pieces follow the counters, aligned, as they were counted") {
    workspace_cutter counted;
    CHECK(counted.used() == 0);
    CHECK(counted.take<std::uint8_t>(17) == nullptr);
    CHECK(counted.take<float>(1) == nullptr);
    CHECK(counted.used() == workspace_counters * 4 + 32 + 16);

    workspace space = make_workspace(counted.used(), {});
    for (std::uint32_t const word : space.to_host({})) CHECK(word == 0);
    workspace_cutter cutter(space);
    auto* const front = reinterpret_cast<std::uint8_t*>(space.data());
    CHECK(reinterpret_cast<std::uint8_t*>(cutter.counters()) == front);
    CHECK(cutter.take<std::uint8_t>(17) == front + workspace_counters * 4);
    CHECK(reinterpret_cast<std::uint8_t*>(cutter.take<float>(1)) ==
          front + workspace_counters * 4 + 32);
    CHECK(cutter.used() == space.bytes());
}

TEST_CASE("a workspace that is too small is named with its size") {
    workspace const small = make_workspace(8, {});
    CHECK_NOTHROW(require_workspace("linear", 1, 8, small));
    std::string what;
    try {
        require_workspace("linear", 1, 9, small);
    } catch (qtk::value_error const& e) {
        what = e.what();
    }
    CHECK(what ==
          "cuda: linear: 1 rows need a workspace of 9 bytes, found 8. Hint: workspace_bytes(m)");
}
}  // namespace
