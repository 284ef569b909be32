// SPDX-License-Identifier: Apache-2.0
#include <qtk/math/blas.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include "threads.hpp"
#include <cmath>
#include <limits>
#include <vector>

namespace {

using qtk::factor, qtk::matrix, qtk::matrix_view;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

// What a product is, in double precision, and how far k roundings of floats may lead from it.
template <factor B>
void check_product(matrix_view<float const> a, matrix_view<float const> b,
                   matrix_view<float const> before, matrix_view<float const> c,
                   qtk::matmul_options options) {
    double const unit = 0x1p-24 * static_cast<double>(a.cols + 4);
    for (std::size_t i = 0; i < c.rows; ++i)
        for (std::size_t j = 0; j < c.cols; ++j) {
            double sum = 0.0, size = 0.0;
            for (std::size_t k = 0; k < a.cols; ++k) {
                double const term =
                    static_cast<double>(a(i, k)) *
                    static_cast<double>(B == factor::transposed ? b(j, k) : b(k, j));
                sum += term;
                size += std::fabs(term);
            }
            double const old =
                static_cast<double>(options.beta) * static_cast<double>(before(i, j));
            double const alpha = static_cast<double>(options.alpha);
            CHECK(std::fabs(static_cast<double>(c(i, j)) - (alpha * sum + old)) <=
                  unit * (std::fabs(alpha) * size + std::fabs(old)));
        }
}

}  // namespace

TEST_CASE("empty products leave zeros, or nothing") {
    matrix none(0, 3), c(0, 2);
    qtk::matmul(none.view(), matrix(2, 3).view(), c.view());
    // No inner dimension: every sum is empty.
    matrix d = random_matrix(2, 2, 1);
    qtk::matmul(matrix(2, 0).view(), matrix(2, 0).view(), d.view());
    CHECK(d == matrix(2, 2));
}

TEST_CASE("a product by hand, transposed and plain") {
    std::vector<float> const a{1, 2, 3, 4}, b{5, 6, 7, 8};
    matrix c(2, 2);
    qtk::matmul({a.data(), 2, 2}, {b.data(), 2, 2}, c.view());
    CHECK(c(0, 0) == 17.0f);
    CHECK(c(0, 1) == 23.0f);
    CHECK(c(1, 0) == 39.0f);
    CHECK(c(1, 1) == 53.0f);
    qtk::matmul<factor::plain>({a.data(), 2, 2}, {b.data(), 2, 2}, c.view(), {.alpha = 2.0f});
    CHECK(c(0, 0) == 38.0f);
    CHECK(c(1, 1) == 100.0f);
}

TEST_CASE("shapes that do not fit are refused") {
    matrix c(2, 2);
    CHECK_THROWS_WITH_AS(qtk::matmul(matrix(2, 3).view(), matrix(2, 4).view(), c.view()),
                         "matmul: [2, 3] times [2, 4] transposed does not give [2, 2]",
                         qtk::shape_error);
    CHECK_THROWS_AS(qtk::matmul<factor::plain>(matrix(2, 3).view(), matrix(2, 3).view(), c.view()),
                    qtk::shape_error);
    CHECK_THROWS_AS(qtk::matmul(matrix(3, 3).view(), matrix(2, 3).view(), c.view()),
                    qtk::shape_error);
}

TEST_CASE("what lay in the product is not read where beta is 0") {
    for (float const left : {std::numeric_limits<float>::quiet_NaN(), 1e30f}) {
        matrix c(5, 9);
        std::fill_n(c.data(), 45, left);
        matrix const a = random_matrix(5, 7, 1), b = random_matrix(9, 7, 2);
        qtk::matmul(a.view(), b.view(), c.view());
        check_product<factor::transposed>(a.view(), b.view(), matrix(5, 9).view(), c.view(), {});
    }
}

TEST_CASE("products of every small shape are right, in views with a stride too") {
    for (std::size_t m : {1u, 2u, 3u, 4u, 5u, 9u})
        for (std::size_t n : {1u, 7u, 8u, 9u, 17u})
            for (std::size_t k : {1u, 2u, 31u, 64u}) {
                CAPTURE(m);
                CAPTURE(n);
                CAPTURE(k);
                matrix a = random_matrix(m, k + 3, m), b = random_matrix(n, k + 1, n);
                matrix plain = random_matrix(k, n + 5, k), c = random_matrix(m, n + 2, 9);
                matrix_view<float const> const x(a.data(), m, k, k + 3), w(b.data(), n, k, k + 1);
                matrix_view<float const> const p(plain.data(), k, n, n + 5);
                matrix_view<float> const y(c.data(), m, n, n + 2);
                qtk::matmul_options const options{.alpha = 0.5f, .beta = -2.0f};
                matrix before = c;
                qtk::matmul(x, w, y, options);
                check_product<factor::transposed>(x, w, {before.data(), m, n, n + 2}, y, options);
                before = c;
                qtk::matmul<factor::plain>(x, p, y, options);
                check_product<factor::plain>(x, p, {before.data(), m, n, n + 2}, y, options);
                for (std::size_t r = 0; r < m; ++r)  // the columns beside the view
                    for (std::size_t extra = n; extra < n + 2; ++extra)
                        CHECK(c(r, extra) == before(r, extra));
                before = c;
                qtk::detail::matmul_loop<factor::transposed>(x, w, y, options);
                check_product<factor::transposed>(x, w, {before.data(), m, n, n + 2}, y, options);
                before = c;
                qtk::detail::matmul_loop<factor::plain>(x, p, y, options);
                check_product<factor::plain>(x, p, {before.data(), m, n, n + 2}, y, options);
            }
}

TEST_CASE("the number of threads changes no bit, nor does a tile of the result alone") {
    matrix const a = random_matrix(523, 170, 1), b = random_matrix(601, 170, 2);
    matrix const plain = random_matrix(170, 601, 3);
    qtk_test::same_for_any_threads([&] {
        matrix c(523, 601);
        qtk::matmul(a.view(), b.view(), c.view());
        return c;
    });
    qtk_test::same_for_any_threads([&] {
        matrix c(523, 601);
        qtk::matmul<factor::plain>(a.view(), plain.view(), c.view());
        return c;
    });
    matrix whole(523, 601), part(256, 256);
    qtk::matmul(a.view(), b.view(), whole.view());
    qtk::matmul({a.data() + 256 * 170, 256, 170}, {b.data() + 256 * 170, 256, 170}, part.view());
    for (std::size_t i = 0; i < 256; ++i)
        for (std::size_t j = 0; j < 256; ++j) REQUIRE(part(i, j) == whole(256 + i, 256 + j));
}

#if QTK_HAS_CBLAS && defined(OPENBLAS_VERSION)
TEST_CASE("OpenBLAS gets its threads back when the last user of one thread goes") {
    int const before = openblas_get_num_threads();
    openblas_set_num_threads(2);
    {
        qtk::single_threaded_blas const outer;
        CHECK(openblas_get_num_threads() == 1);
        { qtk::single_threaded_blas const inner; }
        CHECK(openblas_get_num_threads() == 1);
    }
    CHECK(openblas_get_num_threads() == 2);
    openblas_set_num_threads(before);
}
#endif
