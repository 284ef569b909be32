// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/method/bias_correction.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

constexpr qtk::scheme w3{.element = qtk::i3, .grain = qtk::per_channel};

}  // namespace

TEST_CASE("the correction is what the codes lose of the mean input") {
    std::vector<float> const w{3.0f, 1.25f, -3.0f, 0.0f}, mean{1.0f, 2.0f};
    qtk::matrix_view<float const> const view(w.data(), 2, 2);
    // Levels are whole numbers: 1.25 becomes 1.
    auto const correction = qtk::bias_correction(view, qtk::quantize<w3>(view), mean);
    CHECK(correction == std::vector<float>{0.5f, 0.0f});
    qtk::matrix const back = qtk::dequantize(qtk::quantize<w3>(view));
    CHECK(qtk::bias_correction(view, back.view(), mean) == correction);
    CHECK(qtk::bias_correction({w.data(), 0, 2}, qtk::any_qmatrix(w3, 0, 2), mean).empty());
}

TEST_CASE("with it the mean output is that of the floats") {
    auto const w = qtk::gaussian_vector(8 * 24, 1);
    auto x = qtk::gaussian_vector(200 * 24, 2);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += static_cast<float>(i % 24) * 0.1f;
    qtk::matrix_view<float const> const view(w.data(), 8, 24), rows(x.data(), 200, 24);
    qtk::input_statistics seen(24, {.has_hessian = false});
    seen.add(rows);
    auto const q = qtk::quantize<w3>(view);
    auto const correction = qtk::bias_correction(view, q, seen.mean());
    qtk::matrix const back = qtk::dequantize(q);
    for (std::size_t o = 0; o < 8; ++o) {
        double drift = 0.0;
        for (std::size_t r = 0; r < 200; ++r)
            for (std::size_t c = 0; c < 24; ++c)
                drift += static_cast<double>(rows(r, c)) *
                         (static_cast<double>(w[o * 24 + c]) - static_cast<double>(back(o, c)));
        CHECK(static_cast<double>(correction[o]) == doctest::Approx(drift / 200.0).epsilon(1e-5));
        CHECK(std::fabs(drift) > 1e-3);
    }
}

TEST_CASE("shapes that do not fit and means that are no numbers are refused") {
    std::vector<float> const w(6, 1.0f);
    std::vector<float> mean(2, 1.0f);
    qtk::matrix_view<float const> const view(w.data(), 2, 3);
    CHECK_THROWS_WITH_AS(
        (void)qtk::bias_correction(view, qtk::any_qmatrix(w3, 2, 3), mean),
        "bias correction: the weight is 2 x 3, the quantized one 2 x 3, and there are 2 means; "
        "expected equal shapes and a mean for every column",
        qtk::shape_error);
    mean = {0.0f, 1.0f, std::numeric_limits<float>::infinity()};
    CHECK_THROWS_AS((void)qtk::bias_correction(view, qtk::any_qmatrix(w3, 1, 3), mean),
                    qtk::shape_error);
    CHECK_THROWS_AS((void)qtk::bias_correction(view, qtk::any_qmatrix(w3, 2, 3), mean),
                    qtk::nonfinite_error);
}
