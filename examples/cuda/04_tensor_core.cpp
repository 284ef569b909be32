// SPDX-License-Identifier: Apache-2.0
//
// The tensor core, for up to eight rows of X at the price of one. Weights lie as it wants them
// (qtk/cuda/layout.hpp): 16 bytes of a lane are the operands of eight instructions, and a field becomes a half
// by being put into the mantissa of 1024.0, without a conversion. A warp has 16 rows of W for itself. What is left:
// 256 warps for 4096 rows are six for each of a T4's 40 multiprocessors, far from filling it.
#include <qtk/cuda/mma.hpp>

#include "matmul.hpp"

namespace {
using namespace qtk::cuda;

__global__ void product(weight_operand w, std::uint16_t const* x, float* y, unsigned m) {
    unsigned const tile = blockIdx.x, lane = threadIdx.x, g = lane / 4, t = lane % 4;
    auto const chunks = static_cast<unsigned>(w.layout.chunks());
    auto const groups = static_cast<unsigned>(w.layout.groups());
    auto const k = static_cast<unsigned>(w.layout.cols), n = static_cast<unsigned>(w.layout.rows);
    float sum[4] = {};
    for (unsigned chunk = 0; chunk < chunks; ++chunk) {
        uint4 const words = __ldcs(w.words + (tile * chunks + chunk) * 32 + lane);
        float part[4] = {}, scale[2];
        w.load_scales(w.pair_at(tile, groups, chunk * 64, g), scale);
        QTK_CUDA_UNROLL
        for (unsigned j = 0; j < 4; ++j) {
            half_operands left;
            integer_levels(8, 8).decode(word_of(words, j), left);
            uint2 right{0, 0};
            if (g < m)
                right = *reinterpret_cast<uint2 const*>(x + g * k + chunk * 64 + 16 * j + 4 * t);
            half_mma::multiply(part, left[0], {right.x});
            half_mma::multiply(part, left[1], {right.y});
        }
        for (unsigned c = 0; c < 4; ++c) sum[c] += part[c] * scale[c / 2];
    }
    for (int c = 0; c < 4; ++c) {
        coordinate const at = half_mma::c(static_cast<int>(lane), c);
        auto const row = static_cast<unsigned>(at.col);
        if (row < m) y[row * n + tile * 16 + static_cast<unsigned>(at.row)] = sum[c];
    }
}

}  // namespace

int main() {
    return matmul::run("04_tensor_core", 8, 1e-5, [](matmul::problem& p, unsigned copy) {
        launch("product", product, dim3(matmul::n / 16), dim3(32), 0, {}, p.packed[copy].weight(),
               p.x.data(), p.y.data(), p.m);
    });
}
