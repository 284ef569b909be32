// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/layer_plan.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <doctest/doctest.h>

#include <vector>

namespace {

qtk::matrix by_rows(std::size_t rows, std::size_t cols, std::vector<float> const& values) {
    qtk::matrix m(rows, cols);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

}  // namespace

TEST_CASE("the error of the outputs is measured in the Hessian, relative to the outputs") {
    qtk::matrix const w = by_rows(1, 2, {2.0f, 1.0f}), left = by_rows(1, 2, {2.0f, 0.0f}),
                      h = by_rows(2, 2, {1.0f, 0.5f, 0.5f, 4.0f});
    // (0, 1) H (0, 1)^T = 4 of (2, 1) H (2, 1)^T = 4 + 2 + 4
    CHECK(qtk::detail::relative_output_error(w.view(), left.view(), h.view()) == 0.4);
    CHECK(qtk::detail::relative_output_error(left.view(), left.view(), h.view()) == 0.0);
    qtk::matrix const none(1, 2);
    CHECK(qtk::detail::relative_output_error(none.view(), w.view(), h.view()) == 0.0);
}

TEST_CASE("columns are sorted behind an order that is there already") {
    qtk::linear layer("l", by_rows(1, 3, {1.0f, 10.0f, 100.0f}));
    qtk::detail::sort_input(layer, {2, 0, 1});
    qtk::detail::sort_input(layer, {1, 2, 0});
    CHECK(layer.input()->what().order == std::vector<std::uint32_t>{0, 1, 2});
}

TEST_CASE("a bias takes back what a changed weight adds in the mean") {
    qtk::matrix const w = by_rows(1, 2, {2.0f, 1.0f}), left = by_rows(1, 2, {1.5f, 1.0f});
    qtk::linear layer("l", left, {10.0f});
    qtk::input_statistics seen(2, {.has_hessian = false});
    seen.add(by_rows(2, 2, {4.0f, 7.0f, 8.0f, 7.0f}).view());
    qtk::detail::correct_bias(layer, w.view(), left.view(), seen);
    CHECK(layer.bias()[0] == 13.0f);
}
