// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/awq_clip.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/method/column_scaling.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

using qtk::awq_clip, qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

/// sum over rows of x of the square of the part of x (w - w')^T that the columns from `first` give.
double part_error(matrix const& x, matrix const& w, matrix const& rounded, std::size_t row,
                  std::size_t first, std::size_t width) {
    double sum = 0.0;
    for (std::size_t n = 0; n < x.rows(); ++n) {
        double part = 0.0;
        for (std::size_t c = first; c < first + width; ++c)
            part += static_cast<double>(x(n, c)) *
                    (static_cast<double>(w(row, c)) - static_cast<double>(rounded(row, c)));
        sum += part * part;
    }
    return sum;
}

}  // namespace

TEST_CASE("a weight that no input reads is clipped for the sake of the others, by hand") {
    // Symmetric 3 bits: steps of max / 3. With 6 the others round to 2 or 0; with 3 they are exact.
    matrix w(1, 4);
    w(0, 0) = 6.0f, w(0, 1) = 1.0f, w(0, 2) = 3.0f, w(0, 3) = 2.0f;
    matrix x(3, 4);
    for (std::size_t r = 0; r < 3; ++r) x(r, r + 1) = 1.0f;
    qtk::scheme const s = qtk::parse_scheme("i3/channel");
    // Of 12 steps the last that is tried leaves 6 * 6 / 12.
    awq_clip const clip{.rows = x.view(), .steps = 12, .most_clipped = 0.6f};
    matrix const clipped = clip.clipped(s, w.view());
    CHECK(clipped(0, 0) == 3.0f);
    CHECK(clipped(0, 1) == 1.0f);
    matrix const rounded = qtk::dequantize(clip.quantize(s, w.view()));
    CHECK(rounded(0, 1) == 1.0f);
    CHECK(rounded(0, 2) == 3.0f);
    CHECK(rounded(0, 3) == 2.0f);
    // Where the large weight is read, it stays.
    for (std::size_t r = 0; r < 3; ++r) x(r, 0) = 10.0f;
    CHECK(clip.clipped(s, w.view()) == w);
}

TEST_CASE("no group is worse than rounded to nearest, whichever way the error is computed") {
    matrix const w = random_matrix(70, 40, 2);
    // More rows of x than columns of a group, and fewer.
    for (std::size_t const rows : {200u, 5u})
        for (char const* const name :
             {"i3/g16/asym", "i4/channel", "i2/g16", "nf4/g16", "e2m1/g16/e8m0"}) {
            CAPTURE(std::string(name));
            CAPTURE(rows);
            matrix x = random_matrix(rows, 40, 1);
            for (std::size_t r = 0; r < rows; ++r) x(r, 7) *= 20.0f;
            qtk::scheme const s = qtk::parse_scheme(name);
            awq_clip const clip{.rows = x.view()};
            matrix const rounded = qtk::dequantize(clip.quantize(s, w.view()));
            matrix const plain = qtk::rounded_weight(s, w.view());
            std::size_t const width = s.grain.cols == 0 ? 40 : 16;
            int better = 0;
            for (std::size_t r = 0; r < 70; ++r)
                for (std::size_t c = 0; c < 40; c += width) {
                    std::size_t const count = std::min<std::size_t>(width, 40 - c);
                    double const a = part_error(x, w, rounded, r, c, count);
                    double const b = part_error(x, w, plain, r, c, count);
                    CHECK(a <= b * (1.0 + 1e-4) + 1e-6);
                    better += a < 0.95 * b;
                }
            CHECK(better > 3);
        }
}

TEST_CASE("rows beyond the limit are passed over evenly") {
    matrix const w = random_matrix(4, 8, 2);
    matrix x = random_matrix(100, 8, 1);
    matrix every_tenth(10, 8);
    for (std::size_t r = 0; r < 10; ++r)
        std::ranges::copy(x.view().row(10 * r), every_tenth.view().row(r).begin());
    qtk::scheme const s = qtk::parse_scheme("i2/g8");
    CHECK(awq_clip{.rows = x.view(), .most_rows = 10}.clipped(s, w.view()) ==
          awq_clip{.rows = every_tenth.view()}.clipped(s, w.view()));
}

TEST_CASE("it is a method: quantize<w4>(weight, awq_clip{rows})") {
    constexpr qtk::scheme w3{.element = qtk::i3, .grain = qtk::per_group(16)};
    matrix const w = random_matrix(6, 32, 2), x = random_matrix(20, 32, 1);
    CHECK(qtk::any_qmatrix(qtk::quantize<w3>(w, awq_clip{x.view()})) ==
          awq_clip{x.view()}.quantize(w3, w.view()));
    CHECK(awq_clip{x.view()}.quantize(w3, matrix(0, 32).view()).rows() == 0);
    // Zeros have no threshold to look for.
    matrix const zeros(2, 32);
    CHECK(awq_clip{x.view()}.clipped(w3, zeros.view()) == zeros);
}

TEST_CASE("what does not fit is refused") {
    qtk::scheme const s = qtk::parse_scheme("i3/g16");
    matrix const x(3, 16), w(2, 16);
    CHECK_THROWS_WITH_AS((void)awq_clip{x.view()}.quantize(s, matrix(2, 8).view()),
                         "awq_clip: weight has 8 columns, found rows of 16", qtk::shape_error);
    CHECK_THROWS_WITH_AS((void)awq_clip{matrix(0, 16).view()}.quantize(s, w.view()),
                         "awq_clip: weight: there are no rows to measure the error on",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(
        (void)(awq_clip{.rows = x.view(), .most_clipped = 1.0f}.quantize(s, w.view())),
        "awq_clip: expected at least 1 step and a share in [0, 1), found 20 and 1.000000",
        qtk::value_error);
    CHECK_THROWS_WITH_AS(
        (void)awq_clip{x.view()}.quantize(qtk::parse_scheme("i3/tensor"), w.view()),
        "awq_clip: expected groups or channels, found i3/tensor/sym/f32", qtk::value_error);
    matrix broken(2, 16);
    broken(1, 3) = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS((void)awq_clip{x.view()}.quantize(s, broken.view()), qtk::nonfinite_error);
}
