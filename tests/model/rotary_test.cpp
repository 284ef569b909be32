// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/rotary.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {
// One row of x turned as if it stood at `position`.
std::vector<float> turned(qtk::rotary const& angles, std::vector<float> const& x,
                          std::size_t position) {
    qtk::matrix rows(position + 1, x.size());
    std::copy(x.begin(), x.end(), rows.view().row(position).begin());
    angles.apply(rows.view());
    auto const row = rows.view().row(position);
    return {row.begin(), row.end()};
}
double dot(std::vector<float> const& a, std::vector<float> const& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
}
}  // namespace

TEST_CASE("nothing is turned to nothing, and position 0 is not turned") {
    qtk::rotary const angles(10000.0, 4);
    angles.apply({nullptr, 0, 8});
    std::vector<float> const x{1.0f, 2.0f, 3.0f, 4.0f};
    CHECK(turned(angles, x, 0) == x);
}

TEST_CASE("the halves of a head are turned together, by hand") {
    // d = 4, theta = 100: the pairs are (0, 2) and (1, 3), turned by 1 and by 100^(-1/2) = 1/10.
    auto const y = turned(qtk::rotary(100.0, 4), {1.0f, 0.0f, 0.0f, 1.0f}, 1);
    CHECK(y[0] == static_cast<float>(std::cos(1.0)));
    CHECK(y[2] == static_cast<float>(std::sin(1.0)));
    CHECK(y[1] == -static_cast<float>(std::sin(0.1)));
    CHECK(y[3] == static_cast<float>(std::cos(0.1)));
}

TEST_CASE("every head of a row is turned alike") {
    qtk::rotary const angles(10000.0, 4);
    auto const one = qtk::gaussian_vector(4, 1);
    std::vector<float> two(one);
    two.insert(two.end(), one.begin(), one.end());
    auto const y = turned(angles, two, 5), expected = turned(angles, one, 5);
    CHECK(std::equal(expected.begin(), expected.end(), y.begin()));
    CHECK(std::equal(expected.begin(), expected.end(), y.begin() + 4));
}

TEST_CASE("the product of two turned heads depends on their distance alone") {
    qtk::rotary const angles(10000.0, 32);
    auto const q = qtk::gaussian_vector(32, 2), k = qtk::gaussian_vector(32, 3);
    double const near = dot(turned(angles, q, 5), turned(angles, k, 2));
    double const far = dot(turned(angles, q, 205), turned(angles, k, 202));
    // 32 products of values below 4, each turned with two roundings a side.
    CHECK(std::fabs(near - far) < 32 * 16 * 6 * 0x1p-24);
}

TEST_CASE("a longer window does not change the turns of a shorter one") {
    qtk::rotary const angles(10000.0, 8);
    auto const x = qtk::gaussian_vector(8, 4);
    auto const before = turned(angles, x, 3);
    (void)turned(angles, x, 1000);
    CHECK(turned(angles, x, 3) == before);
}
