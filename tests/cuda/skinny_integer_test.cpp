// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/pack.hpp>
#include <qtk/cuda/skinny_integer.hpp>
#include <qtk/kernel/gemm.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>
#include <qtk/quantize.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <vector>

namespace {
using namespace qtk::cuda;

std::vector<float> on_the_device(qtk::any_qmatrix const& q, std::vector<float> const& floats,
                                 std::size_t m, bool has_row_scales, int bits = 8) {
    weight_on_device const w(q);
    auto const x = on_device(floats);
    activation_codes rows{
        nullptr,       nullptr, nullptr, m, q.cols(), segment_for(w.host.layout, has_row_scales),
        has_row_scales};
    rows.bits = bits;
    device_vector<std::uint8_t> codes(m * rows.row_bytes(), 99);
    device_vector<float> row_scales(m * rows.segments());
    device_vector<std::int32_t> sums(m * rows.segments());
    rows.codes = codes.data();
    rows.scales = row_scales.data();
    rows.sums = sums.data();
    launch_quantize_rows({x.data(), q.cols(), number::f32}, rows, {});
    device_vector<float> y(m * q.rows(), NAN);
    integer_arguments a;
    a.w = w.operand();
    a.x = rows;
    a.y = {y.data(), q.rows(), number::f32, {}};
    launch_skinny_integer(a, {});
    wait_for_device();
    return {y.begin(), y.end()};
}

constexpr std::size_t shapes[][3] = {
    {1, 16, 64}, {1, 35, 200}, {9, 20, 1100}, {3, 17, 333}, {2, 16, 33000}};

template <qtk::scheme S>
void check_shapes() {
    for (auto const& [m, rows, cols] : shapes) {
        auto const weight = random_floats(rows * cols, 7);
        auto const x = random_floats(m * cols, 8);
        auto const q = qtk::quantize<S>(qtk::matrix_view<float const>(weight.data(), rows, cols));
        auto const packed = qtk::prepack(q);
        for (bool const has_row_scales : {false, true}) {
            std::vector<float> expected(m * rows);
            qtk::gemm(packed, qtk::matrix_view<float const>(x.data(), m, cols),
                      qtk::matrix_view<float>(expected.data(), m, rows),
                      {.activations = has_row_scales ? qtk::activation_type::a8_row
                                                     : qtk::activation_type::a8_group});
            INFO(qtk::to_string(S)
                 << " " << m << "x" << rows << "x" << cols << " " << has_row_scales);
            CHECK(on_the_device(q, x, m, has_row_scales) == expected);
        }
    }
}

TEST_CASE("int8 products of the device are the CPU's, bit for bit") {
    for_each_scheme([]<qtk::scheme S>() {
        if constexpr (S.element.is_integer()) check_shapes<S>();
    });
}
/// The definition with int4 activations, which the CPU does not multiply.
std::vector<float> by_definition(qtk::any_qmatrix const& q, std::vector<float> const& x,
                                 std::size_t m, bool has_row_scales) {
    std::size_t const rows = q.rows(), cols = q.cols();
    weight_layout const w = pack(q).layout;
    std::size_t const segment = segment_for(w, has_row_scales);
    qtk::tile_quantizer<qtk::i4, qtk::origin::fixed> const quantizer;
    auto const fit = [&](std::size_t r, std::size_t first, std::size_t end) {
        float largest = 0.0f;
        for (std::size_t k = first; k < end; ++k)
            largest = std::max(largest, std::fabs(x[r * cols + k]));
        return quantizer.fit({-largest, largest});
    };
    std::vector<float> y(m * rows, 0.0f);
    for (std::size_t r = 0; r < m; ++r)
        for (std::size_t n = 0; n < rows; ++n) {
            float& total = y[r * rows + n];
            for (std::size_t first = 0; first < cols; first += segment) {
                std::size_t const end = std::min(first + segment, cols);
                auto const p = has_row_scales ? fit(r, 0, cols) : fit(r, first, end);
                auto const of_w = q.params(n / q.grid().rows, first / q.grid().cols);
                int dot = 0, sum = 0;
                for (std::size_t k = first; k < end; ++k) {
                    int const code = quantizer.encode(x[r * cols + k], p) - 8;
                    dot += (q.field(n, k) - 8) * code;
                    sum += code;
                }
                float const a = has_row_scales ? 1.0f : p.scale;
                total = std::fma(static_cast<float>(dot), of_w.scale * a, total);
                if (q.scheme().has_zero_point())
                    total = std::fma(of_w.scale * static_cast<float>(8 - of_w.zero),
                                     a * static_cast<float>(sum), total);
            }
            if (has_row_scales) total *= fit(r, 0, cols).scale;
        }
    return y;
}

template <qtk::scheme S>
void check_nibbles() {
    for (auto const& [m, rows, cols] : shapes) {
        auto const weight = random_floats(rows * cols, 7);
        auto const x = random_floats(m * cols, 8);
        auto const q = qtk::quantize<S>(qtk::matrix_view<float const>(weight.data(), rows, cols));
        for (bool const by_row : {false, true})
            CHECK(on_the_device(q, x, m, by_row, 4) == by_definition(q, x, m, by_row));
    }
}

TEST_CASE("int4 products of the device are the definition's, bit for bit") {
    for_each_scheme([]<qtk::scheme S>() {
        if constexpr (S.element.is_integer() && S.element.bits == 4) check_nibbles<S>();
    });
}

TEST_CASE("operands that do not fit are refused with a sentence") {
    alignas(16) static std::uint32_t memory[8] = {};
    integer_arguments a;
    a.w = {reinterpret_cast<uint4 const*>(memory),
           memory,
           nullptr,
           {16, 1056 * 2, 1056, 4},
           number::f32};
    a.x.cols = a.w.layout.cols;
    a.x.segment = 128;
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::value_error);  // 128 does not divide 1056
    a.w.layout.group = 64;
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::value_error);  // segments of 64 are needed
    a.x.segment = 64;
    a.x.cols = 64;
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::shape_error);
    a.x.cols = a.w.layout.cols;
    a.w.words = reinterpret_cast<uint4 const*>(memory + 1);
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::value_error);
    a.w.words = reinterpret_cast<uint4 const*>(memory);
    a.w.layout.bits = 3;
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::value_error);
}
}  // namespace
