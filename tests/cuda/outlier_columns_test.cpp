// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/outlier_columns.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <cmath>
#include <cstdint>
#include <vector>

namespace {
using namespace qtk::cuda;

struct found_outliers {
    std::vector<std::uint8_t> flags;
    std::vector<std::uint32_t> columns;
};
found_outliers find(std::vector<float> const& floats, std::size_t m, std::size_t cols,
                    float threshold) {
    auto const x = on_device(floats);
    device_vector<std::uint8_t> flags(cols, 99);
    device_vector<std::uint32_t> columns(cols, 99), count(1, 99);
    launch_find_outliers({x.data(), cols, number::f32}, m, cols, threshold,
                         {flags.data(), columns.data(), count.data()}, {});
    wait_for_device();
    return {{flags.begin(), flags.end()},
            {columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(count[0])}};
}

TEST_CASE("columns that reach the threshold are listed in order") {
    for (std::size_t const cols : {std::size_t{1}, std::size_t{130}, std::size_t{3000}})
        for (std::size_t const m : {std::size_t{1}, std::size_t{5}}) {
            auto const x = random_floats(m * cols, 3);
            std::vector<std::uint32_t> expected;
            for (std::uint32_t k = 0; k < cols; ++k) {
                bool is_outlier = false;
                for (std::size_t r = 0; r < m; ++r)
                    is_outlier = is_outlier || std::fabs(x[r * cols + k]) >= 1.5f;
                if (is_outlier) expected.push_back(k);
            }
            auto const found = find(x, m, cols, 1.5f);
            CHECK(found.columns == expected);
            for (std::uint32_t k = 0; k < cols; ++k)
                CHECK(found.flags[k] ==
                      (std::find(expected.begin(), expected.end(), k) != expected.end() ? 1 : 0));
        }
}

TEST_CASE("what is no number marks no column, the threshold itself does") {
    CHECK(find({NAN, INFINITY, -6.0f, 5.9f}, 1, 4, 6.0f).columns == std::vector<std::uint32_t>{2});
    CHECK(find({NAN, INFINITY, -6.0f, 5.9f}, 1, 4, INFINITY).columns.empty());
    CHECK_THROWS_AS(launch_find_outliers({}, 1, 4, 0.0f, {}, {}), qtk::value_error);
    CHECK_THROWS_AS(launch_find_outliers({}, 1, 4, NAN, {}, {}), qtk::value_error);
}
}  // namespace
