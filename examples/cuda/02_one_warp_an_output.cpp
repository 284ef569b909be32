// SPDX-License-Identifier: Apache-2.0
//
// A warp computes one output: its lanes read neighbouring bytes, 32 at a time, so that everything that memory
// delivers is used. The lanes' sums meet by shuffles. What is left: a load brings one byte a lane, and a
// warp waits for each of them in turn.
#include "matmul.hpp"

namespace {

__global__ void product(std::uint8_t const* codes, std::uint8_t const* scales,
                        std::uint16_t const* x, float* y, unsigned n, unsigned k) {
    unsigned const row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= n) return;
    auto const* const scale_bits = reinterpret_cast<std::uint16_t const*>(scales);
    float sum = 0.0f;
    for (unsigned c = 2 * lane; c < k; c += 64) {
        unsigned const pair = codes[(row * k + c) / 2];
        float const scale =
            qtk::cuda::half_bits_to_float(scale_bits[(row * k + c) / matmul::group]);
        float const low = (static_cast<float>(pair & 15) - 8.0f) * scale;
        float const high = (static_cast<float>(pair >> 4) - 8.0f) * scale;
        sum += low * qtk::cuda::half_bits_to_float(x[c]) +
               high * qtk::cuda::half_bits_to_float(x[c + 1]);
    }
    for (int mask = 16; mask > 0; mask /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
    if (lane == 0) y[row] = sum;
}

}  // namespace

int main() {
    return matmul::run("02_one_warp_an_output", 1, 1e-5, [](matmul::problem& p, unsigned copy) {
        qtk::cuda::launch("product", product, dim3((matmul::n + 3) / 4), dim3(128), 0, {},
                          p.codes[copy].data(), p.scales.data(), p.x.data(), p.y.data(), matmul::n,
                          matmul::k);
    });
}
