// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>
#include <qtk/model/grouped_rows.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using qtk::matrix;

/// Two heads of six channels, the second channel large in every row as keys have them.
matrix rows_of(std::size_t count, std::uint64_t seed) {
    matrix m(count, 12);
    auto const values = qtk::gaussian_vector(count * 12, seed);
    for (std::size_t i = 0; i < values.size(); ++i)
        m.data()[i] = values[i] + (i % 12 == 1 ? 20.0f : 0.0f);
    return m;
}
qtk::kv_format groups(int bits, std::size_t group, std::size_t recent) {
    qtk::kv_format how(qtk::kv_storage::groups);
    how.bits = bits;
    how.group = group;
    how.recent = recent;
    return how;
}
matrix read_all(qtk::grouped_rows const& rows) {
    matrix all(rows.length(), 12);
    std::vector<float> scratch;
    for (std::size_t h = 0; h < 2; ++h) {
        auto const head = rows.read(h, 0, rows.length(), scratch);
        for (std::size_t r = 0; r < head.rows; ++r)
            for (std::size_t c = 0; c < 6; ++c) all(r, h * 6 + c) = head(r, c);
    }
    return all;
}
double error(matrix const& a, matrix const& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.view().size(); ++i) {
        double const e = static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]);
        sum += e * e;
    }
    return sum;
}

}  // namespace

TEST_CASE("values on a grid of the group come back exactly") {
    matrix x(4, 12);
    for (std::size_t r = 0; r < 4; ++r)
        for (std::size_t c = 0; c < 12; ++c)
            x(r, c) = 0.5f * static_cast<float>(r) - static_cast<float>(c);
    qtk::grouped_rows rows(groups(2, 4, 0), true, 2, 6);
    rows.append(x.view());
    rows.settle();
    CHECK(rows.settled() == 4);
    CHECK(read_all(rows) == x);
    // Channels of one token: 0 .. 15 quarters.
    qtk::grouped_rows other(groups(4, 8, 0), false, 2, 6);
    matrix y(1, 12);
    for (std::size_t c = 0; c < 12; ++c)
        y(0, c) = 0.25f * static_cast<float>(c % 6 == 5 ? 15 : c % 6);
    other.append(y.view());
    other.settle();
    CHECK(read_all(other) == y);
}

TEST_CASE("every value stays within half a step of its group, recent ones as they are") {
    matrix const x = rows_of(23, 1);
    for (bool const is_along : {true, false})
        for (int const bits : {2, 4, 8}) {
            CAPTURE(bits);
            CAPTURE(is_along);
            qtk::grouped_rows rows(groups(bits, 4, 5), is_along, 2, 6);
            rows.append(x.view());
            CHECK(read_all(rows) == x);  // not settled yet
            rows.settle();
            std::size_t const settled = is_along ? 16 : 18;
            CHECK(rows.settled() == settled);
            matrix const back = read_all(rows);
            for (std::size_t r = 0; r < 23; ++r)
                for (std::size_t c = 0; c < 12; ++c) {
                    if (r >= settled) {
                        CHECK(back(r, c) == x(r, c));
                        continue;
                    }
                    float lowest = x(r, c), highest = x(r, c);
                    auto const see = [&](float v) {
                        lowest = std::min(lowest, v), highest = std::max(highest, v);
                    };
                    if (is_along)
                        for (std::size_t i = r / 4 * 4; i < r / 4 * 4 + 4; ++i) see(x(i, c));
                    else
                        for (std::size_t i = 0; i < 6; ++i)
                            if (i / 4 == c % 6 / 4) see(x(r, c / 6 * 6 + i));
                    float const step = (highest - lowest) / static_cast<float>((1 << bits) - 1);
                    // Halves move the ends of the interval by their last digit.
                    float const ends = 0x1p-10f * (std::fabs(lowest) + highest - lowest);
                    CHECK(std::fabs(back(r, c) - x(r, c)) <= 0.5f * step + ends);
                }
        }
}

TEST_CASE(
    "more bits and shorter groups make less error, and channels suit keys better than tokens") {
    matrix const x = rows_of(96, 2);
    auto const error_of = [&](int bits, std::size_t group, bool is_along) {
        qtk::grouped_rows rows(groups(bits, group, 0), is_along, 2, 6);
        rows.append(x.view());
        rows.settle();
        return error(read_all(rows), x);
    };
    for (bool const is_along : {true, false}) {
        CHECK(error_of(4, 8, is_along) < 0.2 * error_of(2, 8, is_along));
        CHECK(error_of(8, 8, is_along) < 0.05 * error_of(4, 8, is_along));
        CHECK(error_of(4, 3, is_along) < error_of(4, 6, is_along));
    }
    CHECK(error_of(2, 32, true) < 0.5 * error_of(2, 32, false));
}

TEST_CASE("written at once or row by row, the codes are the same") {
    matrix const x = rows_of(41, 3);
    for (bool const is_along : {true, false})
        for (std::size_t const recent : {0u, 7u}) {
            qtk::grouped_rows once(groups(4, 8, recent), is_along, 2, 6), stepwise = once;
            once.append(x.view());
            once.settle();
            for (std::size_t r = 0; r < 41; ++r) {
                stepwise.append({x.data() + r * 12, 1, 12});
                stepwise.settle();
            }
            CHECK(once == stepwise);
            CHECK(once.bytes() < 41 * 12 * sizeof(float));
        }
}

TEST_CASE("a shortened past reads as before and can be gone on with") {
    matrix const x = rows_of(40, 4), y = rows_of(9, 5);
    for (bool const is_along : {true, false})
        for (std::size_t const length : {0u, 8u, 13u, 36u, 40u, 50u}) {
            CAPTURE(length);
            qtk::grouped_rows rows(groups(4, 8, 3), is_along, 2, 6);
            rows.append(x.view());
            rows.settle();
            matrix const before = read_all(rows);
            rows.shorten(length);
            std::size_t const left = std::min<std::size_t>(length, 40);
            REQUIRE(rows.length() == left);
            matrix const after = read_all(rows);
            for (std::size_t i = 0; i < left * 12; ++i) CHECK(after.data()[i] == before.data()[i]);
            rows.append(y.view());
            rows.settle();
            matrix const longer = read_all(rows);
            CHECK(longer(left + 8, 5) == y(8, 5));
        }
}

TEST_CASE("equal, huge and lost values") {
    matrix x(4, 12);
    for (std::size_t i = 0; i < 48; ++i) x.data()[i] = -1.5f;
    x(1, 2) = 1e9f;
    x(2, 7) = std::numeric_limits<float>::quiet_NaN();
    qtk::grouped_rows rows(groups(4, 4, 0), true, 2, 6);
    rows.append(x.view());
    rows.settle();
    matrix const back = read_all(rows);
    CHECK(back(3, 0) == -1.5f);
    CHECK(std::isfinite(back(1, 2)));  // clipped at what halves hold
    CHECK(back(1, 2) > 65504.0f);
    CHECK(std::isnan(back(2, 7)));
    CHECK(std::isnan(back(0, 7)));
}
