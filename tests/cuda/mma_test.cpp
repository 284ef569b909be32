// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/mma.hpp>

#include <doctest/doctest.h>

#include "cuda_memory.hpp"
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace {
using namespace qtk::cuda;

template <typename Op>
__global__ void one_mma(std::uint32_t const* a, std::uint32_t const* b, typename Op::sum* c) {
    std::uint32_t left[Op::a_words], right[Op::b_words];
    typename Op::sum sum[Op::c_words];
    int const lane = static_cast<int>(threadIdx.x);
    for (int i = 0; i < Op::a_words; ++i) left[i] = a[lane * Op::a_words + i];
    for (int i = 0; i < Op::b_words; ++i) right[i] = b[lane * Op::b_words + i];
    for (int i = 0; i < Op::c_words; ++i) sum[i] = c[lane * Op::c_words + i];
    Op::multiply(sum, left, right);
    for (int i = 0; i < Op::c_words; ++i) c[lane * Op::c_words + i] = sum[i];
}

/// Puts matrices into registers by the coordinates, multiplies, and takes C out again. put(v) is
/// the bits of an element.
template <typename Op, typename PutA, typename PutB>
void check_product(std::vector<int> const& a, std::vector<int> const& b, PutA put_a, PutB put_b) {
    constexpr int bits = 32 / Op::packed;
    device_vector<std::uint32_t> left(32 * Op::a_words), right(32 * Op::b_words);
    device_vector<typename Op::sum> sum(32 * Op::c_words, 5);
    for (int lane = 0; lane < 32; ++lane)
        for (int e = 0; e < Op::packed; ++e) {
            for (int i = 0; i < Op::a_words; ++i) {
                auto const [r, k] = Op::a(lane, i, e);
                left[static_cast<std::size_t>(lane * Op::a_words + i)] |=
                    put_a(a[static_cast<std::size_t>(r * Op::k + k)]) << (bits * e);
            }
            for (int i = 0; i < Op::b_words; ++i) {
                auto const [k, n] = Op::b(lane, i, e);
                right[static_cast<std::size_t>(lane * Op::b_words + i)] |=
                    put_b(b[static_cast<std::size_t>(k * Op::n + n)]) << (bits * e);
            }
        }
    launch("one_mma", one_mma<Op>, dim3(1), dim3(32), 0, {}, left.data(), right.data(), sum.data());
    wait_for_device();
    std::set<std::pair<int, int>> seen;
    for (int lane = 0; lane < 32; ++lane)
        for (int i = 0; i < Op::c_words; ++i) {
            auto const [r, n] = Op::c(lane, i);
            seen.insert({r, n});
            int expected = 5;
            for (int k = 0; k < Op::k; ++k)
                expected += a[static_cast<std::size_t>(r * Op::k + k)] *
                            b[static_cast<std::size_t>(k * Op::n + n)];
            CHECK(sum[static_cast<std::size_t>(lane * Op::c_words + i)] ==
                  static_cast<typename Op::sum>(expected));
        }
    CHECK(seen.size() == static_cast<std::size_t>(Op::m * Op::n));
}

std::vector<int> random_integers(int count, int low, int high) {
    std::mt19937 source(static_cast<unsigned>(count + high));
    std::uniform_int_distribution<int> pick(low, high);
    std::vector<int> values(static_cast<std::size_t>(count));
    for (int& v : values) v = pick(source);
    return values;
}
auto const as_half = [](int v) { return std::uint32_t{qtk::float_to_f16(static_cast<float>(v))}; };

TEST_CASE("m16n8k8 multiplies halves") {
    check_product<half_mma>(random_integers(128, -60, 60), random_integers(64, -60, 60), as_half,
                            as_half);
}
TEST_CASE("m8n8k16 multiplies unsigned by signed bytes") {
    auto const byte = [](int v) { return static_cast<std::uint32_t>(v) & 0xffu; };
    check_product<int8_mma>(random_integers(128, 0, 255), random_integers(128, -128, 127), byte,
                            byte);
}
TEST_CASE("m8n8k32 multiplies unsigned by signed nibbles") {
    auto const nibble = [](int v) { return static_cast<std::uint32_t>(v) & 0xfu; };
    check_product<int4_mma>(random_integers(256, 0, 15), random_integers(256, -8, 7), nibble,
                            nibble);
}

__global__ void one_dot(std::uint32_t const* a, std::uint32_t const* b, std::int32_t* c) {
    c[threadIdx.x] = dot_bytes(a[threadIdx.x], b[threadIdx.x], c[threadIdx.x]);
}

TEST_CASE("dp4a multiplies four unsigned by four signed bytes") {
    device_vector<std::uint32_t> const fields =
        on_device(std::vector<std::uint32_t>{0xff000000u, 0x000000ffu, 0x01020304u});
    device_vector<std::uint32_t> const codes = on_device(std::vector<std::uint32_t>{
        0x80000000u, 0x0000007fu, 0x01ff0180u});  // -128; 127; 1, -1, 1, -128
    device_vector<std::int32_t> sum(3, 5);
    qtk::cuda::launch("one_dot", one_dot, dim3(1), dim3(3), 0, {}, fields.data(), codes.data(),
                      sum.data());
    wait_for_device();
    CHECK(sum[0] == 5 - 255 * 128);
    CHECK(sum[1] == 5 + 255 * 127);
    CHECK(sum[2] == 5 + 1 - 2 + 3 - 4 * 128);
}
}  // namespace
