// SPDX-License-Identifier: Apache-2.0
//
// What the kernels for integers on both sides must give: with int8 activations the bits of the CPU's
// product, with int4 activations those of the definition.
#pragma once

#include <qtk/cuda/integer_product.hpp>
#include <qtk/cuda/pack.hpp>
#include <qtk/kernel/gemm.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>
#include <qtk/quantize.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

using integer_launch = void (*)(qtk::cuda::integer_arguments const&, cudaStream_t);

inline std::vector<float> integer_product(integer_launch start, qtk::any_qmatrix const& q,
                                          std::vector<float> const& floats, std::size_t m,
                                          bool has_row_scales, int bits) {
    using namespace qtk::cuda;
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
    start(a, {});
    wait_for_device();
    return {y.begin(), y.end()};
}

/// The definition with int4 activations, which the CPU does not multiply.
inline std::vector<float> int4_by_definition(qtk::any_qmatrix const& q, std::vector<float> const& x,
                                             std::size_t m, bool has_row_scales) {
    using namespace qtk::cuda;
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

struct integer_shape {
    std::size_t m, rows, cols;
};

/// X W^T with int8 and int4 activations, one scale a row and one a segment.
template <qtk::scheme S>
void check_integers(integer_launch start, integer_shape const& shape) {
    auto const [m, rows, cols] = shape;
    auto const weight = random_floats(rows * cols, 7);
    auto const x = random_floats(m * cols, 8);
    auto const q = qtk::quantize<S>(qtk::matrix_view<float const>(weight.data(), rows, cols));
    auto const packed = qtk::prepack(q);
    for (bool const has_row_scales : {false, true}) {
        INFO(qtk::to_string(S) << " " << m << "x" << rows << "x" << cols << " " << has_row_scales);
        std::vector<float> expected(m * rows);
        qtk::gemm(packed, qtk::matrix_view<float const>(x.data(), m, cols),
                  qtk::matrix_view<float>(expected.data(), m, rows),
                  {.activations = has_row_scales ? qtk::activation_type::a8_row
                                                 : qtk::activation_type::a8_group});
        CHECK(integer_product(start, q, x, m, has_row_scales, 8) == expected);
        if (S.element.bits == 4)
            CHECK(integer_product(start, q, x, m, has_row_scales, 4) ==
                  int4_by_definition(q, x, m, has_row_scales));
    }
}

/// All schemes with integer levels.
template <std::size_t N>
void check_integers(integer_launch start, integer_shape const (&shapes)[N]) {
    for_each_scheme([&]<qtk::scheme S>() {
        if constexpr (S.element.is_integer())
            for (std::size_t i = 0; i < N; ++i) check_integers<S>(start, shapes[i]);
    });
}
