// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(32)};

double squared_error(qtk::matrix const& a, std::vector<float> const& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < b.size(); ++i) {
        double const e = static_cast<double>(a.data()[i]) - static_cast<double>(b[i]);
        sum += e * e;
    }
    return sum;
}

/// A method that rounds to nearest and remembers that it was asked.
struct counting_method {
    int* calls;
    qtk::any_qmatrix quantize(qtk::scheme const& s, qtk::matrix_view<float const> w,
                              qtk::quantize_options const&) const {
        ++*calls;
        return qtk::any_qmatrix(s, w.rows, w.cols);
    }
};
static_assert(qtk::weight_method<counting_method>);
static_assert(!qtk::weight_method<qtk::minmax_range>);

}  // namespace

TEST_CASE("quantize takes views, flat vectors with a shape and owning matrices alike") {
    auto const w = qtk::gaussian_vector(4 * 40, 1);
    qtk::matrix owned(4, 40);
    std::copy(w.begin(), w.end(), owned.data());
    auto const q =
        qtk::quantize<w4>(qtk::matrix_view<float const>(std::span<float const>(w), 4, 40));
    CHECK(q == qtk::quantize<w4>(owned));
    CHECK(q == qtk::quantize<w4>(owned.view()));
    CHECK(q.scheme() == w4);
}

TEST_CASE("dequantize gives back the shape and fake_quantize the same values") {
    auto const w = qtk::gaussian_vector(4 * 40, 2);
    qtk::matrix_view<float const> const view(std::span<float const>(w), 4, 40);
    qtk::matrix const back = qtk::dequantize(qtk::quantize<w4>(view));
    CHECK(back.rows() == 4);
    CHECK(back.cols() == 40);
    CHECK(back == qtk::fake_quantize<w4>(view));
}

TEST_CASE("fake_quantize leaves the bits that dequantize gives back, for every scheme") {
    auto w = qtk::gaussian_vector(40 * 300, 8);
    qtk::matrix_view<float const> const view(w.data(), 40, 290, 300);
    auto const check = [&]<qtk::scheme S>(qtk::quantize_options const& options = {}) {
        std::string const name = qtk::to_string(S);
        CAPTURE(name);
        qtk::matrix const back = qtk::dequantize(qtk::quantize<S>(view, {}, options));
        qtk::matrix const fake = qtk::fake_quantize<S>(view, qtk::minmax_range{}, options);
        REQUIRE(fake.shape() == back.shape());
        CHECK(std::memcmp(fake.data(), back.data(), 40 * 290 * sizeof(float)) == 0);
    };
    using qtk::origin;
    using qtk::scheme;
    check.template operator()<w4>();
    check.template
    operator()<scheme{.element = qtk::u4, .grain = qtk::per_group(7), .zero = origin::floating}>();
    check.template operator()<scheme{.element = qtk::i8}>();
    check.template operator()<scheme{.element = qtk::i6, .grain = qtk::per_block(2, 9)}>();
    check.template operator()<scheme{.element = qtk::e5m2, .grain = qtk::per_channel}>();
    check.template operator()<scheme{.element = qtk::fp4, .grain = qtk::per_group(16)}>();
    check.template operator()<qtk::mxfp4>();
    check.template operator()<qtk::nvfp4>();
    check.template operator()<scheme{
        .element = qtk::i3, .grain = qtk::per_channel, .round = qtk::rounding::stochastic}>(
        {.seed = 4});
    w[5 * 300 + 3] = std::numeric_limits<float>::infinity();
    check.template operator()<w4>({.on_nonfinite = qtk::nonfinite::saturate});
    check.template operator()<w4>({.on_nonfinite = qtk::nonfinite::propagate});
    CHECK_THROWS_AS((void)qtk::fake_quantize<w4>(view), qtk::nonfinite_error);
}

#if defined(_OPENMP)
TEST_CASE("1, 2 and 5 threads give the same bytes") {
    auto w = qtk::gaussian_vector(301 * 1000, 9);
    qtk::matrix_view<float const> const view(std::span<float const>(w), 301, 1000);
    auto const check = [&]<qtk::scheme S>() {
        int const before = omp_get_max_threads();
        omp_set_num_threads(1);
        auto const q = qtk::quantize<S>(view);
        qtk::matrix const back = qtk::dequantize(q);
        for (int const threads : {2, 5}) {
            omp_set_num_threads(threads);
            CHECK(qtk::quantize<S>(view) == q);
            CHECK(qtk::dequantize(q) == back);
            CHECK(qtk::fake_quantize<S>(view) == back);
        }
        omp_set_num_threads(before);
    };
    check.template operator()<w4>();
    check.template operator()<qtk::nvfp4>();
    check.template operator()<qtk::scheme{.element = qtk::i3, .grain = qtk::per_block(4, 100)}>();
    check.template operator()<qtk::scheme{
        .element = qtk::i4, .grain = qtk::per_channel, .round = qtk::rounding::stochastic}>();
}
#endif

TEST_CASE("quantizing decoded values changes nothing") {
    auto const w = qtk::gaussian_vector(8 * 64, 3);
    qtk::matrix const once =
        qtk::fake_quantize<w4>(qtk::matrix_view<float const>(std::span<float const>(w), 8, 64));
    CHECK(qtk::fake_quantize<w4>(once) == once);
}

TEST_CASE("dequantize refuses room of another shape") {
    qtk::qmatrix<w4> const q(2, 8);
    qtk::matrix wrong(8, 2);
    CHECK_THROWS_WITH_AS(qtk::dequantize(q, wrong.view()),
                         "dequantize: expected room for 2 x 8, found 8 x 2", qtk::shape_error);
}

TEST_CASE("another range estimator gives another, here better, fit") {
    auto const w = qtk::gaussian_vector(16 * 256, 4);
    qtk::matrix_view<float const> const view(std::span<float const>(w), 16, 256);
    constexpr qtk::scheme w2{.element = qtk::i3, .grain = qtk::per_channel};
    CHECK(squared_error(qtk::fake_quantize<w2>(view, qtk::mse_range{}), w) <
          squared_error(qtk::fake_quantize<w2>(view), w));
}

TEST_CASE("a weight method is called instead of rounding to nearest") {
    int calls = 0;
    std::vector<float> const w(64, 1.0f);
    auto const q = qtk::quantize<w4>(
        qtk::matrix_view<float const>(std::span<float const>(w), 2, 32), counting_method{&calls});
    CHECK(calls == 1);
    CHECK(q.rows() == 2);
}

TEST_CASE("gemv on the codes is the product with the decoded matrix") {
    auto const w = qtk::gaussian_vector(5 * 70, 5), x = qtk::gaussian_vector(70, 6);
    auto const q =
        qtk::quantize<w4>(qtk::matrix_view<float const>(std::span<float const>(w), 5, 70));
    qtk::matrix const back = qtk::dequantize(q);
    std::vector<float> y(5);
    qtk::gemv(q, x, y);
    for (std::size_t r = 0; r < 5; ++r) {
        double sum = 0.0, terms = 0.0;
        for (std::size_t c = 0; c < 70; ++c) {
            double const term = static_cast<double>(back(r, c)) * static_cast<double>(x[c]);
            sum += term;
            terms += std::fabs(term);
        }
        // 70 float products and sums, each off by at most 2^-24 of the running magnitude.
        CHECK(std::fabs(static_cast<double>(y[r]) - sum) <= 72 * 0x1p-24 * terms);
    }
}
