// SPDX-License-Identifier: Apache-2.0
//
// y = W x without ever unpacking the whole of W: the product reads the packed codes.
#include <qtk/core/random.hpp>
#include <qtk/quantize.hpp>

#include <cmath>
#include <cstdio>

int main() {
    constexpr qtk::scheme w4{
        .element = qtk::i4, .grain = qtk::per_group(32), .zero = qtk::origin::floating};
    std::vector<float> const weight = qtk::gaussian_vector(256 * 512, 1);
    std::vector<float> const x = qtk::gaussian_vector(512, 2);

    //! [gemv]
    auto const q = qtk::quantize<w4>(qtk::matrix_view<float const>(weight.data(), 256, 512));
    std::vector<float> y(256);
    qtk::gemv(q, x, y);
    //! [gemv]

    double error = 0.0, signal = 0.0;
    for (std::size_t r = 0; r < 256; ++r) {
        double exact = 0.0;
        for (std::size_t c = 0; c < 512; ++c)
            exact += static_cast<double>(weight[r * 512 + c]) * static_cast<double>(x[c]);
        error += (static_cast<double>(y[r]) - exact) * (static_cast<double>(y[r]) - exact);
        signal += exact * exact;
    }
    std::printf("the 4-bit product is %.1f dB above its error\n",
                10.0 * std::log10(signal / error));
}
