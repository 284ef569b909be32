// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/simd.hpp>

#include <doctest/doctest.h>

#if QTK_HAS_XSIMD

namespace {
namespace simd = qtk::portable;
static_assert(simd::block % simd::lanes == 0 && simd::block >= 16);
}  // namespace

TEST_CASE("a sum counts every lane once") {
    alignas(64) float lane[simd::lanes];
    for (std::size_t i = 0; i < simd::lanes; ++i) lane[i] = static_cast<float>(1u << i);
    CHECK(simd::sum_of(simd::floats::load_aligned(lane)) ==
          static_cast<float>((1u << simd::lanes) - 1u));
}

TEST_CASE("bits of floats are those of each float, and back") {
    alignas(64) std::int32_t bits[simd::lanes];
    simd::bits_of(simd::floats(-0.75f)).store_aligned(bits);
    for (std::int32_t const b : bits) CHECK(b == std::bit_cast<std::int32_t>(-0.75f));
    alignas(64) float value[simd::lanes];
    simd::floats_of_bits(simd::ints(0x40490fdb)).store_aligned(value);
    for (float const v : value) CHECK(v == 3.14159274f);
}

TEST_CASE("a mask becomes ones and zeros") {
    alignas(64) float lane[simd::lanes];
    for (std::size_t i = 0; i < simd::lanes; ++i) lane[i] = static_cast<float>(i);
    simd::one_where(simd::floats::load_aligned(lane) >= simd::floats(1.0f)).store_aligned(lane);
    CHECK(lane[0] == 0.0f);
    for (std::size_t i = 1; i < simd::lanes; ++i) CHECK(lane[i] == 1.0f);
}

#endif
