// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/matrix_view.hpp>

#include <doctest/doctest.h>

#include <array>
#include <vector>

namespace {

/// A container in the manner of a tensor library: 3 x 4 floats 0, 1, ... behind one foreign value.
struct fake_tensor {
    std::vector<std::size_t> extents{3, 4};
    std::vector<std::ptrdiff_t> steps{4, 1};
    std::size_t offset = 1;
    std::array<float, 25> memory = [] {
        std::array<float, 25> values{};
        for (std::size_t i = 0; i < 25; ++i) values[i] = static_cast<float>(i) - 1.0f;
        return values;
    }();

    [[nodiscard]] float const* data() const { return memory.data(); }
    [[nodiscard]] std::vector<std::size_t> const& shape() const { return extents; }
    [[nodiscard]] std::vector<std::ptrdiff_t> const& strides() const { return steps; }
    [[nodiscard]] std::size_t data_offset() const { return offset; }
};

/// The least that a container must have.
struct plain_container {
    std::vector<float> values;
    std::array<long, 2> extents;
    [[nodiscard]] float const* data() const { return values.data(); }
    [[nodiscard]] std::array<long, 2> const& shape() const { return extents; }
};

struct doubles {
    [[nodiscard]] double const* data() const { return nullptr; }
    [[nodiscard]] std::array<std::size_t, 2> shape() const { return {}; }
};

static_assert(qtk::matrix_like<fake_tensor> && qtk::matrix_like<plain_container>);
static_assert(!qtk::matrix_like<float*> && !qtk::matrix_like<std::vector<float>> &&
              !qtk::matrix_like<doubles> && !qtk::matrix_like<int>);

}  // namespace

TEST_CASE("a view of nothing is empty") {
    qtk::matrix_view<float> const nothing;
    CHECK(nothing.size() == 0);
    CHECK(nothing.is_contiguous());
    CHECK(nothing.flat().empty());
}

TEST_CASE("a view reads rows a stride apart") {
    std::array<float, 10> memory{0, 1, 2, 9, 9, 5, 6, 7, 9, 9};
    qtk::matrix_view<float> const m(memory.data(), 2, 3, 5);
    CHECK(m.size() == 6);
    CHECK_FALSE(m.is_contiguous());
    CHECK(m(1, 2) == 7.0f);
    CHECK(m.row(1).size() == 3);
    CHECK(m.row(1)[0] == 5.0f);
    m(1, 0) = -1.0f;
    CHECK(memory[5] == -1.0f);
    qtk::matrix_view<float const> const constant = m;
    CHECK(constant.stride == 5);
    CHECK(constant(1, 0) == -1.0f);
}

TEST_CASE("one row is contiguous whatever its stride") {
    std::array<float, 4> memory{1, 2, 3, 4};
    CHECK(qtk::matrix_view<float>(memory.data(), 1, 2, 4).flat().size() == 2);
}

TEST_CASE("rows that overlap are refused") {
    std::array<float, 9> memory{};
    CHECK_THROWS_WITH_AS(qtk::matrix_view<float>(memory.data(), 3, 3, 2),
                         "matrix_view: a row stride of 2 is less than the 3 columns",
                         qtk::shape_error);
}

TEST_CASE("a flat container needs as many values as its shape") {
    std::vector<float> values(6);
    CHECK(qtk::matrix_view<float>(std::span<float>(values), 2, 3).size() == 6);
    auto const view = [&values](std::size_t rows, std::size_t cols) {
        return qtk::matrix_view<float>(std::span<float>(values), rows, cols);
    };
    CHECK_THROWS_WITH_AS(view(2, 4), "matrix_view: 6 values are not 2 x 4", qtk::shape_error);
    CHECK_THROWS_AS(view(7, 0), qtk::shape_error);
    CHECK_THROWS_AS(view(0, 4), qtk::shape_error);
    // 2 * (2^63 + 3) wraps to 6.
    CHECK_THROWS_AS(view((std::size_t{1} << 63) + 3, 2), qtk::shape_error);
    CHECK(qtk::matrix_view<float>(std::span<float>{}, 5, 0).size() == 0);
}

