// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/split_k.hpp>

#include <doctest/doctest.h>

#include "cuda_memory.hpp"
#include <string>
#include <vector>

namespace {
using namespace qtk::cuda;

/// Every block writes its number into all outputs; the last one at a place adds them up.
__global__ void number_blocks(split_operand split, weight_layout w, std::size_t m, float* y) {
    detail::split_sums const sums(split, w, m);
    for (std::size_t row = 0; row < m; ++row)
        sums.put(blockIdx.y, row, threadIdx.x, static_cast<float>(blockIdx.y + 1));
    if (!detail::arrives_last(split.arrived, gridDim.y)) return;
    for (std::size_t row = 0; row < m; ++row)
        y[row * w.rows + threadIdx.x] = sums.total(gridDim.y, row, threadIdx.x);
}

TEST_CASE("the last block sees all shares and leaves the counter as it was") {
    weight_layout const w{48, 64, 64, 4};
    device_vector<float> sums(5 * 3 * 48, NAN), y(3 * 48, NAN);
    device_vector<unsigned> arrived(1, 0);
    for (int run = 0; run < 2; ++run) {
        launch("number_blocks", number_blocks, dim3(1, 5), dim3(48), 0, {},
               split_operand{sums.data(), arrived.data()}, w, std::size_t{3}, y.data());
        wait_for_device();
        CHECK(arrived[0] == 0);
        for (float const v : y) CHECK(v == 15.0f);
    }
}

/// What every share covers.
__global__ void list_shares(unsigned chunks, unsigned splits, unsigned* to) {
    detail::chunk_share const share(chunks, splits, threadIdx.x);
    to[2 * threadIdx.x] = share.first;
    to[2 * threadIdx.x + 1] = share.end;
}

TEST_CASE("shares cover all chunks once, some of them none") {
    for (unsigned const chunks : {0u, 1u, 7u, 64u})
        for (unsigned const splits : {1u, 2u, 3u, 9u}) {
            device_vector<unsigned> ends(2 * splits);
            launch("list_shares", list_shares, dim3(1), dim3(splits), 0, {}, chunks, splits,
                   ends.data());
            wait_for_device();
            unsigned next = 0;
            for (unsigned s = 0; s < splits; ++s) {
                CHECK(ends[2 * s] == next);
                CHECK(ends[2 * s + 1] >= next);
                next = ends[2 * s + 1];
            }
            CHECK(next == chunks);
        }
}

TEST_CASE("splits without room for sums are refused") {
    CHECK_NOTHROW(require_split("k", 1, {}));
    CHECK_THROWS_AS(require_split("k", 0, {}), qtk::value_error);
    CHECK_THROWS_AS(require_split("k", 2, {}), qtk::value_error);
}
}  // namespace
