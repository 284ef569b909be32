// SPDX-License-Identifier: Apache-2.0
#include <qtk/math/singular_values.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace {
using view = qtk::matrix_view<double const>;
}

TEST_CASE("no columns, one column, columns of zeros") {
    CHECK(qtk::singular_values({}).empty());
    CHECK(qtk::column_condition({}) == 1.0);
    double const one[] = {3.0, 4.0};
    CHECK(qtk::singular_values(view(one, 2, 1))[0] == 5.0);
    CHECK(qtk::column_condition(view(one, 2, 1)) == 1.0);
    double const zero[] = {1.0, 0.0, 2.0, 0.0};
    CHECK(qtk::singular_values(view(zero, 2, 2))[1] == 0.0);
    CHECK(std::isinf(qtk::column_condition(view(zero, 2, 2))));
}

TEST_CASE("a matrix of two columns, by hand") {
    // A^T A = [[25, 20], [20, 25]]: 45 and 5.
    double const a[] = {3.0, 0.0, 4.0, 5.0};
    auto const values = qtk::singular_values(view(a, 2, 2));
    CHECK(values[0] == doctest::Approx(std::sqrt(45.0)).epsilon(1e-15));
    CHECK(values[1] == doctest::Approx(std::sqrt(5.0)).epsilon(1e-15));
    CHECK(qtk::column_condition(view(a, 2, 2)) == doctest::Approx(3.0).epsilon(1e-14));
}

TEST_CASE("two unit columns at an angle have the condition that the angle says") {
    // Singular values of columns at the angle t: sqrt(1 +- cos t), so the ratio is 1 / tan(t / 2).
    for (double const angle : {1.5, 0.5, 1e-3, 1e-6}) {
        CAPTURE(angle);
        double const a[] = {1.0, 1e6 * std::cos(angle), 0.0, 1e6 * std::sin(angle)};
        CHECK(qtk::column_condition(view(a, 2, 2)) ==
              doctest::Approx(1.0 / std::tan(angle / 2.0)).epsilon(1e-9));
    }
}

TEST_CASE("columns that depend on each other have no condition") {
    auto const noise = qtk::gaussian_vector(40, 3);
    std::vector<double> a;
    for (std::size_t i = 0; i < 20; ++i) {
        double const u = static_cast<double>(noise[i]), v = static_cast<double>(noise[20 + i]);
        a.insert(a.end(), {u, v, 3.0 * u - 2.0 * v});
    }
    CHECK(std::isinf(qtk::column_condition(view(a.data(), 20, 3))));
    CHECK(std::isinf(qtk::column_condition(view(a.data(), 2, 3))));
}

TEST_CASE("the squares of the values are the squares of the entries") {
    auto const noise = qtk::gaussian_vector(30 * 7, 5);
    std::vector<double> const a(noise.begin(), noise.end());
    double entries = 0.0, values = 0.0;
    for (double const x : a) entries += x * x;
    for (double const s : qtk::singular_values(view(a.data(), 30, 7))) values += s * s;
    CHECK(values == doctest::Approx(entries).epsilon(1e-13));
}

TEST_CASE("a NaN has no singular values") {
    double const a[] = {1.0, std::numeric_limits<double>::quiet_NaN()};
    CHECK_THROWS_WITH_AS((void)qtk::singular_values(view(a, 1, 2)), doctest::Contains("column 1"),
                         qtk::nonfinite_error);
}
