// SPDX-License-Identifier: Apache-2.0
#include <qtk/math/nnls.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

struct problem {
    std::size_t rows, cols;
    std::vector<double> a, b;

    [[nodiscard]] qtk::matrix_view<double const> view() const { return {a.data(), rows, cols}; }
    [[nodiscard]] double distance(std::vector<double> const& x) const {
        double squares = 0.0;
        for (std::size_t i = 0; i < rows; ++i) {
            double sum = -b[i];
            for (std::size_t j = 0; j < cols; ++j) sum += a[i * cols + j] * x[j];
            squares += sum * sum;
        }
        return std::sqrt(squares);
    }
};

problem noise(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    auto const values = qtk::gaussian_vector(rows * (cols + 1), seed);
    problem p{rows, cols, {}, {}};
    for (std::size_t i = 0; i < rows * cols; ++i) p.a.push_back(static_cast<double>(values[i]));
    for (std::size_t i = 0; i < rows; ++i)
        p.b.push_back(static_cast<double>(values[rows * cols + i]));
    return p;
}

/// The normal equations of the columns in `mask`, by Gauss with pivots.
std::vector<double> normal_equations(problem const& p, unsigned mask) {
    std::vector<std::size_t> chosen;
    for (std::size_t j = 0; j < p.cols; ++j)
        if ((mask >> j) & 1u) chosen.push_back(j);
    std::size_t const n = chosen.size();
    std::vector<std::vector<double>> m(n, std::vector<double>(n + 1));
    for (std::size_t r = 0; r < n; ++r)
        for (std::size_t i = 0; i < p.rows; ++i) {
            double const left = p.a[i * p.cols + chosen[r]];
            for (std::size_t c = 0; c < n; ++c) m[r][c] += left * p.a[i * p.cols + chosen[c]];
            m[r][n] += left * p.b[i];
        }
    for (std::size_t k = 0; k < n; ++k) {
        std::size_t best = k;
        for (std::size_t r = k; r < n; ++r)
            if (std::fabs(m[r][k]) > std::fabs(m[best][k])) best = r;
        std::swap(m[k], m[best]);
        for (std::size_t r = 0; r < n; ++r) {
            double const times = r == k ? 0.0 : m[r][k] / m[k][k];
            for (std::size_t c = k; c <= n; ++c) m[r][c] -= times * m[k][c];
        }
    }
    std::vector<double> x(p.cols);
    for (std::size_t k = 0; k < n; ++k) x[chosen[k]] = m[k][n] / m[k][k];
    return x;
}

/// The best of all sets of columns whose least squares solution has nothing negative.
std::vector<double> brute_force(problem const& p) {
    std::vector<double> best(p.cols);
    for (unsigned mask = 1; mask < (1u << p.cols); ++mask) {
        auto const x = normal_equations(p, mask);
        bool is_allowed = true;
        for (double const value : x) is_allowed = is_allowed && value >= 0.0;
        if (is_allowed && p.distance(x) < p.distance(best)) best = x;
    }
    return best;
}

}  // namespace

TEST_CASE("nothing to fit is fitted") {
    CHECK(qtk::nnls({}, {}).x.empty());
    problem const p{2, 0, {}, {3.0, 4.0}};
    CHECK(qtk::nnls(p.view(), p.b).residual_norm == 5.0);
    problem const none{0, 2, {}, {}};
    CHECK(qtk::nnls(none.view(), none.b).x == std::vector<double>{0.0, 0.0});
}

TEST_CASE("one unknown, by hand") {
    problem p{2, 1, {3.0, 4.0}, {6.0, 8.0}};
    CHECK(qtk::nnls(p.view(), p.b).x[0] == doctest::Approx(2.0).epsilon(1e-15));
    p.b = {-6.0, -8.0};
    CHECK(qtk::nnls(p.view(), p.b).x[0] == 0.0);
    CHECK(qtk::nnls(p.view(), p.b).residual_norm == doctest::Approx(10.0).epsilon(1e-15));
}

