// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/linear.hpp>
#include <qtk/kernel/llm_int8.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "integer_cases.hpp"
#include <string>
#include <vector>

namespace {
using namespace qtk::cuda;
constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(64)};
constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};

template <qtk::scheme S>
qtk::any_qmatrix quantized(std::size_t rows, std::size_t cols) {
    auto const weight = random_floats(rows * cols, 3);
    return qtk::quantize<S>(qtk::matrix_view<float const>(weight.data(), rows, cols));
}

template <typename T>
numbers_in numbers_of(buffer<T> const& x, std::size_t stride) {
    return {x.data(), stride, sizeof(T) == 2 ? number::f16 : number::f32};
}

template <typename T>
std::vector<float> product(linear const& layer, std::vector<T> const& x, std::size_t m,
                           workspace& space, device_epilogue const& end = {}) {
    buffer<T> const in(std::span<T const>(x), {});
    buffer<float> y(m * layer.out());
    layer.multiply(numbers_of(in, layer.in()), m, {y.data(), layer.out(), number::f32, end}, space,
                   {});
    return y.to_host({});
}
template <typename T>
std::vector<float> product(linear const& layer, std::vector<T> const& x, std::size_t m,
                           device_epilogue const& end = {}) {
    workspace space = make_workspace(layer.workspace_bytes(m), {});
    return product(layer, x, m, space, end);
}
double error_of(std::vector<double> const& expected, std::vector<float> const& found) {
    return relative_error(expected, {found.begin(), found.end()});
}

TEST_CASE("a layer gives the naive product for any number of rows") {
    auto const q = quantized<w4>(40, 1100);
    linear const layer(q, {});
    CHECK(layer.splits_for(1) == 2);  // 18 chunks, at least eight a share
    CHECK(layer.splits_for(9) == 2);
    CHECK(layer.splits_for(33) == 2);
    CHECK(layer.unpack({}) == q);
    // One workspace serves all, again and again.
    workspace space = make_workspace(layer.workspace_bytes(33), {});
    for (int run = 0; run < 2; ++run)
        for (std::size_t const m :
             {std::size_t{1}, std::size_t{16}, std::size_t{17}, std::size_t{33}}) {
            auto const x = random_halves(m * 1100, 4);
            CHECK(error_of(naive_product(q, x, m), product(layer, x, m, space)) < 2e-6);
        }
}

TEST_CASE("half results stay within 1e-2 of the CPU's product, as floats do within 1e-5") {
    auto const q = quantized<w4>(48, 512);
    auto const packed = qtk::prepack(q);
    linear const layer(q, {});
    for (std::size_t const m : {std::size_t{2}, std::size_t{20}}) {
        auto const halves = random_halves(m * 512, 4);
        std::vector<float> x;
        for (std::uint16_t const h : halves) x.push_back(qtk::f16_to_float(h));
        std::vector<float> y(m * 48);
        qtk::gemm(packed, qtk::matrix_view<float const>(x.data(), m, 512),
                  qtk::matrix_view<float>(y.data(), m, 48));
        std::vector<double> const expected(y.begin(), y.end());
        CHECK(error_of(expected, product(layer, halves, m)) < 1e-5);
        buffer<std::uint16_t> const in(std::span<std::uint16_t const>(halves), {});
        buffer<std::uint16_t> out(m * 48);
        workspace space = make_workspace(layer.workspace_bytes(m), {});
        layer.multiply(numbers_of(in, 512), m, {out.data(), 48, number::f16, {}}, space, {});
        std::vector<float> found;
        for (std::uint16_t const h : out.to_host({})) found.push_back(qtk::f16_to_float(h));
        CHECK(error_of(expected, found) < 1e-2);
    }
}

TEST_CASE("a workspace serves layers of different kinds in turn") {
    auto const q = quantized<w4>(40, 1100);
    linear const halves(q, {}), codes(q, {}, {.activations = device_activations::a8_row});
    std::size_t const m = 3;
    auto const x = random_halves(m * 1100, 4);
    workspace space =
        make_workspace(std::max(halves.workspace_bytes(m), codes.workspace_bytes(m)), {});
    auto const first = product(halves, x, m, space);
    static_cast<void>(product(codes, x, m, space));
    CHECK(product(halves, x, m, space) == first);
}

TEST_CASE("layers whose activations become int8 give the CPU's bits") {
    auto const check = [](qtk::any_qmatrix const& q) {
        auto const packed = qtk::prepack(q);
        for (std::size_t const m : {std::size_t{1}, std::size_t{17}, std::size_t{33}})
            for (bool const is_row : {true, false}) {
                auto const x = random_floats(m * q.cols(), 5);
                std::vector<float> expected(m * q.rows());
                qtk::gemm(packed, qtk::matrix_view<float const>(x.data(), m, q.cols()),
                          qtk::matrix_view<float>(expected.data(), m, q.rows()),
                          {.activations = is_row ? qtk::activation_type::a8_row
                                                 : qtk::activation_type::a8_group});
                linear const layer(q, {},
                                   {.activations = is_row ? device_activations::a8_row
                                                          : device_activations::a8_group});
                CHECK(product(layer, x, m) == expected);
            }
    };
    check(quantized<w4>(40, 300));
    check(quantized<w8>(40, 300));
}

TEST_CASE("layers whose activations become int4 give the definition's bits") {
    auto const q = quantized<w4>(20, 200);
    for (std::size_t const m : {std::size_t{1}, std::size_t{34}}) {
        auto const x = random_floats(m * 200, 5);
        CHECK(product(linear(q, {}, {.activations = device_activations::a4_row}), x, m) ==
              int4_by_definition(q, x, m, true));
        CHECK(product(linear(q, {}, {.activations = device_activations::a4_group}), x, m) ==
              int4_by_definition(q, x, m, false));
    }
}

