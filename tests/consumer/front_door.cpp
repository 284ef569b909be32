// SPDX-License-Identifier: Apache-2.0
//
// What a user's program does first, with the components that it asked for: each one has to show.
#include <qtk/quantize.hpp>

#ifdef CONSUMER_WITH_xtensor
#include <qtk/xtensor.hpp>
#endif

#include <cstdio>
#include <vector>

#if defined(CONSUMER_WITH_simd) && !defined(QTK_HAS_XSIMD)
#error "qtk::simd was linked, but its definition has not come along"
#endif
#if defined(CONSUMER_WITH_openmp) && !defined(_OPENMP)
#error "qtk::openmp was linked, but OpenMP is off"
#endif

int main() {
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(64)};
#ifdef CONSUMER_WITH_xtensor
    qtk::tensor<2> const weight = xt::full_like(qtk::tensor<2>::from_shape({128, 256}), 0.25f);
    auto const q = qtk::quantize<w4>(weight);
    qtk::tensor<2> const back = qtk::to_xtensor(q);
#else
    std::vector<float> const weight(128 * 256, 0.25f);
    auto const q = qtk::quantize<w4>(qtk::matrix_view<float const>(weight.data(), 128, 256));
    qtk::matrix const back = qtk::dequantize(q);
#endif
    std::printf("%.2f bits per weight, back %.2f\n", q.bits_per_weight(),
                static_cast<double>(back(7, 9)));
    return q.bits_per_weight() == 4.5 && back(7, 9) == 0.25f ? 0 : 1;
}
