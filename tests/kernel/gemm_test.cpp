// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/gemm.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include "threads.hpp"
#include <cmath>

using view = qtk::matrix_view<float>;
using const_view = qtk::matrix_view<float const>;

TEST_CASE("no rows of X, no columns and no weights are products too") {
    std::vector<float> y(6, 7.0f);
    std::vector<float> const x(12, 1.0f);
    qtk::any_qmatrix const w = cases::random_qmatrix({.element = qtk::i4}, 3, 4, 1);
    qtk::gemm(w, const_view(x.data(), 0, 4), view(y.data(), 0, 3));
    qtk::gemm(qtk::any_qmatrix(w.scheme(), 0, 4), const_view(x.data(), 2, 4), view(y.data(), 2, 0));
    CHECK(y == std::vector<float>(6, 7.0f));
    qtk::gemm(qtk::any_qmatrix(w.scheme(), 3, 0), const_view(x.data(), 2, 0), view(y.data(), 2, 3));
    CHECK(y == std::vector<float>(6, 0.0f));
}

TEST_CASE("a small product by hand") {
    float const x[] = {1.0f, 2.0f, 3.0f, 4.0f};              // 2 x 2
    float const w[] = {1.0f, 0.0f, 1.0f, 1.0f, 0.0f, 2.0f};  // 3 x 2
    std::vector<float> y(6);
    qtk::sgemm(const_view(x, 2, 2), const_view(w, 3, 2), view(y.data(), 2, 3));
    CHECK(y == std::vector<float>{1.0f, 3.0f, 4.0f, 3.0f, 7.0f, 8.0f});
}

TEST_CASE("operands of the wrong shape are refused") {
    qtk::any_qmatrix const w({.element = qtk::i8}, 3, 4);
    std::vector<float> some(40);
    const_view const weights(some.data(), 3, 4);
    float* const p = some.data();
    CHECK_THROWS_AS(qtk::gemm(w, const_view(p, 2, 3), view(p, 2, 3)), qtk::shape_error);
    CHECK_THROWS_AS(qtk::gemm(w, const_view(p, 2, 4), view(p, 1, 3)), qtk::shape_error);
    CHECK_THROWS_AS(qtk::gemm_scalar(w, const_view(p, 2, 4), view(p, 2, 4)), qtk::shape_error);
    CHECK_THROWS_WITH(qtk::sgemm(const_view(p, 2, 5), weights, view(p, 2, 3)),
                      "sgemm: W is 3 x 4, X 2 x 5, so X needs 4 columns and Y is 2 x 3; found 2 x "
                      "3");
    CHECK_THROWS_AS(qtk::gemm(w, const_view(p, 2, 4), view(p + 7, 2, 3)), qtk::value_error);
    CHECK_THROWS_AS(qtk::sgemm(const_view(p, 2, 4), weights, view(p + 7, 2, 3)), qtk::value_error);
}

TEST_CASE("row by row it is gemv, bit for bit, in views with gaps too") {
    for (qtk::scheme const& s : cases::schemes_of_every_scale())
        for (std::size_t const m : {1u, 2u, 5u}) {
            std::string const name = qtk::to_string(s);
            CAPTURE(name);
            std::size_t const out = 37, in = 130, gap = 3;
            qtk::any_qmatrix const w = cases::random_qmatrix(s, out, in, 31);
            std::vector<float> const x = qtk::gaussian_vector(m * (in + gap), 32);
            std::vector<float> y(m * (out + gap), 7.0f), alone(out);
            const_view const rows(x.data(), m, in, in + gap);
            qtk::gemm(w, rows, view(y.data(), m, out, out + gap));
            for (std::size_t i = 0; i < m; ++i) {
                qtk::gemv(w, rows.row(i), alone);
                for (std::size_t r = 0; r < out; ++r) REQUIRE(y[i * (out + gap) + r] == alone[r]);
                for (std::size_t r = out; r < out + gap; ++r)
                    REQUIRE(y[i * (out + gap) + r] == 7.0f);
            }
        }
}

TEST_CASE("packed codes give the product with the decoded matrix, and the twin agrees") {
    for (qtk::scheme const& s : cases::schemes_of_every_format()) {
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        std::size_t const m = 3, out = 19, in = 77;
        qtk::any_qmatrix const w = cases::random_qmatrix(s, out, in, 41);
        std::vector<float> const x = qtk::gaussian_vector(m * in, 42);
        std::vector<float> decoded(w.size()), packed(m * out), plain(m * out), twin(m * out);
        qtk::decode_rows(w, 0, out, decoded.data());
        const_view const rows(x.data(), m, in);
        qtk::gemm(w, rows, view(packed.data(), m, out));
        qtk::sgemm(rows, const_view(decoded.data(), out, in), view(plain.data(), m, out));
        qtk::gemm_scalar(w, rows, view(twin.data(), m, out));
        CHECK(packed == plain);
        for (std::size_t i = 0; i < m * out; ++i) {
            double magnitude = 0.0;
            for (std::size_t c = 0; c < in; ++c)
                magnitude += std::fabs(static_cast<double>(x[i / out * in + c]) *
                                       static_cast<double>(decoded[i % out * in + c]));
            double const bound = static_cast<double>(in + 1) * 0x1p-23 * magnitude;
            REQUIRE(std::fabs(static_cast<double>(packed[i]) - static_cast<double>(twin[i])) <=
                    bound);
        }
    }
}

TEST_CASE("one thread and several give the same bits") {
    std::size_t const m = 7, out = 130, in = 300;
    qtk::any_qmatrix const w =
        cases::random_qmatrix({.element = qtk::i8, .grain = qtk::per_channel}, out, in, 5);
    std::vector<float> const x = qtk::gaussian_vector(m * in, 6);
    auto const product = [&] {
        std::vector<float> y(m * out);
        qtk::gemm(w, const_view(x.data(), m, in), view(y.data(), m, out));
        return y;
    };
    std::vector<float> const alone = cases::on_threads(1, product);
    CHECK(cases::on_threads(2, product) == alone);
    CHECK(cases::on_threads(3, product) == alone);
}
