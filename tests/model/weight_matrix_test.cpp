// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/weight_matrix.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace {

using qtk::matrix, qtk::weight_matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    std::ranges::copy(qtk::gaussian_vector(rows * cols, seed), m.data());
    return m;
}

constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(32)};

weight_matrix packed(qtk::any_qmatrix const& q, qtk::layer_activations const& activations) {
    return std::make_shared<qtk::packed_weight const>(qtk::prepack(q), activations);
}

/// q8_0 blocks of a matrix, kept alive by the weight.
weight_matrix stored(matrix const& w) {
    auto bytes = std::make_shared<std::vector<std::uint8_t>>();
    for (std::size_t i = 0; i < w.view().size(); i += 32) {
        auto const block = qtk::q8_0_block::encode(std::span<float const, 32>(w.data() + i, 32));
        auto const* const first = reinterpret_cast<std::uint8_t const*>(&block);
        bytes->insert(bytes->end(), first, first + sizeof block);
    }
    qtk::gguf_view const view{qtk::gguf_type::q8_0, *bytes, w.rows(), w.cols()};
    return qtk::stored_weight{view, bytes};
}

matrix product(weight_matrix const& w, matrix const& x, std::vector<float> const& bias = {}) {
    matrix y(x.rows(), w.rows());
    w.multiply(x.view(), y.view(), bias, false);
    return y;
}

double largest_difference(matrix const& a, matrix const& b) {
    double most = 0.0;
    for (std::size_t i = 0; i < a.view().size(); ++i)
        most = std::max(
            most, std::fabs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
    return most;
}

}  // namespace

TEST_CASE("every form has the shape, the bytes and the floats of what it holds") {
    matrix const w = random_matrix(40, 64, 1);
    qtk::any_qmatrix const q = qtk::quantize<w4>(w);
    matrix const left = qtk::dequantize(q);
    CHECK(weight_matrix(w).floats() == w);
    CHECK(weight_matrix(w).bytes() == 40 * 64 * 4);
    CHECK(weight_matrix(q).floats() == left);
    CHECK(weight_matrix(q).bytes() == q.bytes());
    CHECK(packed(q, {}).floats() == left);
    CHECK(packed(q, {}).packed()->weight.bytes() == packed(q, {}).bytes());
    CHECK(weight_matrix(qtk::simulated_weight{left, w4, {}}).floats() == left);
    CHECK(stored(w).bytes() == 40 * 2 * 34);
    CHECK(largest_difference(stored(w).floats(), w) < 0.02);
    for (weight_matrix const& form : {weight_matrix(q), packed(q, {}), stored(w)}) {
        CHECK(form.rows() == 40);
        CHECK(form.cols() == 64);
        std::vector<float> row(64);
        form.decode_row(39, row);
        CHECK(std::ranges::equal(row, form.floats().view().row(39)));
    }
}

TEST_CASE("all forms of one weight give one product, with bias and added to what is there") {
    matrix const w = random_matrix(40, 64, 1);
    qtk::any_qmatrix const q = qtk::quantize<w4>(w);
    std::vector<float> const bias = qtk::gaussian_vector(40, 3);
    for (std::size_t const rows : {1u, 6u}) {
        matrix const x = random_matrix(rows, 64, 2);
        for (weight_matrix const& form : {weight_matrix(q), packed(q, {}), stored(w)}) {
            weight_matrix const floats(form.floats());
            // Sums of 64 products of a few units each.
            CHECK(largest_difference(product(form, x, bias), product(floats, x, bias)) < 1e-4);
            matrix a = random_matrix(rows, 40, 4), b = a;
            form.multiply(x.view(), a.view(), bias, true);
            floats.multiply(x.view(), b.view(), bias, true);
            CHECK(largest_difference(a, b) < 1e-4);
        }
    }
}

TEST_CASE("a simulated weight computes what the packed one does, activations rounded alike") {
    matrix const w = random_matrix(40, 192, 1);
    qtk::any_qmatrix const q = qtk::quantize<w4>(w);
    matrix x = random_matrix(5, 192, 2);
    x(3, 100) = 9.0f;
    matrix const exact = product(weight_matrix(qtk::dequantize(q)), x);
    using enum qtk::activation_type;
    for (qtk::layer_activations const& how :
         {qtk::layer_activations{}, qtk::layer_activations{.type = a8_row},
          qtk::layer_activations{.type = a8_group},
          qtk::layer_activations{.type = a8_row, .has_outliers = true}}) {
        matrix const fast = product(packed(q, how), x),
                     slow = product(qtk::simulated_weight{qtk::dequantize(q), w4, how}, x);
        CHECK(largest_difference(fast, slow) < 2e-4);
        // Rounding moves the product by far more than the order of the sum does.
        if (how.type != f32) CHECK(largest_difference(fast, exact) > 2e-3);
    }
}

TEST_CASE("LLM.int8() counts the columns that went the slow way") {
    matrix const w = random_matrix(40, 64, 1);
    weight_matrix const form =
        packed(qtk::quantize<w4>(w), {.type = qtk::activation_type::a8_row, .has_outliers = true});
    matrix x = random_matrix(3, 64, 2);
    x(2, 5) = -7.0f;
    static_cast<void>(product(form, x));
    static_cast<void>(product(form, x));
    CHECK(form.packed()->columns == 128);
    CHECK(form.packed()->outliers == 2);
}

TEST_CASE("outlier columns of calibration hold whatever the activations are") {
    matrix const w = random_matrix(40, 64, 1);
    qtk::any_qmatrix const q = qtk::quantize<w4>(w);
    matrix x = random_matrix(3, 64, 2);
    x(2, 5) = -7.0f;
    auto const how_with = [](std::vector<std::uint32_t> columns) {
        qtk::layer_activations how{.type = qtk::activation_type::a8_row, .has_outliers = true};
        how.columns = std::make_shared<std::vector<std::uint32_t> const>(std::move(columns));
        return how;
    };
    qtk::layer_activations const none = how_with({}), others = how_with({3, 9});
    weight_matrix const plain = packed(q, {.type = qtk::activation_type::a8_row}),
                        without = packed(q, none), with = packed(q, others);
    CHECK(product(without, x) == product(plain, x));
    CHECK(product(with, x) != product(plain, x));
    CHECK(with.packed()->outliers == 2);
    CHECK(largest_difference(product(with, x),
                             product(qtk::simulated_weight{qtk::dequantize(q), w4, others}, x)) <
          2e-4);
}

TEST_CASE("shapes that do not fit and blocks of another size are refused") {
    matrix const w = random_matrix(40, 64, 1);
    matrix x(2, 63), y(2, 40);
    CHECK_THROWS_AS(weight_matrix(w).multiply(x.view(), y.view(), {}, false), qtk::shape_error);
    std::vector<std::uint8_t> const bytes(33);
    qtk::stored_weight const torn{{qtk::gguf_type::q8_0, bytes, 1, 32}, nullptr};
    CHECK_THROWS_AS(weight_matrix{torn}, qtk::shape_error);
    CHECK_THROWS_AS((void)weight_matrix(w).take_codes(), qtk::value_error);
}
