// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/method/lsq.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

namespace {

constexpr qtk::lsq_levels three_bits{4.0f, 3.0f};

double squared_error(qtk::matrix_view<float const> v, std::span<float const> steps,
                     qtk::lsq_levels q) {
    qtk::matrix out(v.rows, v.cols);
    qtk::lsq_forward(v, steps, q, out.view());
    double sum = 0.0;
    for (std::size_t r = 0; r < v.rows; ++r)
        for (std::size_t c = 0; c < v.cols; ++c)
            sum += std::pow(static_cast<double>(out(r, c)) - static_cast<double>(v(r, c)), 2);
    return sum;
}

}  // namespace

// The paper's levels by number of bits.
static_assert(qtk::lsq_levels_of(qtk::i8) == qtk::lsq_levels{128.0f, 127.0f});
static_assert(qtk::lsq_levels_of(qtk::u2) == qtk::lsq_levels{0.0f, 3.0f});
static_assert(qtk::lsq_value(0.3f, 0.5f, three_bits) == 0.5f);
static_assert(!qtk::lsq_scheme(qtk::i4, qtk::per_tensor).has_zero_point() &&
              qtk::lsq_scheme(qtk::u4, qtk::per_channel).has_zero_point());

TEST_CASE("an empty matrix has no gradient and is exported as one") {
    qtk::matrix const none(0, 5);
    CHECK(qtk::lsq_start(none.view(), 0, three_bits).empty());
    CHECK(qtk::lsq_backward(none.view(), {}, three_bits, none.view()).steps.empty());
    CHECK(qtk::lsq_export(qtk::lsq_scheme(qtk::i4, qtk::per_channel), none.view(), {}).size() == 0);
}

TEST_CASE("the slope by the step is that of the table for s = 0.5, Qn = 4, Qp = 3") {
    auto const slope = [](float v) { return qtk::lsq_step_slope(v, 0.5f, three_bits); };
    CHECK(slope(0.3f) == doctest::Approx(0.4f));
    CHECK(slope(-0.9f) == doctest::Approx(-0.2f));
    CHECK(slope(5.0f) == 3.0f);
    CHECK(slope(-5.0f) == -4.0f);
    // On a level there is nothing to round; on the outermost ones the clipping already counts.
    CHECK(slope(1.0f) == 0.0f);
    CHECK(slope(1.5f) == 3.0f);
    CHECK(slope(-2.0f) == -4.0f);
}

TEST_CASE("the slope by the value is one inside the levels and zero outside") {
    for (float const v : {-1.9f, 0.0f, 1.4f}) CHECK(qtk::lsq_value_slope(v, 0.5f, three_bits) == 1);
    for (float const v : {-2.0f, 1.5f, 9.0f, -9.0f})
        CHECK(qtk::lsq_value_slope(v, 0.5f, three_bits) == 0);
    // Unsigned levels end at zero.
    CHECK(qtk::lsq_value_slope(-0.1f, 0.5f, {0.0f, 15.0f}) == 0.0f);
    CHECK(qtk::lsq_value(-3.0f, 0.5f, {0.0f, 15.0f}) == 0.0f);
}

TEST_CASE("values clip at the outermost levels") {
    std::vector<float> const v{0.3f, -0.9f, 5.0f, -5.0f, 0.25f, 0.75f};
    qtk::matrix out(1, 6);
    qtk::lsq_forward({v.data(), 1, 6}, std::array{0.5f}, three_bits, out.view());
    // Half a step goes to the even level.
    std::vector<float> const expected{0.5f, -1.0f, 1.5f, -2.0f, 0.0f, 1.0f};
    for (std::size_t i = 0; i < 6; ++i) CHECK(out(0, i) == expected[i]);
}