TEST_CASE("a container with offset and strides is read in place") {
    fake_tensor const tensor;
    auto const view = qtk::view_of(tensor);
    CHECK(view.rows == 3);
    CHECK(view.cols == 4);
    CHECK(view.data == tensor.memory.data() + 1);
    CHECK(view(2, 3) == 11.0f);
}

TEST_CASE("a slice of columns keeps the stride of its parent") {
    fake_tensor const tensor{.extents = {3, 2}, .steps = {8, 1}, .offset = 3};
    auto const view = qtk::view_of(tensor);
    CHECK(view.stride == 8);
    CHECK(view(0, 0) == 2.0f);
    CHECK(view(2, 1) == 19.0f);
}

TEST_CASE("an axis of length one may have stride zero") {
    fake_tensor const one_row{.extents = {1, 4}, .steps = {0, 1}, .offset = 1};
    CHECK(qtk::view_of(one_row)(0, 3) == 3.0f);
    fake_tensor const one_column{.extents = {4, 1}, .steps = {3, 0}, .offset = 1};
    CHECK(qtk::view_of(one_column)(3, 0) == 9.0f);
}

TEST_CASE("a container of shape alone lies row by row") {
    plain_container const c{.values = {1, 2, 3, 4, 5, 6}, .extents = {2, 3}};
    CHECK(qtk::view_of(c)(1, 0) == 4.0f);
}

TEST_CASE(
    "matrices share memory where a byte belongs to both, not where columns lie beside each other") {
    float all[60] = {};
    using view = qtk::matrix_view<float>;
    auto const share = [](view a, view b) {
        bool const one = qtk::detail::share_memory(a, b);
        CHECK(one == qtk::detail::share_memory(b, a));
        return one;
    };
    CHECK(share({all, 3, 4}, {all + 11, 1, 4}));
    CHECK_FALSE(share({all, 3, 4}, {all + 12, 1, 4}));
    CHECK_FALSE(share({all, 0, 4}, {all, 3, 4}));
    CHECK_FALSE(share({all, 3, 0}, {all, 3, 4}));
    // Every pair of columns of one buffer of ten, in rows at any distance.
    for (std::size_t left = 0; left < 10; ++left)
        for (std::size_t width = 1; width + left <= 10; ++width)
            for (std::size_t row = 0; row < 4; ++row) {
                bool const is_shared = left < 7 && left + width > 3 && row < 3;
                CHECK(share({all + 3, 3, 4, 10}, {all + 10 * row + left, 2, width, 10}) ==
                      is_shared);
                CHECK(share({all + 3, 3, 4, 10}, {all + 10 * row + left, 1, width}) == is_shared);
            }
    CHECK(share({all, 3, 4, 10}, {all + 5, 3, 4, 12}));  // strides differ: not looked at closer
}

TEST_CASE("what does not lie row by row is refused with a hint") {
    fake_tensor const by_columns{.extents = {3, 4}, .steps = {1, 3}};
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::view_of(by_columns)),
                         "the container lies column by column; qtk reads rows: copy it to "
                         "row-major order",
                         qtk::shape_error);
    fake_tensor const backwards{.extents = {3, 4}, .steps = {-4, 1}, .offset = 9};
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::view_of(backwards)),
                         "the rows of the container run backwards: copy it first",
                         qtk::shape_error);
    fake_tensor const broadcast{.extents = {3, 4}, .steps = {0, 1}};
    CHECK_THROWS_AS(static_cast<void>(qtk::view_of(broadcast)), qtk::shape_error);
}

TEST_CASE("a container that is not two-dimensional is refused") {
    fake_tensor const cube{.extents = {2, 2, 2}, .steps = {4, 2, 1}};
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::view_of(cube)),
                         "a matrix has 2 dimensions, this container has 3", qtk::shape_error);
    fake_tensor const vector{.extents = {8}, .steps = {1}};
    CHECK_THROWS_AS(static_cast<void>(qtk::view_of(vector)), qtk::shape_error);
}
