// SPDX-License-Identifier: Apache-2.0
//
// The widest load there is: 16 bytes a lane, 32 weights, 512 bytes a warp. Memory has sixteen times as much
// to do at a time for the same number of instructions, and a lane needs one scale for what it loaded. What is
// left: each weight is converted from an integer to a float, which Turing does at a quarter of its rate.
#include "matmul.hpp"

namespace {

__global__ void product(std::uint8_t const* codes, std::uint8_t const* scales,
                        std::uint16_t const* x, float* y, unsigned n, unsigned k) {
    unsigned const row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= n) return;
    auto const* const scale_bits = reinterpret_cast<std::uint16_t const*>(scales);
    float sum = 0.0f;
    for (unsigned c = 32 * lane; c < k; c += 32 * 32) {
        uint4 const words = __ldcs(reinterpret_cast<uint4 const*>(codes + (row * k + c) / 2));
        float of_group = 0.0f;
        QTK_CUDA_UNROLL
        for (unsigned j = 0; j < 4; ++j) {
            std::uint32_t const word = qtk::cuda::word_of(words, j);
            QTK_CUDA_UNROLL
            for (unsigned e = 0; e < 8; ++e)
                of_group += (static_cast<float>(word >> (4 * e) & 15) - 8.0f) *
                            qtk::cuda::half_bits_to_float(x[c + 8 * j + e]);
        }
        sum += of_group * qtk::cuda::half_bits_to_float(scale_bits[(row * k + c) / matmul::group]);
    }
    for (int mask = 16; mask > 0; mask /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
    if (lane == 0) y[row] = sum;
}

}  // namespace

int main() {
    return matmul::run("03_wide_loads", 1, 1e-5, [](matmul::problem& p, unsigned copy) {
        qtk::cuda::launch("product", product, dim3((matmul::n + 3) / 4), dim3(128), 0, {},
                          p.codes[copy].data(), p.scales.data(), p.x.data(), p.y.data(), matmul::n,
                          matmul::k);
    });
}
