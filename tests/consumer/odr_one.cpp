// SPDX-License-Identifier: Apache-2.0
#include <qtk/quantize.hpp>

float dot_here(float const* a, float const* b, std::size_t n) {
    return qtk::dot(a, b, n);
}
float round_trip_here(float const* w, std::size_t rows, std::size_t cols) {
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(32)};
    qtk::matrix_view<float const> const view(w, rows, cols);
    qtk::matrix const back = qtk::dequantize(qtk::quantize<w4>(view));
    return back == qtk::fake_quantize<w4>(view) ? back(rows - 1, cols - 1) : -1.0f;
}
