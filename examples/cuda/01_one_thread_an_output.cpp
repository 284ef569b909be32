// SPDX-License-Identifier: Apache-2.0
//
// The definition: every thread computes one output, a byte of weights at a time. Neighbouring threads read
// neighbouring rows, two kilobytes apart: of every 32 bytes that memory delivers, one is used before the cache
// has to give them up. Memory is busy and brings nothing.
#include "matmul.hpp"

namespace {

__global__ void product(std::uint8_t const* codes, std::uint8_t const* scales,
                        std::uint16_t const* x, float* y, unsigned n, unsigned k) {
    unsigned const row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= n) return;
    auto const* const scale_bits = reinterpret_cast<std::uint16_t const*>(scales);
    float sum = 0.0f;
    for (unsigned c = 0; c < k; c += 2) {
        unsigned const pair = codes[(row * k + c) / 2];
        float const scale =
            qtk::cuda::half_bits_to_float(scale_bits[(row * k + c) / matmul::group]);
        float const low = (static_cast<float>(pair & 15) - 8.0f) * scale;
        float const high = (static_cast<float>(pair >> 4) - 8.0f) * scale;
        sum += low * qtk::cuda::half_bits_to_float(x[c]) +
               high * qtk::cuda::half_bits_to_float(x[c + 1]);
    }
    y[row] = sum;
}

}  // namespace

int main() {
    return matmul::run("01_one_thread_an_output", 1, 1e-5, [](matmul::problem& p, unsigned copy) {
        qtk::cuda::launch("product", product, dim3((matmul::n + 63) / 64), dim3(64), 0, {},
                          p.codes[copy].data(), p.scales.data(), p.x.data(), p.y.data(), matmul::n,
                          matmul::k);
    });
}
