// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/method/imatrix.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

double weighted_error(qtk::matrix_view<float const> w, qtk::any_qmatrix const& q,
                      std::vector<float> const& importance) {
    qtk::matrix const back = qtk::dequantize(q);
    double sum = 0.0;
    for (std::size_t r = 0; r < w.rows; ++r)
        for (std::size_t c = 0; c < w.cols; ++c) {
            double const e = static_cast<double>(w(r, c)) - static_cast<double>(back(r, c));
            sum += static_cast<double>(importance[c]) * e * e;
        }
    return sum;
}

/// Some columns carry a hundred times more than others.
std::vector<float> uneven(std::size_t n, std::uint64_t seed) {
    std::vector<float> importance = qtk::gaussian_vector(n, seed);
    for (float& v : importance) v = std::exp(2.0f * v);
    return importance;
}

constexpr char const* spellings[] = {"i4/g32/asym", "i3/g32/asym/f16", "i2/channel/asym",
                                     "i4/g32/sym",  "i8/channel",      "nf4/g64",
                                     "fp4/g16",     "e2m1/g32",        "mxfp4",
                                     "nvfp4",       "i3/b4x16/asym",   "i4/tensor"};

}  // namespace

TEST_CASE("a column that counts alone is met exactly") {
    // Levels -1 .. 1 of i2: the scale is either one that suits 3 or one that suits 1.
    std::vector<float> const w{3.0f, 1.0f};
    qtk::matrix_view<float const> const view(w.data(), 1, 2);
    constexpr qtk::scheme w2{.element = qtk::i2, .grain = qtk::per_channel};
    std::vector<float> const first{1.0f, 0.0f}, second{0.0f, 1.0f};
    CHECK(qtk::dequantize(qtk::quantize<w2>(view, qtk::imatrix{first}))(0, 0) == 3.0f);
    CHECK(qtk::dequantize(qtk::quantize<w2>(view, qtk::imatrix{second}))(0, 1) == 1.0f);
}

TEST_CASE("values on a grid come back exactly") {
    constexpr qtk::scheme w4{
        .element = qtk::i4, .grain = qtk::per_channel, .zero = qtk::origin::floating};
    std::vector<float> w;
    for (int code = 0; code < 16; ++code) w.push_back(0.25f * static_cast<float>(code - 5));
    qtk::matrix_view<float const> const view(w.data(), 1, 16);
    auto const importance = uneven(16, 1);
    qtk::matrix const back = qtk::dequantize(qtk::quantize<w4>(view, qtk::imatrix{importance}));
    for (std::size_t i = 0; i < 16; ++i) CHECK(back(0, i) == w[i]);
    std::vector<float> const zeros(16);
    CHECK(qtk::dequantize(qtk::quantize<w4>(qtk::matrix_view<float const>(zeros.data(), 1, 16),
                                            qtk::imatrix{importance}))(0, 3) == 0.0f);
}

TEST_CASE("never worse than round to nearest and mse_range in the weighted error") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        auto const values = qtk::gaussian_vector(12 * 100, seed);
        qtk::matrix_view<float const> const w(values.data(), 12, 100);
        auto const importance = uneven(100, seed + 10);
        std::vector<float> const flat(100, 0.5f);
        for (char const* const text : spellings) {
            CAPTURE(text);
            CAPTURE(seed);
            qtk::scheme const s = qtk::parse_scheme(text);
            auto const nearest = qtk::quantize_any(w, s),
                       tight = qtk::quantize_any(w, s, qtk::mse_range{});
            double const found =
                weighted_error(w, qtk::quantize_any(w, s, qtk::imatrix{importance}), importance);
            CHECK(found <= weighted_error(w, nearest, importance) * (1.0 + 1e-6));
            CHECK(found <= weighted_error(w, tight, importance) * (1.0 + 1e-6));
            double const even =
                weighted_error(w, qtk::quantize_any(w, s, qtk::imatrix{flat}), flat);
            CHECK(even <= weighted_error(w, tight, flat) * (1.0 + 1e-6));
            // No importance is a flat one.
            CHECK(qtk::quantize_any(w, s, qtk::imatrix{flat}) ==
                  qtk::quantize_any(w, s, qtk::imatrix{}));
        }
        qtk::scheme const s = qtk::parse_scheme("i3/g32/asym");
        CHECK(weighted_error(w, qtk::quantize_any(w, s, qtk::imatrix{importance}), importance) <
              0.8 * weighted_error(w, qtk::quantize_any(w, s, qtk::mse_range{}), importance));
    }
}

TEST_CASE("importance of another length, negative or no number is refused") {
    std::vector<float> const w(8, 1.0f), three(3, 1.0f);
    qtk::matrix_view<float const> const view(w.data(), 2, 4);
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_channel};
    CHECK_THROWS_WITH_AS((void)qtk::quantize<w4>(view, qtk::imatrix{three}),
                         "imatrix: weight has 4 columns but there are 3 importances",
                         qtk::shape_error);
    std::vector<float> bad(4, 1.0f);
    bad[2] = -1.0f;
    CHECK_THROWS_WITH_AS((void)qtk::quantize<w4>(view, qtk::imatrix{bad}),
                         "imatrix: the importance of column 2 is -1.000000, expected a mean "
                         "square: 0 or more",
                         qtk::value_error);
    bad[2] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS((void)qtk::quantize<w4>(view, qtk::imatrix{bad}), qtk::value_error);
}
