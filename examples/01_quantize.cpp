// SPDX-License-Identifier: Apache-2.0
//
// A matrix becomes 4-bit codes, 64 weights sharing a scale, and comes back: how small, how far off?
#include <qtk/core/random.hpp>
#include <qtk/quantize.hpp>
#include <qtk/stats/distortion.hpp>

#include <cstdio>

int main() {
    //! [quantize]
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(64)};

    std::vector<float> const weight = qtk::gaussian_vector(512 * 1024, 42);
    auto const q = qtk::quantize<w4>(qtk::matrix_view<float const>(weight.data(), 512, 1024));
    qtk::matrix const back = qtk::dequantize(q);
    //! [quantize]

    qtk::distortion const error =
        qtk::distortion_of(std::span<float const>(weight), back.view().flat());
    std::printf("%s: %.2f bits per weight, %zu bytes instead of %zu, SQNR %.2f dB\n",
                qtk::to_string(w4).c_str(), q.bits_per_weight(), q.bytes(), 4 * weight.size(),
                error.sqnr_db());
}