TEST_CASE("the start is twice the mean magnitude over the root of Qp") {
    std::vector<float> const v{1.0f, -2.0f, 3.0f, -6.0f, 0.0f, 0.0f};
    CHECK(qtk::lsq_start({v.data(), 1, 6}, 1, three_bits)[0] ==
          doctest::Approx(2.0 * 2.0 / std::sqrt(3.0)));
    auto const by_row = qtk::lsq_start({v.data(), 3, 2}, 3, {8.0f, 7.0f});
    CHECK(by_row[0] == doctest::Approx(2.0 * 1.5 / std::sqrt(7.0)));
    CHECK(by_row[1] == doctest::Approx(2.0 * 4.5 / std::sqrt(7.0)));
    CHECK(by_row[2] == 1.0f);  // zeros have any step
    CHECK(qtk::ste_steps({v.data(), 3, 2}, 3, {8.0f, 7.0f}) ==
          std::vector{0.25f, 0.75f, 1.0f});  // max(1/7, 2/8), max(3/7, 6/8)
    CHECK(qtk::ste_steps({v.data(), 3, 2}, 3, {0.0f, 15.0f})[1] == 3.0f / 15.0f);
}

TEST_CASE("the gradient scale is one over the root of N Qp") {
    CHECK(qtk::lsq_gradient_scale(12, three_bits) == doctest::Approx(1.0 / 6.0));
    CHECK(qtk::lsq_gradient_scale(0, three_bits) == 0.0f);
}

TEST_CASE("the gradient of a matrix is the sum over the values of each step") {
    std::vector<float> const v{0.3f, 5.0f, -0.9f, -5.0f}, g{1.0f, 2.0f, 10.0f, 0.5f};
    auto const whole =
        qtk::lsq_backward({v.data(), 2, 2}, std::array{0.5f}, three_bits, {g.data(), 2, 2});
    double const factor = 1.0 / std::sqrt(4.0 * 3.0);
    REQUIRE(whole.steps.size() == 1);
    CHECK(whole.steps[0] == doctest::Approx(factor * (0.4 + 6.0 - 2.0 - 2.0)));
    CHECK(whole.values == [] {
        qtk::matrix expected(2, 2);
        expected(0, 0) = 1.0f, expected(1, 0) = 10.0f;
        return expected;
    }());
    auto const rows =
        qtk::lsq_backward({v.data(), 2, 2}, std::array{0.5f, 0.5f}, three_bits, {g.data(), 2, 2});
    double const row_factor = 1.0 / std::sqrt(2.0 * 3.0);
    CHECK(rows.steps[0] == doctest::Approx(row_factor * 6.4));
    CHECK(rows.steps[1] == doctest::Approx(row_factor * -4.0));
    auto const plain =
        qtk::ste_backward({v.data(), 2, 2}, std::array{0.5f}, three_bits, {g.data(), 2, 2});
    CHECK(plain.steps == std::vector{0.0f});
    CHECK(std::equal(g.begin(), g.end(), plain.values.data()));
}

TEST_CASE("where nothing is rounded the slope is the derivative") {
    // Beyond the levels v' = Qp s is linear in s, so here a difference quotient is allowed.
    float const up = qtk::lsq_value(9.0f, 0.75f, three_bits);
    float const down = qtk::lsq_value(9.0f, 0.25f, three_bits);
    CHECK((up - down) / 0.5f == qtk::lsq_step_slope(9.0f, 0.5f, three_bits));
}

TEST_CASE("a step that learns ends with a smaller error than it started with") {
    auto const v = qtk::gaussian_vector(2048, 7);
    qtk::matrix_view<float const> const view(v.data(), 1, v.size());
    for (qtk::format const element : {qtk::i2, qtk::i3, qtk::i4}) {
        CAPTURE(element.bits);
        auto const q = qtk::lsq_levels_of(element);
        auto steps = qtk::lsq_start(view, 1, q);
        auto const started = squared_error(view, steps, q);
        qtk::matrix out(1, v.size());
        for (int i = 0; i < 200; ++i) {
            qtk::lsq_forward(view, steps, q, out.view());
            for (std::size_t c = 0; c < v.size(); ++c) out(0, c) = (out(0, c) - v[c]) / 64.0f;
            steps[0] -= 0.05f * qtk::lsq_backward(view, steps, q, out.view()).steps[0];
        }
        auto const learned = squared_error(view, steps, q);
        CHECK(learned < started);
        // With few levels it pays to clip, which the extremes never do.
        if (element.bits < 4) CHECK(learned < squared_error(view, qtk::ste_steps(view, 1, q), q));
    }
}

