// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/measure.hpp>
#include <qtk/kernel/avx512/measure.hpp>
#include <qtk/kernel/measure.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

TEST_CASE("tiles are measured from the lowest to the highest value and zero") {
    std::vector<float> x = qtk::gaussian_vector(1023, 31);
    for (std::size_t i = 0; i < 128; ++i) x[i] = std::fabs(x[i]);
    for (std::size_t i = 128; i < 256; ++i) x[i] = -std::fabs(x[i]);
    for (std::size_t const tile : {1u, 3u, 16u, 64u, 100u, 128u, 2000u})
        for (qtk::instruction_set const set : cases::usable_sets())
            for (bool const is_signed : {true, false}) {
                std::vector<qtk::extremes> found((x.size() - 1) / tile + 1);
                REQUIRE(qtk::measure_tiles(set, x, tile, is_signed, found.data()));
                for (std::size_t j = 0; j < found.size(); ++j) {
                    float low = 0.0f, high = 0.0f;
                    for (std::size_t i = j * tile; i < std::min(x.size(), (j + 1) * tile); ++i) {
                        low = std::min(low, x[i]);
                        high = std::max(high, x[i]);
                    }
                    if (!is_signed) low = -(high = std::max(-low, high));
                    CAPTURE(qtk::name_of(set));
                    REQUIRE(found[j].lowest == low);
                    REQUIRE(found[j].highest == high);
                }
            }
}

TEST_CASE("NaN and infinity are seen anywhere in a row, the largest float is fine") {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    float const bad[] = {infinity, -infinity, std::numeric_limits<float>::quiet_NaN(),
                         -std::numeric_limits<float>::quiet_NaN()};
    for (qtk::instruction_set const set : cases::usable_sets())
        for (bool const is_signed : {true, false})
            for (std::size_t at = 0; at < 100; ++at) {
                std::vector<float> x(100, -1.0f);
                qtk::extremes found[3];
                x[at] = -std::numeric_limits<float>::max();
                REQUIRE(qtk::measure_tiles(set, x, 40, is_signed, found));
                for (float const value : bad) {
                    x[at] = value;
                    REQUIRE_FALSE(qtk::measure_tiles(set, x, 40, is_signed, found));
                }
            }
}
