// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/rotation.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/quantize_any.hpp>
#include <qtk/range/mse.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

using qtk::hadamard, qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

double difference(matrix const& a, matrix const& b) {
    return qtk::mean_square_difference(a.view(), b.view());
}

}  // namespace

TEST_CASE("columns and outputs by hand: order 2") {
    float const half = 1.0f / std::sqrt(2.0f);
    matrix w(2, 2);
    w(0, 0) = 1.0f, w(0, 1) = 3.0f, w(1, 0) = 5.0f, w(1, 1) = -1.0f;
    hadamard const rotation(2);
    matrix const columns = qtk::rotated_columns(w.view(), rotation);
    CHECK(columns(0, 0) == 4.0f * half);
    CHECK(columns(0, 1) == -2.0f * half);
    CHECK(columns(1, 0) == 4.0f * half);
    CHECK(columns(1, 1) == 6.0f * half);
    matrix const outputs = qtk::rotated_outputs(w.view(), rotation);
    CHECK(outputs(0, 0) == 6.0f * half);
    CHECK(outputs(0, 1) == 2.0f * half);
    CHECK(outputs(1, 0) == -4.0f * half);
    CHECK(outputs(1, 1) == 4.0f * half);
}

TEST_CASE("products stay, or come out rotated") {
    hadamard const in(24, 1), out(20, 2);
    matrix const x = random_matrix(7, 24, 1), w = random_matrix(20, 24, 2);
    matrix const y = qtk::layer_output(x.view(), w.view());
    CHECK(difference(qtk::layer_output(qtk::rotated_columns(x.view(), in).view(),
                                       qtk::rotated_columns(w.view(), in).view()),
                     y) < 1e-10);
    CHECK(difference(qtk::layer_output(x.view(), qtk::rotated_outputs(w.view(), out).view()),
                     qtk::rotated_columns(y.view(), out)) < 1e-10);
    CHECK(difference(qtk::unrotated_columns(qtk::rotated_columns(w.view(), in), in), w) < 1e-12);
}

TEST_CASE("the Hessian of rotated inputs") {
    hadamard const rotation(12, 3);
    matrix const x = random_matrix(30, 12, 1);
    auto const hessian = [](matrix const& rows) {
        matrix const t = qtk::transposed(rows.view());
        return qtk::layer_output(t.view(), t.view());
    };
    CHECK(difference(qtk::rotated_hessian(hessian(x).view(), rotation),
                     hessian(qtk::rotated_columns(x.view(), rotation))) < 1e-8);
}

TEST_CASE("outliers cost less behind a rotation, with any method") {
    matrix w = random_matrix(16, 64, 5);
    for (std::size_t r = 0; r < 16; ++r) w(r, r * 3) *= 12.0f;
    qtk::scheme const s = qtk::parse_scheme("i4/channel");
    hadamard const rotation(64, 7);
    qtk::rotated_codes const rotated = qtk::quantize_rotated(s, w.view(), rotation);
    double const plain = difference(qtk::rounded_weight(s, w.view()), w);
    CHECK(difference(rotated.weight(), w) < 0.3 * plain);
    // A rotation keeps lengths: the error of the codes is that of the weight they stand for.
    CHECK(difference(rotated.weight(), w) ==
          doctest::Approx(
              difference(qtk::dequantize(rotated.codes), qtk::rotated_columns(w.view(), rotation)))
              .epsilon(1e-4));
    CHECK(qtk::quantize_rotated(s, w.view(), rotation, qtk::mse_range{}).codes ==
          qtk::quantize_any(qtk::rotated_columns(w.view(), rotation), s, qtk::mse_range{}));
}

TEST_CASE("a rotation of another size is refused") {
    matrix const w(3, 4);
    CHECK_THROWS_WITH_AS((void)qtk::rotated_columns(w.view(), hadamard(8)),
                         "rotation: expected one of 4 columns, found one of 8", qtk::shape_error);
    CHECK_THROWS_WITH_AS((void)qtk::rotated_outputs(w.view(), hadamard(4)),
                         "rotation: expected one of 3 rows, found one of 4", qtk::shape_error);
}