TEST_CASE("an exported matrix decodes to what the forward pass gave, bit for bit") {
    auto v = qtk::gaussian_vector(6 * 37, 3);
    v[0] = -4000.0f, v[1] = 4000.0f;  // both ends clip
    qtk::matrix_view<float const> const view(v.data(), 6, 37);
    for (auto const& [name, element] : qtk::known_formats) {
        if (!element.is_integer()) continue;
        CAPTURE(name);
        auto const q = qtk::lsq_levels_of(element);
        for (qtk::granularity const grain : {qtk::per_tensor, qtk::per_channel}) {
            auto const steps = std::vector<float>(grain == qtk::per_tensor ? 1 : 6, 0.3f);
            qtk::matrix out(6, 37);
            qtk::lsq_forward(view, steps, q, out.view());
            auto const packed = qtk::lsq_export(qtk::lsq_scheme(element, grain), view, steps);
            CHECK(qtk::dequantize(packed) == out);
            CHECK(packed.code(0, 0) == -static_cast<int>(q.below));
            CHECK(packed.code(0, 1) == static_cast<int>(q.above));
            CHECK(packed.scale(0, 0) == steps[0]);
        }
    }
}

TEST_CASE("narrow scales are taken only if they hold the steps") {
    std::vector<float> const v{1.0f, -0.5f};
    auto narrow = qtk::lsq_scheme(qtk::i4, qtk::per_tensor);
    narrow.scale = qtk::scale_type::f16;
    qtk::matrix_view<float const> const view(v.data(), 1, 2);
    CHECK(qtk::lsq_export(narrow, view, std::array{0.25f}).code(0, 0) == 4);
    CHECK_THROWS_WITH_AS((void)qtk::lsq_export(narrow, view, std::array{0.1f}),
                         doctest::Contains("cannot hold the step 0.1"), qtk::value_error);
}

TEST_CASE("what makes no sense is refused by name") {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> const v{1.0f, nan, 2.0f, 3.0f};
    qtk::matrix_view<float const> const view(v.data(), 2, 2);
    qtk::matrix out(2, 2), narrow(2, 1);
    CHECK_THROWS_AS((void)qtk::lsq_levels_of(qtk::nf4), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::lsq_start(view, 3, three_bits), qtk::shape_error);
    CHECK_THROWS_WITH_AS((void)qtk::lsq_start(view, 1, three_bits), doctest::Contains("not finite"),
                         qtk::value_error);
    CHECK_THROWS_AS((void)qtk::ste_steps(view, 2, three_bits), qtk::value_error);
    CHECK_THROWS_AS(qtk::lsq_forward(view, std::array{1.0f}, three_bits, narrow.view()),
                    qtk::shape_error);
    for (float const bad : {0.0f, -1.0f, nan, std::numeric_limits<float>::infinity()})
        CHECK_THROWS_WITH_AS(qtk::lsq_forward(view, std::array{1.0f, bad}, three_bits, out.view()),
                             doctest::Contains("step 1 is"), qtk::value_error);
    auto const s = qtk::lsq_scheme(qtk::i4, qtk::per_channel);
    CHECK_THROWS_AS((void)qtk::lsq_export(s, view, std::array{1.0f, 1.0f}), qtk::nonfinite_error);
    CHECK_THROWS_AS((void)qtk::lsq_export(s, view, std::array{1.0f}), qtk::shape_error);
    auto wrong = s;
    wrong.zero = qtk::origin::floating;
    CHECK_THROWS_AS((void)qtk::lsq_export(wrong, view, std::array{1.0f, 1.0f}), qtk::value_error);
    wrong = s;
    wrong.grain = qtk::per_group(2);
    CHECK_THROWS_AS((void)qtk::lsq_export(wrong, view, std::array{1.0f, 1.0f}), qtk::value_error);
}
