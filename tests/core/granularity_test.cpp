// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/granularity.hpp>

#include <doctest/doctest.h>

#include <vector>

static_assert(qtk::granularity{} == qtk::per_tensor);
static_assert(qtk::per_block(1, 64) == qtk::per_group(64), "a group is a block of one row");
static_assert(qtk::is_known(qtk::per_tensor) && qtk::is_known(qtk::per_channel));
static_assert(qtk::is_known(qtk::per_group(1)) && qtk::is_known(qtk::per_block(16, 16)));

TEST_CASE("what is no granularity is not known") {
    for (auto const& g :
         {qtk::granularity{.rows = 4}, qtk::granularity{.cols = 4},
          qtk::granularity{.rows = -1, .cols = 4}, qtk::granularity{.rows = 4, .cols = -1}})
        CHECK_FALSE(qtk::is_known(g));
}

TEST_CASE("an empty matrix has no tiles") {
    for (auto const& g : {qtk::per_tensor, qtk::per_channel, qtk::per_group(4)}) {
        CHECK(qtk::tile_grid(g, 0, 5).count() == 0);
        CHECK(qtk::tile_grid(g, 5, 0).count() == 0);
        CHECK(qtk::tile_grid(g, 0, 0).count() == 0);
    }
}

TEST_CASE("the four kinds cut a matrix as their names say") {
    qtk::tile_grid const tensor(qtk::per_tensor, 6, 10), channel(qtk::per_channel, 6, 10),
        group(qtk::per_group(4), 6, 10), block(qtk::per_block(4, 4), 6, 10);
    CHECK(tensor.count() == 1);
    CHECK(tensor.height(0) == 6);
    CHECK(tensor.width(0) == 10);
    CHECK(channel.count() == 6);
    CHECK(channel.width(0) == 10);
    CHECK(group.down == 6);
    CHECK(group.across == 3);
    CHECK(group.width(2) == 2);
    CHECK(block.down == 2);
    CHECK(block.height(1) == 2);
    CHECK(block.width(1) == 4);
}

TEST_CASE("a tile longer than the matrix is the matrix") {
    qtk::tile_grid const grid(qtk::per_block(100, 100), 3, 5);
    CHECK(grid.count() == 1);
    CHECK(grid.height(0) == 3);
    CHECK(grid.width(0) == 5);
}

TEST_CASE("tiles cover every element once") {
    for (auto const& g : {qtk::per_tensor, qtk::per_channel, qtk::per_group(1), qtk::per_group(3),
                          qtk::per_group(7), qtk::per_block(2, 3), qtk::per_block(5, 5)})
        for (std::size_t rows = 1; rows < 8; ++rows)
            for (std::size_t cols = 1; cols < 8; ++cols) {
                qtk::tile_grid const grid(g, rows, cols);
                std::vector<int> covered(rows * cols);
                for (std::size_t i = 0; i < grid.down; ++i)
                    for (std::size_t j = 0; j < grid.across; ++j)
                        for (std::size_t r = 0; r < grid.height(i); ++r)
                            for (std::size_t c = 0; c < grid.width(j); ++c)
                                ++covered.at((i * grid.rows + r) * cols + j * grid.cols + c);
                CHECK(covered == std::vector<int>(rows * cols, 1));
            }
}
