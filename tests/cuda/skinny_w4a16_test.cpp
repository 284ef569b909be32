// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/pack.hpp>
#include <qtk/cuda/skinny_w4a16.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include <vector>

namespace {
using namespace qtk::cuda;

struct shape {
    std::size_t m, rows, cols;
};

/// The kernel's floats; everything that it must not read or leave is NaN.
std::vector<double> product(qtk::any_qmatrix const& q, std::vector<std::uint16_t> const& x,
                            std::size_t m, unsigned splits) {
    host_weight const w = pack(q);
    std::vector<float> y(m * q.rows(), NAN);
    std::vector<float> sums(splits * m * w.layout.tiles() * tile_rows, NAN);
    std::vector<unsigned> arrived(w.layout.tiles(), 0);
    skinny_arguments a;
    a.w = {reinterpret_cast<uint4 const*>(w.words.data()), w.scales.data(),
           w.zeros.empty() ? nullptr : w.zeros.data(), w.layout,
           w.scheme.scale == qtk::scale_type::f16 ? number::f16 : number::f32};
    a.x = x.data();
    a.x_stride = q.cols();
    a.m = m;
    a.is_aligned = q.cols() % 4 == 0;
    a.y = {y.data(), q.rows(), number::f32, {}};
    a.split = {sums.data(), arrived.data()};
    if (q.scheme().element.is_integer()) {
        launch_skinny_w4a16<false>(a, splits, {});
    } else {
        a.levels = level_bytes(qtk::levels_of(q.scheme().element));
        launch_skinny_w4a16<true>(a, splits, {});
    }
    for (unsigned const left : arrived) CHECK(left == 0);
    return {y.begin(), y.end()};
}

TEST_CASE("the skinny kernel gives the naive product") {
    for_each_scheme([]<qtk::scheme S>() {
        if constexpr (S.element.bits == 4)
            for (shape const s : {shape{1, 16, 64}, shape{1, 35, 200}, shape{5, 20, 1100},
                                  shape{8, 48, 640}, shape{13, 17, 333}, shape{16, 32, 256}})
                for (unsigned const splits : {1u, 3u}) {
                    auto const weight = random_floats(s.rows * s.cols, 7);
                    auto const x = random_halves(s.m * s.cols, 8);
                    auto const q = qtk::quantize<S>(
                        qtk::matrix_view<float const>(weight.data(), s.rows, s.cols));
                    INFO(qtk::to_string(S) << " " << s.m << "x" << s.rows << "x" << s.cols);
                    // Codebook levels are rounded to halves; integers are exact.
                    CHECK(relative_error(naive_product(q, x, s.m), product(q, x, s.m, splits)) <
                          (S.element.is_integer() ? 2e-6 : 4e-4));
                }
    });
}
}  // namespace
