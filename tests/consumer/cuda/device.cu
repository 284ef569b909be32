// SPDX-License-Identifier: Apache-2.0
//
// A program for the device: the front door on the host and a layer on the device, in one .cu file. Without a device it
// says so and is content.
#include <qtk/cuda/linear.hpp>
#include <qtk/quantize.hpp>

#include <cstdio>
#include <vector>

int main() {
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(64)};
    std::vector<float> const weight(128 * 256, 0.25f);
    auto const q = qtk::quantize<w4>(qtk::matrix_view<float const>(weight.data(), 128, 256));
    std::printf("%.2f bits per weight, back %.2f\n", q.bits_per_weight(),
                static_cast<double>(qtk::dequantize(q)(7, 9)));
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        std::puts("no device");
        return q.bits_per_weight() == 4.5 ? 0 : 1;
    }
    qtk::cuda::linear const layer(q, nullptr);
    std::printf("%zu outputs on the device\n", static_cast<std::size_t>(layer.out()));
    return layer.out() == 128 ? 0 : 1;
}
