// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/input_transform.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <vector>

namespace {

using qtk::input_transform, qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

matrix product(matrix const& x, matrix const& w) {
    matrix y(x.rows(), w.rows());
    qtk::matmul(x.view(), w.view(), y.view());
    return y;
}

double largest_difference(matrix const& a, matrix const& b) {
    REQUIRE(a.shape() == b.shape());
    double largest = 0.0;
    for (std::size_t i = 0; i < a.view().size(); ++i)
        largest = std::max(largest, std::fabs(static_cast<double>(a.data()[i]) -
                                              static_cast<double>(b.data()[i])));
    return largest;
}

/// All three parts for rows of 12 values.
std::shared_ptr<input_transform const> everything() {
    input_transform::parts what;
    for (std::size_t k = 0; k < 12; ++k) {
        what.factors.push_back(std::exp2(static_cast<float>(k % 5) - 2.0f));
        what.order.push_back(static_cast<std::uint32_t>(k * 5 % 12));
    }
    what.rotation.emplace(12, 7);
    return std::make_shared<input_transform const>(12, std::move(what));
}

}  // namespace

TEST_CASE("factors, order and rotation by hand, in this order") {
    matrix x(1, 4);
    for (std::size_t k = 0; k < 4; ++k) x(0, k) = static_cast<float>(k + 1);
    matrix z(1, 4);
    input_transform(4, {.factors = {1.0f, 10.0f, 100.0f, 1000.0f}}).apply(x.view(), z.view());
    CHECK(z(0, 0) == 1.0f);
    CHECK(z(0, 3) == 4000.0f);
    input_transform(4, {.factors = {1.0f, 10.0f, 100.0f, 1000.0f}, .order = {3, 0, 1, 2}})
        .apply(x.view(), z.view());
    CHECK(z(0, 0) == 4000.0f);
    CHECK(z(0, 1) == 1.0f);
    CHECK(z(0, 2) == 20.0f);
    CHECK(z(0, 3) == 300.0f);
    input_transform(4, {.order = {3, 0, 1, 2}, .rotation = qtk::hadamard(4)})
        .apply(x.view(), z.view());
    // (4, 1, 2, 3) H / 2
    CHECK(z(0, 0) == 5.0f);
    CHECK(z(0, 1) == 1.0f);
    CHECK(z(0, 2) == 0.0f);
    CHECK(z(0, 3) == 2.0f);
}

TEST_CASE("without parts nothing happens, and it costs no bytes") {
    input_transform const none(3, {});
    matrix const x = random_matrix(2, 3, 1);
    matrix z(2, 3);
    none.apply(x.view(), z.view());
    CHECK(z == x);
    CHECK(none.bytes() == 0);
    CHECK(none.size() == 3);
    CHECK(everything()->bytes() == 12 * 4 + 12 * 4 + (144 + 12) * 4);
}

TEST_CASE("the weight for changed inputs has the products of the weight before") {
    auto const transform = everything();
    matrix const x = random_matrix(5, 12, 1), w = random_matrix(7, 12, 2);
    matrix z(5, 12);
    transform->apply(x.view(), z.view());
    matrix const changed = transform->weight_for(w.view());
    CHECK(largest_difference(changed, w) > 0.5);
    CHECK(largest_difference(product(z, changed), product(x, w)) <= 1e-5);
    CHECK(largest_difference(transform->weight_without(changed.view()), w) <= 4e-6);
}

TEST_CASE("a layer changes its input, and says which weight it stands for") {
    auto const transform = everything();
    matrix const x = random_matrix(5, 12, 1), w = random_matrix(7, 12, 2);
    qtk::linear layer("layer", transform->weight_for(w.view()), std::vector<float>(7, 3.0f));
    std::size_t const bytes = layer.weight_bytes();
    CHECK(layer.input() == nullptr);
    CHECK(layer.effective_weight() == layer.weight());
    layer.set_input(transform);
    CHECK(layer.input() == transform);
    CHECK(layer.weight_bytes() == bytes + transform->bytes());
    CHECK(largest_difference(layer.effective_weight(), w) <= 4e-6);
    matrix y(5, 7), expected = product(x, w);
    layer.apply(x.view(), y.view());
    for (std::size_t i = 0; i < 35; ++i) expected.data()[i] += 3.0f;
    CHECK(largest_difference(y, expected) <= 4e-5);
    layer.apply_add(x.view(), y.view());
    for (std::size_t i = 0; i < 35; ++i) expected.data()[i] *= 2.0f;
    CHECK(largest_difference(y, expected) <= 4e-5);
    layer.set_input(nullptr);
    CHECK(layer.effective_weight() == layer.weight());
}

TEST_CASE("a packed weight is multiplied with the changed input, too") {
    auto const transform = everything();
    constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};
    matrix const x = random_matrix(5, 12, 1), w = random_matrix(7, 12, 2);
    qtk::linear layer("layer", transform->weight_for(w.view()));
    layer.set_input(transform);
    layer.set_weight(qtk::quantize<w8>(layer.weight()));
    layer.pack();
    matrix y(5, 7);
    layer.apply(x.view(), y.view());
    CHECK(largest_difference(y, product(x, layer.effective_weight())) <= 1e-5);
    CHECK(largest_difference(y, product(x, w)) <= 0.2);
}

TEST_CASE("a layer without biases gets some") {
    qtk::linear layer("layer", matrix(2, 3));
    layer.set_bias({1.0f, 2.0f});
    matrix y(1, 2);
    layer.apply(matrix(1, 3).view(), y.view());
    CHECK(y(0, 1) == 2.0f);
    CHECK_THROWS_WITH_AS(layer.set_bias({1.0f}), "layer: expected 2 biases, found 1",
                         qtk::shape_error);
    layer.set_bias({});
    CHECK(layer.bias().empty());
}

TEST_CASE("parts of another size, zeros and orders that repeat are refused") {
    CHECK_THROWS_WITH_AS(input_transform(2, {.factors = {1.0f}}),
                         "input transform: expected 2 factors, found 1", qtk::shape_error);
    CHECK_THROWS_WITH_AS(input_transform(2, {.order = {0}}),
                         "input transform: expected 2 columns in order, found 1", qtk::shape_error);
    CHECK_THROWS_WITH_AS(input_transform(2, {.rotation = qtk::hadamard(4)}),
                         "input transform: expected 2 columns to rotate, found 4",
                         qtk::shape_error);
    CHECK_THROWS_WITH_AS(
        input_transform(2, {.factors = {1.0f, 0.0f}}),
        "input transform: expected finite factors other than zero, found 0.000000 for column 1",
        qtk::value_error);
    CHECK_THROWS_WITH_AS(input_transform(2, {.order = {1, 1}}),
                         "input transform: expected every column once in the order, found 1 twice",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(input_transform(2, {.order = {0, 2}}),
                         "input transform: expected every column once in the order, found 2 of 2",
                         qtk::value_error);
    qtk::linear layer("layer", matrix(2, 3));
    CHECK_THROWS_WITH_AS(
        layer.set_input(std::make_shared<input_transform const>(2, input_transform::parts{})),
        "layer: expected a transform of 3 inputs, found one of 2", qtk::shape_error);
    matrix z(1, 2);
    CHECK_THROWS_WITH_AS(input_transform(3, {}).apply(matrix(1, 3).view(), z.view()),
                         "input transform: expected rows of 3, found [1, 3] and [1, 2]",
                         qtk::shape_error);
}
