// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/buffer.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <utility>
#include <vector>

namespace {
using qtk::cuda::buffer;

TEST_CASE("what goes to the device comes back, and a moved buffer owns nothing") {
    std::vector<int> const values{1, 2, 3};
    buffer<int> first(std::span<int const>(values), {});
    CHECK(first.bytes() == 12);
    buffer<int> second(std::move(first));
    CHECK(first.empty());
    CHECK(second.to_host({}) == values);
    first = std::move(second);
    CHECK(first.to_host({}) == values);
    first.clear({});
    CHECK(first.to_host({}) == std::vector<int>(3, 0));
}

TEST_CASE("an empty buffer asks for nothing") {
    buffer<float> none(0);
    CHECK(none.data() == nullptr);
    CHECK(none.to_host({}).empty());
    none.clear({});
}

TEST_CASE("a size that overflows is refused") {
    CHECK_THROWS_AS(buffer<double>(std::numeric_limits<std::size_t>::max() / 4), qtk::value_error);
}
}  // namespace
