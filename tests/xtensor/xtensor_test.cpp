// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/xtensor.hpp>

#include <doctest/doctest.h>

namespace {

constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(16)};

qtk::tensor<2> sample(std::size_t rows, std::size_t cols) {
    qtk::tensor<2> t = qtk::tensor<2>::from_shape({rows, cols});
    auto const values = qtk::gaussian_vector(rows * cols, 1);
    std::copy(values.begin(), values.end(), t.data());
    return t;
}
auto reference(qtk::tensor<2> const& t) {
    return qtk::quantize<w4>(qtk::matrix_view<float const>(t.data(), t.shape()[0], t.shape()[1]));
}

}  // namespace

TEST_CASE("a container is quantized like the view of its memory") {
    qtk::tensor<2> const t = sample(5, 40);
    xt::xarray<float> const dynamic = t;
    CHECK(qtk::quantize<w4>(t) == reference(t));
    CHECK(qtk::quantize<w4>(dynamic) == reference(t));
}

TEST_CASE("an expression is evaluated once and quantized") {
    qtk::tensor<2> const t = sample(5, 40);
    qtk::tensor<2> const doubled = t * 2.0f + 1.0f;
    CHECK(qtk::quantize<w4>(t * 2.0f + 1.0f) == reference(doubled));
}

TEST_CASE("a view with a step, a column-major container and doubles are copied to rows") {
    qtk::tensor<2> const t = sample(6, 40);
    qtk::tensor<2> const every_other = xt::view(t, xt::all(), xt::range(0, 40, 2));
    CHECK(qtk::quantize<w4>(xt::view(t, xt::all(), xt::range(0, 40, 2))) == reference(every_other));
    xt::xtensor<float, 2, xt::layout_type::column_major> const columns = t;
    CHECK(qtk::quantize<w4>(columns) == reference(t));
    xt::xtensor<double, 2> const doubles = t;
    CHECK(qtk::quantize<w4>(doubles) == reference(t));
}

TEST_CASE("a contiguous part of a larger tensor is read from where it starts") {
    qtk::tensor<2> const t = sample(6, 40);
    qtk::tensor<2> const part = xt::view(t, xt::range(2, 5), xt::range(3, 36));
    CHECK(qtk::quantize<w4>(xt::view(t, xt::range(2, 5), xt::range(3, 36))) == reference(part));
}

TEST_CASE("results are containers with the shape and values of the decoded matrix") {
    qtk::tensor<2> const t = sample(3, 20);
    auto const q = qtk::quantize<w4>(t);
    qtk::tensor<2> const back = qtk::to_xtensor(q);
    qtk::matrix const plain = qtk::dequantize(q);
    REQUIRE(back.shape()[0] == 3);
    REQUIRE(back.shape()[1] == 20);
    for (std::size_t i = 0; i < 60; ++i) REQUIRE(back.data()[i] == plain.data()[i]);
    CHECK(qtk::fake_quantize<w4>(t) == back);
}

TEST_CASE("anything but two dimensions is a shape error") {
    xt::xarray<float> const line = xt::ones<float>({8});
    CHECK_THROWS_AS(qtk::quantize<w4>(line), qtk::shape_error);
    CHECK_THROWS_AS(qtk::quantize<w4>(line + 1.0f), qtk::shape_error);
}
