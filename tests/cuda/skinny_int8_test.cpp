// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/pack.hpp>
#include <qtk/cuda/skinny_int8.hpp>
#include <qtk/kernel/gemm.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <vector>

namespace {
using namespace qtk::cuda;

std::vector<float> on_the_device(qtk::any_qmatrix const& q, std::vector<float> const& floats,
                                 std::size_t m, bool has_row_scales) {
    host_weight const w = pack(q);
    auto const words = on_device(w.words);
    auto const scales = on_device(w.scales);
    auto const zeros = on_device(w.zeros);
    auto const x = on_device(floats);
    int8_rows rows{
        nullptr,       nullptr, nullptr, m, q.cols(), segment_for(w.layout, has_row_scales),
        has_row_scales};
    device_vector<std::int8_t> codes(m * rows.depth(), 99);
    device_vector<float> row_scales(m * rows.segments());
    device_vector<std::int32_t> sums(m * rows.segments());
    rows.codes = codes.data();
    rows.scales = row_scales.data();
    rows.sums = sums.data();
    launch_quantize_rows({x.data(), q.cols(), number::f32}, rows, {});
    device_vector<float> y(m * q.rows(), NAN);
    int8_arguments a;
    a.w = {reinterpret_cast<uint4 const*>(words.data()), scales.data(),
           zeros.empty() ? nullptr : zeros.data(), w.layout,
           w.scheme.scale == qtk::scale_type::f16 ? number::f16 : number::f32};
    a.x = rows;
    a.y = {y.data(), q.rows(), number::f32, {}};
    launch_skinny_int8(a, {});
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
TEST_CASE("operands that do not fit are refused with a sentence") {
    alignas(16) static std::uint32_t memory[8] = {};
    int8_arguments a;
    a.w = {reinterpret_cast<uint4 const*>(memory),
           memory,
           nullptr,
           {16, 1056 * 2, 1056, 4},
           number::f32};
    a.x.cols = a.w.layout.cols;
    a.x.segment = 128;
    CHECK_THROWS_AS(launch_skinny_int8(a, {}), qtk::value_error);  // 128 does not divide 1056
    a.w.layout.group = 64;
    CHECK_THROWS_AS(launch_skinny_int8(a, {}), qtk::value_error);  // segments of 64 are needed
    a.x.segment = 64;
    a.x.cols = 64;
    CHECK_THROWS_AS(launch_skinny_int8(a, {}), qtk::shape_error);
    a.x.cols = a.w.layout.cols;
    a.w.words = reinterpret_cast<uint4 const*>(memory + 1);
    CHECK_THROWS_AS(launch_skinny_int8(a, {}), qtk::value_error);
    a.w.words = reinterpret_cast<uint4 const*>(memory);
    a.w.layout.bits = 3;
    CHECK_THROWS_AS(launch_skinny_int8(a, {}), qtk::value_error);
}
}  // namespace
