// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/method/hqq.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

double norm_error(qtk::matrix_view<float const> w, qtk::any_qmatrix const& q, double norm) {
    qtk::matrix const back = qtk::dequantize(q);
    double sum = 0.0;
    for (std::size_t r = 0; r < w.rows; ++r)
        for (std::size_t c = 0; c < w.cols; ++c)
            sum += std::pow(
                std::fabs(static_cast<double>(w(r, c)) - static_cast<double>(back(r, c))), norm);
    return sum;
}

}  // namespace

TEST_CASE("shrink is the proximal step of |x|^0.7") {
    CHECK(qtk::hqq_shrink(0.5f, 0.7f, 10.0f) == doctest::Approx(0.376886f).epsilon(1e-6));
    CHECK(qtk::hqq_shrink(-0.5f, 0.7f, 10.0f) == -qtk::hqq_shrink(0.5f, 0.7f, 10.0f));
    CHECK(qtk::hqq_shrink(0.1f, 0.7f, 10.0f) == 0.0f);
    CHECK(qtk::hqq_shrink(0.05f, 0.7f, 10.0f) == 0.0f);
    CHECK(qtk::hqq_shrink(0.0f, 0.7f, 10.0f) == 0.0f);
}

TEST_CASE("values on a grid come back exactly") {
    constexpr qtk::scheme w3{
        .element = qtk::i3, .grain = qtk::per_channel, .zero = qtk::origin::floating};
    std::vector<float> const w{-0.5f, -0.25f, 0.0f, 0.25f, 0.5f, 0.75f, 1.0f, 1.25f};
    qtk::matrix_view<float const> const view(w.data(), 1, 8);
    qtk::matrix const back = qtk::dequantize(qtk::quantize<w3>(view, qtk::hqq{}));
    for (std::size_t i = 0; i < 8; ++i) CHECK(back(0, i) == w[i]);
    std::vector<float> const zeros(8);
    CHECK(qtk::dequantize(qtk::quantize<w3>(qtk::matrix_view<float const>(zeros.data(), 1, 8),
                                            qtk::hqq{}))(0, 0) == 0.0f);
}

TEST_CASE("one value far out no longer decides where the zero lies") {
    // A grid of step 1 from -3.5 to 3.5 has no level at a whole number: half of every error is the
    // zero's. An outlier of 4 keeps min-max there.
    std::vector<float> w(63);
    for (std::size_t i = 0; i < w.size(); ++i)
        w[i] = static_cast<float>(static_cast<int>(i % 7) - 3);
    w.push_back(3.6f);
    qtk::matrix_view<float const> const view(w.data(), 1, 64);
    constexpr qtk::scheme w3{
        .element = qtk::i3, .grain = qtk::per_channel, .zero = qtk::origin::floating};
    double const nearest = norm_error(view, qtk::quantize<w3>(view), 0.7);
    double const found = norm_error(view, qtk::quantize<w3>(view, qtk::hqq{}), 0.7);
    CHECK(found < 0.5 * nearest);
}

TEST_CASE("never worse than round to nearest in its own sum, and better at few bits") {
    double nearest_sum = 0.0, found_sum = 0.0;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        auto values = qtk::gaussian_vector(12 * 96, seed);
        auto const tails = qtk::gaussian_vector(12 * 96, seed + 7);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] *= 0.02f * std::exp(0.5f * tails[i]);
        qtk::matrix_view<float const> const w(values.data(), 12, 96);
        for (char const* const text :
             {"i4/g32/asym", "i3/g32/asym/f16", "i2/g32/asym", "i3/channel/asym", "i4/g32",
              "nf4/g32", "mxfp4", "nvfp4", "i3/tensor/asym", "i3/b4x16/asym"}) {
            CAPTURE(text);
            CAPTURE(seed);
            qtk::scheme const s = qtk::parse_scheme(text);
            double const nearest = norm_error(w, qtk::quantize_any(w, s), 0.7);
            double const found = norm_error(w, qtk::quantize_any(w, s, qtk::hqq{}), 0.7);
            CHECK(found <= nearest * (1.0 + 1e-5));
            nearest_sum += nearest;
            found_sum += found;
        }
        qtk::scheme const w2 = qtk::parse_scheme("i2/g32/asym");
        CHECK(norm_error(w, qtk::quantize_any(w, w2, qtk::hqq{}), 0.7) <
              0.9 * norm_error(w, qtk::quantize_any(w, w2), 0.7));
    }
    CHECK(found_sum < 0.95 * nearest_sum);
}

TEST_CASE("the size of the weights does not matter") {
    auto const values = qtk::gaussian_vector(4 * 64, 5);
    std::vector<float> small = values;
    for (float& v : small) v *= 0x1p-9f;
    qtk::scheme const s = qtk::parse_scheme("i3/g64/asym");
    auto const large = qtk::quantize_any(qtk::matrix_view<float const>(values.data(), 4, 64), s,
                                         qtk::hqq{}),
               little = qtk::quantize_any(qtk::matrix_view<float const>(small.data(), 4, 64), s,
                                          qtk::hqq{});
    CHECK(std::equal(large.codes().begin(), large.codes().end(), little.codes().begin()));
}

TEST_CASE("options out of their range are refused") {
    std::vector<float> const w(4, 1.0f);
    qtk::matrix_view<float const> const view(w.data(), 2, 2);
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_channel};
    CHECK_THROWS_WITH_AS((void)qtk::quantize<w4>(view, qtk::hqq{{.norm = 0.0f}}),
                         "hqq: expected a norm in (0, 1], found 0.000000", qtk::value_error);
    CHECK_THROWS_AS((void)qtk::quantize<w4>(view, qtk::hqq{{.beta = -1.0f}}), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::quantize<w4>(view, qtk::hqq{{.growth = 0.5f}}), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::quantize<w4>(view, qtk::hqq{{.turns = -1}}), qtk::value_error);
}
