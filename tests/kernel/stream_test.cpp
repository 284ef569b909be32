// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/stream.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <algorithm>
#include <vector>

TEST_CASE("a streamed copy is a copy, from anywhere to anywhere") {
    std::vector<float> const from = qtk::gaussian_vector(1100, 1);
    for (std::size_t const n : cases::odd_lengths)
        for (std::size_t shift = 0; shift < 5; ++shift) {
            std::vector<float> to(n + 10, 7.0f), expected = to;
            qtk::stream_floats(to.data() + shift, from.data() + 2 * shift, n);
            qtk::stream_fence();
            std::copy_n(from.data() + 2 * shift, n, expected.data() + shift);
            REQUIRE(to == expected);
        }
}

TEST_CASE("little stays in the caches, a terabyte does not") {
    CHECK_FALSE(qtk::outgrows_cache(0));
    CHECK_FALSE(qtk::outgrows_cache(4096));
    CHECK(qtk::outgrows_cache(std::size_t{1} << 40));
}
