// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/method/auto_round.hpp>
#include <qtk/method/layer_reconstruction.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include <limits>
#include <vector>

namespace {

using qtk_test::correlated_hessian;
using qtk_test::random_matrix;

/// Gives codes that are far off: every weight becomes its tile's smallest value.
class wrong_on_purpose {
  public:
    wrong_on_purpose(qtk::scheme const& s, qtk::matrix_view<float const> w,
                     qtk::quantize_options const& options, qtk::auto_round_options const&)
        : grid_(s, w, options), weights_(w.rows, w.cols) {}
    [[nodiscard]] qtk::code_grid const& grid() const { return grid_; }
    [[nodiscard]] qtk::matrix_view<float const> weights() const { return weights_.view(); }
    void step(qtk::matrix_view<float const>, double) {}
    [[nodiscard]] qtk::any_qmatrix finish() {
        auto q = grid_.pack(grid_.fit(),
                            [](std::size_t, std::size_t, qtk::tile_params) { return -100.0f; });
        qtk::decode_rows(q, 0, q.rows(), weights_.data());
        return q;
    }

  private:
    qtk::code_grid grid_;
    qtk::matrix weights_;
};

constexpr qtk::scheme a3{
    .element = qtk::i3, .grain = qtk::per_group(8), .zero = qtk::origin::floating};

}  // namespace

TEST_CASE("the objective and its gradient are what one computes by hand") {
    qtk::matrix const w = random_matrix(2, 2, 1);
    qtk::matrix h(2, 2);
    h(0, 0) = 2.0f, h(1, 1) = 1.0f, h(0, 1) = h(1, 0) = 0.5f;
    qtk::matrix other = w, gradient(2, 2);
    other(0, 0) += 1.0f, other(0, 1) -= 2.0f, other(1, 1) += 0.5f;
    qtk::layer_objective const objective(w.view(), h.view());
    // Row 0: (1, -2) H = (1, -1.5): 1 + 3 = 4; row 1: (0, .5): .25; over two rows.
    CHECK(objective.evaluate(other.view(), gradient.view()) == doctest::Approx(4.25 / 2));
    CHECK(gradient(0, 0) == doctest::Approx(1.0f));
    CHECK(gradient(0, 1) == doctest::Approx(-1.5f));
    CHECK(gradient(1, 1) == doctest::Approx(0.5f));
    CHECK(objective.evaluate(other.view(), gradient.view(), 10.0) == doctest::Approx(4.25 / 2));
    CHECK(gradient(0, 0) == doctest::Approx(10.0f));
}

TEST_CASE("the objective is twice the mean squared error of the outputs") {
    qtk::matrix const x = random_matrix(50, 6, 2), w = random_matrix(3, 6, 3);
    qtk::matrix const other = random_matrix(3, 6, 4);
    qtk::input_statistics seen(6);
    seen.add(x.view());
    qtk::matrix const h = seen.hessian();
    double error = 0.0;
    for (std::size_t t = 0; t < 50; ++t)
        for (std::size_t o = 0; o < 3; ++o) {
            double difference = 0.0;
            for (std::size_t i = 0; i < 6; ++i)
                difference += static_cast<double>(x(t, i)) *
                              (static_cast<double>(w(o, i)) - static_cast<double>(other(o, i)));
            error += difference * difference / 150.0;
        }
    qtk::matrix gradient(3, 6);
    CHECK(qtk::layer_objective(w.view(), h.view()).evaluate(other.view(), gradient.view()) ==
          doctest::Approx(2.0 * error).epsilon(1e-5));
}

TEST_CASE("round to nearest is kept where learning makes it worse, and the report says so") {
    qtk::matrix const w = random_matrix(4, 16, 5), h = correlated_hessian(16, 6);
    using method = qtk::learned_from_hessian<wrong_on_purpose, qtk::auto_round_options>;
    auto const made = method{h}.reconstruct(a3, w.view());
    CHECK(made.weight == qtk::quantize<a3>(w));
    CHECK(made.report.learned > made.report.nearest);
    CHECK(!made.report.is_better());
}

TEST_CASE("nothing is learned where round to nearest costs nothing") {
    qtk::matrix const w = random_matrix(4, 16, 5);
    qtk::matrix const zero(16, 16);
    auto const made = qtk::auto_round{zero}.reconstruct(a3, w.view());
    CHECK(made.weight == qtk::quantize<a3>(w));
    CHECK(made.report.steps == 0);
    CHECK(qtk::auto_round{qtk::matrix(8, 8)}.reconstruct(a3, {nullptr, 0, 8}).weight.size() == 0);
}

TEST_CASE("a Hessian that does not fit is refused") {
    qtk::matrix const w = random_matrix(4, 16, 5);
    CHECK_THROWS_AS(qtk::auto_round{qtk::matrix(15, 16)}.reconstruct(a3, w.view()),
                    qtk::shape_error);
    qtk::matrix h = correlated_hessian(16, 6);
    h(3, 4) = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(qtk::auto_round{h}.reconstruct(a3, w.view()), qtk::nonfinite_error);
}