template <qtk::scheme S>
void check_llm_int8(std::size_t m, std::size_t rows, std::size_t cols) {
    auto const q = quantized<S>(rows, cols);
    auto x = random_floats(m * cols, 5);
    for (std::size_t r = 0; r < m; ++r) x[r * cols + 3 + r % 2 * 70] *= 40.0f;
    x[cols - 1] = 6.0f;                // reaches the threshold
    x[(m - 1) * cols + 9] = INFINITY;  // says nothing about its column
    std::vector<float> const residual = random_floats(m * rows, 6);
    std::vector<float> expected(m * rows);
    auto const result = qtk::llm_int8_gemm(
        qtk::prepack(q), qtk::matrix_view<float const>(x.data(), m, cols),
        qtk::matrix_view<float>(expected.data(), m, rows),
        {.threshold = 6.0f,
         .end = {.function = qtk::activation::relu,
                 .residual = qtk::matrix_view<float const>(residual.data(), m, rows)}});
    REQUIRE(result.outliers >= 2);
    buffer<float> const added(std::span<float const>(residual), {});
    auto const found =
        product(linear(q, {}, {.activations = device_activations::llm_int8}), x, m,
                {{}, {added.data(), rows, number::f32}, qtk::activation::relu, true});
    for (std::size_t i = 0; i < found.size(); ++i)
        CHECK((found[i] == expected[i] || (std::isnan(found[i]) && std::isnan(expected[i]))));
}

TEST_CASE("LLM.int8() gives the CPU's bits") {
    for (std::size_t const m : {std::size_t{2}, std::size_t{40}}) {
        check_llm_int8<w8>(m, 40, 300);
        check_llm_int8<w4>(m, 20, 200);
        check_llm_int8<qtk::scheme{
            .element = qtk::u4, .grain = qtk::per_group(32), .zero = qtk::origin::floating}>(m, 20,
                                                                                             100);
    }
}

TEST_CASE("the table picks the kernel and can be replaced") {
    auto const q = quantized<w4>(40, 200);
    linear const usual(q, {}), codes(q, {}, {.activations = device_activations::a8_group});
    CHECK(usual.kernel_for(16) == kernel_kind::skinny);
    CHECK(usual.kernel_for(17) == kernel_kind::gemm);
    CHECK(codes.kernel_for(32) == kernel_kind::skinny);
    CHECK(codes.kernel_for(33) == kernel_kind::gemm);
    static constexpr kernel_choice table[] = {{2, kernel_kind::skinny}, {9, kernel_kind::gemm}};
    linear const other(q, {}, {.table = table});
    CHECK(other.kernel_for(2) == kernel_kind::skinny);
    CHECK(other.kernel_for(1000) == kernel_kind::gemm);
    auto const x = random_halves(3 * 200, 4);
    auto const expected = naive_product(q, x, 3);
    CHECK(error_of(expected, product(usual, x, 3)) < 2e-6);
    CHECK(error_of(expected, product(other, x, 3)) < 2e-6);
}

TEST_CASE("codebooks, bias and function go through a layer") {
    auto const q =
        quantized<qtk::scheme{.element = qtk::nf4, .grain = qtk::per_group(64)}>(20, 128);
    auto const x = random_halves(2 * 128, 5);
    std::vector<float> const shift(20, 100.0f);
    buffer<float> const bias(std::span<float const>(shift), {});
    auto const found = product(linear(q, {}), x, 2,
                               {{bias.data(), 0, number::f32}, {}, qtk::activation::relu, true});
    auto expected = naive_product(q, x, 2);
    for (double& v : expected) v = std::max(v + 100.0, 0.0);
    CHECK(error_of(expected, found) < 4e-4);
}

TEST_CASE("what a layer cannot do is refused when it is made") {
    using enum device_activations;
    CHECK_THROWS_AS(linear(quantized<w8>(16, 64), {}), qtk::value_error);
    CHECK_THROWS_AS(linear(quantized<w8>(16, 64), {}, {.activations = a4_row}), qtk::value_error);
    CHECK_THROWS_AS(linear(quantized<w4>(16, 64), {}, {.table = {}}), qtk::value_error);
    CHECK_THROWS_AS(linear(quantized<w8>(16, 64), {}, {.activations = llm_int8, .threshold = 0.0f}),
                    qtk::value_error);
    constexpr qtk::scheme levels{.element = qtk::nf4, .grain = qtk::per_group(64)};
    CHECK_THROWS_AS(linear(quantized<levels>(16, 64), {}, {.activations = a8_row}),
                    qtk::value_error);
    // Groups of 1056 hold no whole number of segments.
    constexpr qtk::scheme long_groups{.element = qtk::i4, .grain = qtk::per_group(1056)};
    CHECK_THROWS_AS(linear(quantized<long_groups>(16, 2112), {}, {.activations = a8_group}),
                    qtk::value_error);
}

TEST_CASE("too little workspace and floats that stay floats are refused") {
    linear const layer(quantized<w4>(40, 1100), {});
    std::vector<std::uint16_t> const x(1100);
    float y[40];
    workspace small = make_workspace(8, {});
    CHECK_THROWS_AS(layer.multiply({x.data(), 1100}, 1, {y, 40, number::f32, {}}, small, {}),
                    qtk::value_error);
    workspace enough = make_workspace(layer.workspace_bytes(1), {});
    CHECK_THROWS_AS(
        layer.multiply({x.data(), 550, number::f32}, 1, {y, 40, number::f32, {}}, enough, {}),
        qtk::value_error);
}
}  // namespace