TEST_CASE("what would be negative is zero, and the others make up for it") {
    // Unconstrained: x = (2, -1). With x1 = 0: x0 = (1*1 + 1*2) / 2 = 1.5.
    problem const p{2, 2, {1.0, 1.0, 1.0, 0.0}, {1.0, 2.0}};
    auto const [x, distance] = qtk::nnls(p.view(), p.b);
    CHECK(x[0] == doctest::Approx(1.5).epsilon(1e-15));
    CHECK(x[1] == 0.0);
    CHECK(distance == doctest::Approx(std::sqrt(0.5)).epsilon(1e-15));
}

TEST_CASE("the answer is the best of all active sets") {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        CAPTURE(seed);
        std::size_t const cols = 1 + seed % 6, rows = cols + seed % 9;
        problem const p = noise(rows, cols, seed);
        auto const expected = brute_force(p);
        auto const [x, distance] = qtk::nnls(p.view(), p.b);
        CHECK(distance == doctest::Approx(p.distance(x)).epsilon(1e-12));
        CHECK(distance <= p.distance(expected) * (1.0 + 1e-12) + 1e-12);
        // The normal equations of the reference square the condition, hence the slack.
        for (std::size_t j = 0; j < cols; ++j)
            CHECK(std::fabs(x[j] - expected[j]) <= 1e-7 * (1.0 + expected[j]));
    }
}

TEST_CASE("the conditions of Kuhn and Tucker hold where brute force would take too long") {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        problem const p = noise(60, 25, 1000 + seed);
        auto const x = qtk::nnls(p.view(), p.b).x;
        for (std::size_t j = 0; j < p.cols; ++j) {
            double slope = 0.0;
            for (std::size_t i = 0; i < p.rows; ++i) {
                double r = p.b[i];
                for (std::size_t c = 0; c < p.cols; ++c) r -= p.a[i * p.cols + c] * x[c];
                slope += p.a[i * p.cols + j] * r;
            }
            CHECK(x[j] >= 0.0);
            CHECK(slope <= 1e-10);
            if (x[j] > 0.0) CHECK(std::fabs(slope) <= 1e-10);
        }
    }
}

TEST_CASE("units of columns change nothing but the units of the answer") {
    problem const p = noise(20, 4, 7);
    problem scaled = p;
    double const unit[] = {1e-12, 1.0, 1e12, 1e-200};
    for (std::size_t i = 0; i < p.a.size(); ++i) scaled.a[i] *= unit[i % 4];
    auto const x = qtk::nnls(p.view(), p.b).x, y = qtk::nnls(scaled.view(), p.b).x;
    for (std::size_t j = 0; j < 4; ++j)
        CHECK(y[j] * unit[j] == doctest::Approx(x[j]).epsilon(1e-12));
}

TEST_CASE("columns that say nothing new get nothing") {
    problem const p{3, 3, {1.0, 0.0, 1.0, 2.0, 0.0, 2.0, 3.0, 0.0, 3.0}, {2.0, 4.0, 6.0}};
    auto const [x, distance] = qtk::nnls(p.view(), p.b);
    CHECK(x[1] == 0.0);
    CHECK(x[0] + x[2] == doctest::Approx(2.0).epsilon(1e-14));
    CHECK(std::min(x[0], x[2]) == 0.0);
    CHECK(distance < 1e-14);
}

TEST_CASE("more unknowns than rows are no reason to fail") {
    problem const p = noise(3, 8, 5);
    auto const [x, distance] = qtk::nnls(p.view(), p.b);
    CHECK(p.distance(x) == doctest::Approx(distance).epsilon(1e-9));
}

TEST_CASE("what is no problem is refused") {
    problem p{2, 1, {1.0, 2.0}, {1.0}};
    CHECK_THROWS_WITH_AS((void)qtk::nnls(p.view(), p.b), doctest::Contains("2 rows"),
                         qtk::shape_error);
    p.b = {1.0, std::numeric_limits<double>::quiet_NaN()};
    CHECK_THROWS_WITH_AS((void)qtk::nnls(p.view(), p.b), doctest::Contains("row 1"),
                         qtk::nonfinite_error);
}
