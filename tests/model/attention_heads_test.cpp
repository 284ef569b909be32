// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/attention_heads.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <doctest/doctest.h>

#include <numeric>
#include <vector>

TEST_CASE("a token sees itself and window - 1 tokens before, or all") {
    qtk::attention_shape const all{1, 1, 1}, three{1, 1, 1, 3}, one{1, 1, 1, 1};
    CHECK(all.first_seen(0) == 0);
    CHECK(all.first_seen(1000) == 0);
    for (std::size_t const position : {0u, 1u, 2u}) CHECK(three.first_seen(position) == 0);
    CHECK(three.first_seen(3) == 1);
    CHECK(three.first_seen(10) == 8);
    CHECK(one.first_seen(0) == 0);
    CHECK(one.first_seen(7) == 7);
}

TEST_CASE("a head is read in place, without a copy") {
    std::vector<float> values(5 * 6);
    std::iota(values.begin(), values.end(), 0.0f);
    qtk::detail::float_heads const heads{{values.data(), 5, 6}, 2};
    std::vector<float> scratch;
    auto const head = heads.read(1, 3, 2, scratch);
    CHECK(head.data == values.data() + 3 * 6 + 2);
    CHECK(head.rows == 2);
    CHECK(head.cols == 2);
    CHECK(head(1, 1) == 4 * 6 + 3);
    CHECK(scratch.empty());
    CHECK(heads.read(0, 5, 0, scratch).rows == 0);
}
