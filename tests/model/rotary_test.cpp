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

TEST_CASE("neighbours are turned together, by hand") {
    // d = 4, theta = 100: the pairs are (0, 1) and (2, 3), turned by 1 and by 1/10.
    qtk::rotary const angles(100.0, 4, {}, qtk::rope_pairs::neighbours);
    CHECK(angles.pairs() == qtk::rope_pairs::neighbours);
    auto const y = turned(angles, {1.0f, 0.0f, 0.0f, 1.0f}, 1);
    CHECK(y[0] == static_cast<float>(std::cos(1.0)));
    CHECK(y[1] == static_cast<float>(std::sin(1.0)));
    CHECK(y[2] == -static_cast<float>(std::sin(0.1)));
    CHECK(y[3] == static_cast<float>(std::cos(0.1)));
}

TEST_CASE("both pairings are one turn of a head whose values change places") {
    qtk::rotary const halves(10000.0, 8), neighbours(10000.0, 8, {}, qtk::rope_pairs::neighbours);
    auto const x = qtk::gaussian_vector(8, 5);
    std::vector<float> mixed(8), back(8);
    for (std::size_t i = 0; i < 4; ++i) mixed[2 * i] = x[i], mixed[2 * i + 1] = x[i + 4];
    auto const y = turned(neighbours, mixed, 9);
    for (std::size_t i = 0; i < 4; ++i) back[i] = y[2 * i], back[i + 4] = y[2 * i + 1];
    CHECK(back == turned(halves, x, 9));
}

TEST_CASE("linear scaling makes positions nearer") {
    qtk::rope_scaling const four{.type = qtk::rope_scaling::kind::linear, .factor = 4.0};
    auto const x = qtk::gaussian_vector(8, 6);
    CHECK(turned(qtk::rotary(10000.0, 8, four), x, 12) == turned(qtk::rotary(10000.0, 8), x, 3));
}

TEST_CASE("Llama 3.1's scaling keeps fast turns, stretches slow ones and mixes those between") {
    qtk::rope_scaling const scaling{.type = qtk::rope_scaling::kind::llama3,
                                    .factor = 8.0,
                                    .low = 1.0,
                                    .high = 4.0,
                                    .original_context = 8192};
    auto const plain = qtk::rope_frequencies(500000.0, 128),
               scaled = qtk::rope_frequencies(500000.0, 128, scaling);
    REQUIRE(scaled.size() == 64);
    CHECK(plain[0] == 1.0);
    std::size_t kept = 0, stretched = 0, between = 0;
    for (std::size_t i = 0; i < 64; ++i) {
        double const length = 2.0 * M_PI / plain[i];  // tokens of a whole turn
        if (length < 2048.0) {
            CHECK(scaled[i] == plain[i]);
            ++kept;
        } else if (length > 8192.0) {
            CHECK(scaled[i] == plain[i] / 8.0);
            ++stretched;
        } else {
            double const smooth = (8192.0 / length - 1.0) / 3.0;
            CHECK(scaled[i] ==
                  doctest::Approx((1.0 - smooth) * plain[i] / 8.0 + smooth * plain[i]));
            ++between;
        }
    }
    CHECK(kept == 29);
    CHECK(between == 6);
    CHECK(stretched == 29);
}

TEST_CASE("frequencies of one's own are taken as they are") {
    auto const x = qtk::gaussian_vector(4, 7);
    CHECK(turned(qtk::rotary(std::vector<double>{1.0, 0.1}), x, 6) ==
          turned(qtk::rotary(100.0, 4), x, 6));
}

TEST_CASE("undo() turns back what apply() has turned, for both kinds of pairs") {
    for (auto const pairs : {qtk::rope_pairs::halves, qtk::rope_pairs::neighbours}) {
        qtk::rotary const angles(100.0, 4, {}, pairs);
        auto const start = qtk::gaussian_vector(3 * 8, 5);
        qtk::matrix x(3, 8);
        std::copy(start.begin(), start.end(), x.data());
        angles.apply(x.view(), 7);
        CHECK(x(1, 1) != doctest::Approx(start[9]));
        angles.undo(x.view(), 7);
        for (std::size_t i = 0; i < 24; ++i)
            CHECK(x.data()[i] == doctest::Approx(start[i]).epsilon(1e-5));
    }
}
