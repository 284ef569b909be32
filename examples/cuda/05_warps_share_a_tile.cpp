// SPDX-License-Identifier: Apache-2.0
//
// Eight warps share the columns of a tile, and each has its next load on the way before it multiplies: the bytes in
// flight, which are all that counts for few rows, grow sixteenfold. Sums of the warps meet in shared memory, in one
// order, so that two runs give the same bits. This is skinny_w4a16 without tails, zero points, narrow groups, more
// than eight rows and splitting K over blocks.
#include <qtk/cuda/mma.hpp>

#include "matmul.hpp"

namespace {
using namespace qtk::cuda;
constexpr unsigned warps = 8;

__global__ void product(weight_operand w, std::uint16_t const* x, float* y, unsigned m) {
    unsigned const tile = blockIdx.x, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    auto const chunks = static_cast<unsigned>(w.layout.chunks());
    auto const groups = static_cast<unsigned>(w.layout.groups());
    auto const k = static_cast<unsigned>(w.layout.cols), n = static_cast<unsigned>(w.layout.rows);
    uint4 const* const words = w.words + tile * chunks * 32 + lane;
    float sum[4] = {};
    unsigned chunk = threadIdx.x / 32;
    uint4 ahead{0, 0, 0, 0};
    if (chunk < chunks) ahead = __ldcs(words + chunk * 32);
    for (; chunk < chunks; chunk += warps) {
        uint4 const now = ahead;
        if (chunk + warps < chunks) ahead = __ldcs(words + (chunk + warps) * 32);
        float part[4] = {}, scale[2];
        w.load_scales(w.pair_at(tile, groups, chunk * 64, g), scale);
        QTK_CUDA_UNROLL
        for (unsigned j = 0; j < 4; ++j) {
            half_operands left;
            integer_levels(8, 8).decode(word_of(now, j), left);
            uint2 right{0, 0};
            if (g < m)
                right = *reinterpret_cast<uint2 const*>(x + g * k + chunk * 64 + 16 * j + 4 * t);
            half_mma::multiply(part, left[0], {right.x});
            half_mma::multiply(part, left[1], {right.y});
        }
        for (unsigned c = 0; c < 4; ++c) sum[c] += part[c] * scale[c / 2];
    }
    __shared__ float of_warp[warps][8][17];
    for (int c = 0; c < 4; ++c) {
        coordinate const at = half_mma::c(static_cast<int>(lane), c);
        of_warp[threadIdx.x / 32][at.col][at.row] = sum[c];
    }
    __syncthreads();
    unsigned const row = threadIdx.x / 16;
    if (threadIdx.x >= 128 || row >= m) return;
    float total = 0.0f;
    for (unsigned i = 0; i < warps; ++i) total += of_warp[i][row][threadIdx.x % 16];
    y[row * n + tile * 16 + threadIdx.x % 16] = total;
}

}  // namespace

int main() {
    return matmul::run("05_warps_share_a_tile", 8, 1e-5, [](matmul::problem& p, unsigned copy) {
        launch("product", product, dim3(matmul::n / 16), dim3(32 * warps), 0, {},
               p.packed[copy].weight(), p.x.data(), p.y.data(), p.m);
    });
}
