// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gradient_norm.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "gradients.hpp"
#include <vector>

namespace {

using qtk_test::random_matrix;

qtk::norm norm_of(qtk::norm::kind kind) {
    qtk::norm n{.type = kind, .weight = {}, .bias = {}};
    if (kind != qtk::norm::kind::none) n.weight = {1.0f, -0.5f, 2.0f, 0.7f, 0.1f};
    if (kind == qtk::norm::kind::layer) n.bias = {0.0f, 0.5f, -1.0f, 0.2f, 0.3f};
    return n;
}

double loss(qtk::norm const& n, qtk::matrix const& x, qtk::matrix const& c) {
    qtk::matrix y(x.rows(), x.cols());
    n.apply(x.view(), y.view());
    return qtk_test::weighted_sum(c.view(), y.view());
}

}  // namespace

TEST_CASE("the gradients of every norm agree with differences") {
    for (auto const kind : {qtk::norm::kind::layer, qtk::norm::kind::rms}) {
        qtk::norm n = norm_of(kind);
        qtk::matrix x = random_matrix(3, 5, 1);
        qtk::matrix const c = random_matrix(3, 5, 2);
        qtk::matrix by_input(3, 5);
        qtk::norm_gradient by;
        qtk::norm_input_gradient(n, x.view(), c.view(), by_input.view());
        qtk::add_norm_gradient(n, x.view(), c.view(), by);
        auto const again = [&] { return loss(n, x, c); };
        qtk_test::check_gradient(x.view().flat(), by_input.view().flat(), again);
        qtk_test::check_gradient(n.weight, by.weight, again);
        if (kind == qtk::norm::kind::layer) qtk_test::check_gradient(n.bias, by.bias, again);
    }
}

TEST_CASE("the input's gradient may replace that of the output") {
    qtk::norm const n = norm_of(qtk::norm::kind::layer);
    qtk::matrix const x = random_matrix(3, 5, 3), c = random_matrix(3, 5, 4);
    qtk::matrix apart(3, 5), inside = c;
    qtk::norm_input_gradient(n, x.view(), c.view(), apart.view());
    qtk::norm_input_gradient(n, x.view(), inside.view(), inside.view());
    CHECK(apart == inside);
}

TEST_CASE("what does not normalize passes the gradient on, and has no parameters") {
    qtk::norm const n = norm_of(qtk::norm::kind::none);
    qtk::matrix const x = random_matrix(2, 5, 5), c = random_matrix(2, 5, 6);
    qtk::matrix by_input(2, 5);
    qtk::norm_gradient by;
    qtk::norm_input_gradient(n, x.view(), c.view(), by_input.view());
    qtk::add_norm_gradient(n, x.view(), c.view(), by);
    CHECK(by_input == c);
    CHECK(by.weight.empty());
}

TEST_CASE("gradients of parameters add up") {
    qtk::norm const n = norm_of(qtk::norm::kind::rms);
    qtk::matrix const x = random_matrix(2, 5, 7), c = random_matrix(2, 5, 8);
    qtk::norm_gradient once, twice;
    qtk::add_norm_gradient(n, x.view(), c.view(), once);
    qtk::add_norm_gradient(n, x.view(), c.view(), twice);
    qtk::add_norm_gradient(n, x.view(), c.view(), twice);
    CHECK(twice.weight[3] == doctest::Approx(2.0f * once.weight[3]));
    CHECK(twice.bias.empty());
}
