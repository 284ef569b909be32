// SPDX-License-Identifier: Apache-2.0
//
// What a user's program does first; every way of consuming qtk builds and runs it.
#include <qtk/quantize.hpp>

#include <cstdio>
#include <vector>

int main() {
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(64)};
    std::vector<float> const weight(128 * 256, 0.25f);
    auto const q = qtk::quantize<w4>(qtk::matrix_view<float const>(weight.data(), 128, 256));
    qtk::matrix const back = qtk::dequantize(q);
    std::printf("%.2f bits per weight, back %.2f\n", q.bits_per_weight(),
                static_cast<double>(back(7, 9)));
    return q.bits_per_weight() == 4.5 && back(7, 9) == 0.25f ? 0 : 1;
}
