// SPDX-License-Identifier: Apache-2.0
#include <qtk/math/cholesky.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

/// x^T x / n + I/10 with n = 2 size rows of noise.
qtk::matrix positive_matrix(std::size_t size, std::uint64_t seed) {
    auto const x = qtk::gaussian_vector(2 * size * size, seed);
    qtk::matrix a(size, size);
    for (std::size_t i = 0; i < size; ++i)
        for (std::size_t j = i; j < size; ++j) {
            double sum = i == j ? 0.1 * 2.0 * static_cast<double>(size) : 0.0;
            for (std::size_t r = 0; r < 2 * size; ++r)
                sum += static_cast<double>(x[r * size + i]) * static_cast<double>(x[r * size + j]);
            a(i, j) = static_cast<float>(sum / (2.0 * static_cast<double>(size)));
            a(j, i) = a(i, j);
        }
    return a;
}

/// The largest |A - R R^T| over A's largest entry.
double residual(qtk::matrix const& a, qtk::matrix const& r) {
    double worst = 0.0, largest = 0.0;
    for (std::size_t i = 0; i < a.rows(); ++i)
        for (std::size_t j = i; j < a.cols(); ++j) {
            double sum = 0.0;
            for (std::size_t k = j; k < a.cols(); ++k)
                sum += static_cast<double>(r(i, k)) * static_cast<double>(r(j, k));
            worst = std::max(worst, std::fabs(sum - static_cast<double>(a(i, j))));
            largest = std::max(largest, std::fabs(static_cast<double>(a(i, j))));
        }
    return worst / largest;
}

}  // namespace

TEST_CASE("a matrix of two rows, by hand") {
    // R = [2 3; 0 4]: R R^T = [13 12; 12 16]. What lies below the diagonal is not read.
    qtk::matrix a(2, 2);
    a(0, 0) = 13.0f, a(0, 1) = 12.0f, a(1, 1) = 16.0f;
    a(1, 0) = std::numeric_limits<float>::quiet_NaN();
    REQUIRE(qtk::factor_upper(a.view()));
    CHECK(a(0, 0) == 2.0f);
    CHECK(a(0, 1) == 3.0f);
    CHECK(a(1, 1) == 4.0f);
}

TEST_CASE("the factor multiplied by its transpose is the matrix, for sizes around the blocks") {
    for (std::size_t const size : {1u, 7u, 127u, 128u, 129u, 300u}) {
        CAPTURE(size);
        qtk::matrix const a = positive_matrix(size, size);
        qtk::matrix r = a;
        REQUIRE(qtk::factor_upper(r.view()));
        CHECK(residual(a, r) < 2e-6);
    }
}

TEST_CASE("a view into a wider matrix leaves what is beside it alone") {
    qtk::matrix const a = positive_matrix(150, 4);
    qtk::matrix wide(150, 160), alone = a;
    for (std::size_t i = 0; i < 150; ++i)
        for (std::size_t j = 0; j < 160; ++j) wide(i, j) = j < 150 ? a(i, j) : 7.0f;
    REQUIRE(qtk::factor_upper({wide.data(), 150, 150, 160}));
    REQUIRE(qtk::factor_upper(alone.view()));
    for (std::size_t i = 0; i < 150; ++i) {
        for (std::size_t j = i; j < 150; ++j) REQUIRE(wide(i, j) == alone(i, j));
        for (std::size_t j = 150; j < 160; ++j) REQUIRE(wide(i, j) == 7.0f);
    }
}

TEST_CASE("what is not positive definite is said to be so, wherever it shows") {
    for (std::size_t const at : {0u, 140u, 299u}) {
        qtk::matrix a = positive_matrix(300, 5);
        a(at, at) = -1.0f;
        CHECK_FALSE(qtk::factor_upper(a.view()));
    }
    qtk::matrix with_nan = positive_matrix(10, 6);
    with_nan(2, 2) = std::numeric_limits<float>::quiet_NaN();
    CHECK_FALSE(qtk::factor_upper(with_nan.view()));
    qtk::matrix zero(3, 3);
    CHECK_FALSE(qtk::factor_upper(zero.view()));
}

TEST_CASE("no rows are a factor of nothing; a matrix that is not square is refused") {
    qtk::matrix none(0, 0), oblong(2, 3);
    CHECK(qtk::factor_upper(none.view()));
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::factor_upper(oblong.view())),
                         "factor_upper: expected a square matrix, found [2, 3]", qtk::shape_error);
}

#if defined(_OPENMP)
TEST_CASE("the factor is the same for any number of threads") {
    qtk::matrix one = positive_matrix(400, 8), four = one;
    int const before = omp_get_max_threads();
    omp_set_num_threads(1);
    REQUIRE(qtk::factor_upper(one.view()));
    omp_set_num_threads(4);
    REQUIRE(qtk::factor_upper(four.view()));
    omp_set_num_threads(before);
    CHECK(one == four);
}
#endif
