// SPDX-License-Identifier: Apache-2.0
#include <qtk/math/paley.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("the first matrix is the one of order 4 from the squares modulo 3") {
    // chi(1) = 1, chi(2) = -1: the rows of S below its border are cyclic shifts of 0 + -.
    std::vector<std::int8_t> const expected{1,  1,  1,  1,   //
                                            -1, 1,  1,  -1,  //
                                            -1, -1, 1,  1,   //
                                            -1, 1,  -1, 1};
    CHECK(qtk::paley_matrix(4) == expected);
}

TEST_CASE("the rows of every order that has a prime are orthogonal, and so are the columns") {
    std::vector<std::size_t> orders;
    for (std::size_t order = 4; order <= qtk::largest_paley_order; order += 4)
        if (qtk::paley_prime(order) != 0) orders.push_back(order);
    CHECK(orders.size() == 37);
    for (std::size_t const order : orders) {
        std::vector<std::int8_t> const h = qtk::paley_matrix(order);
        int wrong = 0;
        for (std::size_t i = 0; i < order; ++i)
            for (std::size_t j = 0; j < order; ++j) {
                int rows = 0;
                for (std::size_t k = 0; k < order; ++k) rows += h[i * order + k] * h[j * order + k];
                wrong += rows != (i == j ? static_cast<int>(order) : 0);
            }
        CAPTURE(order);
        CHECK(wrong == 0);
    }
}

TEST_CASE("orders without a matrix say so") {
    for (std::size_t const order : {0u, 1u, 2u, 3u, 6u, 10u, 40u, 92u, 172u})
        CHECK(qtk::paley_prime(order) == 0);
    CHECK(qtk::paley_prime(36) == 17);
    CHECK(qtk::paley_prime(44) == 43);
}
