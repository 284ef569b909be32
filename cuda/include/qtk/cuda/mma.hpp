// SPDX-License-Identifier: Apache-2.0
//
// Which lane holds what of a tensor core instruction? One struct per instruction that the T4 has,
// with the coordinates of its registers as functions (PTX ISA 8.x, "Matrix fragments for mma"): the
// kernels, the layout tests and the emulation read the same. A is [m][k], B is [k][n], C is [m][n].
//
//   half_mma    m16n8k8   halves times halves to floats
//   int8_mma    m8n8k16   unsigned bytes times signed bytes to 32-bit integers
//   int4_mma    m8n8k32   unsigned nibbles times signed nibbles to 32-bit integers
//   dot_bytes   dp4a      four products, where one row of X would leave a tensor core idle
//
// Past Turing the driver replaces m8n8k32: right, but slow.
#pragma once

#include <qtk/cuda/device.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace qtk::cuda {

struct coordinate {
    int row = 0, col = 0;
    friend constexpr bool operator==(coordinate const&, coordinate const&) = default;
};

struct half_mma {
    static constexpr int m = 16, n = 8, k = 8, a_words = 2, b_words = 1, c_words = 4, packed = 2;
    using sum = float;
    [[nodiscard]] QTK_HD static constexpr coordinate a(int lane, int word, int e) noexcept {
        return {lane / 4 + 8 * word, 2 * (lane % 4) + e};
    }
    [[nodiscard]] QTK_HD static constexpr coordinate b(int lane, int, int e) noexcept {
        return {2 * (lane % 4) + e, lane / 4};
    }
    [[nodiscard]] QTK_HD static constexpr coordinate c(int lane, int word) noexcept {
        return {lane / 4 + 8 * (word / 2), 2 * (lane % 4) + word % 2};
    }
    /// c += a b
    static __device__ __forceinline__ void multiply(float (&c)[4], std::uint32_t const (&a)[2],
                                                    std::uint32_t const (&b)[1]);
};

/// A holds fields 0..255 as they are stored; their zero is taken off through the sums of B.
struct int8_mma {
    static constexpr int m = 8, n = 8, k = 16, a_words = 1, b_words = 1, c_words = 2, packed = 4;
    using sum = std::int32_t;
    [[nodiscard]] QTK_HD static constexpr coordinate a(int lane, int, int e) noexcept {
        return {lane / 4, 4 * (lane % 4) + e};
    }
    [[nodiscard]] QTK_HD static constexpr coordinate b(int lane, int, int e) noexcept {
        return {4 * (lane % 4) + e, lane / 4};
    }
    [[nodiscard]] QTK_HD static constexpr coordinate c(int lane, int word) noexcept {
        return {lane / 4, 2 * (lane % 4) + word};
    }
    static __device__ __forceinline__ void multiply(std::int32_t (&c)[2],
                                                    std::uint32_t const (&a)[1],
                                                    std::uint32_t const (&b)[1]);
};

/// A holds fields 0..15, B is signed.
struct int4_mma {
    static constexpr int m = 8, n = 8, k = 32, a_words = 1, b_words = 1, c_words = 2, packed = 8;
    using sum = std::int32_t;
    [[nodiscard]] QTK_HD static constexpr coordinate a(int lane, int, int e) noexcept {
        return {lane / 4, 8 * (lane % 4) + e};
    }
    [[nodiscard]] QTK_HD static constexpr coordinate b(int lane, int, int e) noexcept {
        return {8 * (lane % 4) + e, lane / 4};
    }
    [[nodiscard]] QTK_HD static constexpr coordinate c(int lane, int word) noexcept {
        return {lane / 4, 2 * (lane % 4) + word};
    }
    static __device__ __forceinline__ void multiply(std::int32_t (&c)[2],
                                                    std::uint32_t const (&a)[1],
                                                    std::uint32_t const (&b)[1]);
};

/// sum += four unsigned bytes times four signed bytes, on the ordinary cores (dp4a).
[[nodiscard]] __device__ __forceinline__ std::int32_t dot_bytes(std::uint32_t fields,
                                                                std::uint32_t codes,
                                                                std::int32_t sum) {
#if defined(__CUDA_ARCH__)
    std::int32_t result;
    asm("dp4a.u32.s32 %0,%1,%2,%3;" : "=r"(result) : "r"(fields), "r"(codes), "r"(sum));
    return result;
#else
    for (int i = 0; i < 32; i += 8)
        sum += static_cast<std::uint8_t>(fields >> i) * static_cast<std::int8_t>(codes >> i);
    return sum;
#endif
}

#if defined(__CUDACC__)

__device__ __forceinline__ void half_mma::multiply(float (&c)[4], std::uint32_t const (&a)[2],
                                                   std::uint32_t const (&b)[1]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}
__device__ __forceinline__ void int8_mma::multiply(std::int32_t (&c)[2],
                                                   std::uint32_t const (&a)[1],
                                                   std::uint32_t const (&b)[1]) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0,%1},{%2},{%3},{%0,%1};"
                 : "+r"(c[0]), "+r"(c[1])
                 : "r"(a[0]), "r"(b[0]));
}
__device__ __forceinline__ void int4_mma::multiply(std::int32_t (&c)[2],
                                                   std::uint32_t const (&a)[1],
                                                   std::uint32_t const (&b)[1]) {
    asm volatile("mma.sync.aligned.m8n8k32.row.col.s32.u4.s4.s32 {%0,%1},{%2},{%3},{%0,%1};"
                 : "+r"(c[0]), "+r"(c[1])
                 : "r"(a[0]), "r"(b[0]));
}

#else

namespace detail {

/// Element e of a word of B-bit fields.
template <int Packed, bool Unsigned>
[[nodiscard]] double element_of(std::uint32_t word, int e) noexcept {
    if constexpr (Packed == 2) {
        return static_cast<double>(f16_to_float(static_cast<std::uint16_t>(word >> (16 * e))));
    } else {
        constexpr int bits = 32 / Packed;
        auto const field = static_cast<int>((word >> (bits * e)) & ((1u << bits) - 1));
        return !Unsigned && field >= 1 << (bits - 1) ? field - (1 << bits) : field;
    }
}

/// What the instruction means: every lane shows its operands, and sums its own elements of C.
template <typename Op>
void multiply_shown(typename Op::sum (&c)[Op::c_words], std::uint32_t const (&a)[Op::a_words],
                    std::uint32_t const (&b)[Op::b_words]) {
    std::array<std::uint32_t, Op::a_words + Op::b_words> mine{};
    for (int i = 0; i < Op::a_words; ++i) mine[static_cast<std::size_t>(i)] = a[i];
    for (int i = 0; i < Op::b_words; ++i) mine[static_cast<std::size_t>(Op::a_words + i)] = b[i];
    auto const& all = emulator::exchange(mine);
    double left[Op::m][Op::k], right[Op::k][Op::n];
    for (int lane = 0; lane < 32; ++lane) {
        auto const& words = all[static_cast<std::size_t>(lane)];
        for (int e = 0; e < Op::packed; ++e) {
            for (int i = 0; i < Op::a_words; ++i) {
                coordinate const at = Op::a(lane, i, e);
                left[at.row][at.col] =
                    element_of<Op::packed, true>(words[static_cast<std::size_t>(i)], e);
            }
            for (int i = 0; i < Op::b_words; ++i) {
                coordinate const at = Op::b(lane, i, e);
                right[at.row][at.col] = element_of<Op::packed, false>(
                    words[static_cast<std::size_t>(Op::a_words + i)], e);
            }
        }
    }
    auto const lane = static_cast<int>(emulator::block().now->lane);
    for (int i = 0; i < Op::c_words; ++i) {
        coordinate const at = Op::c(lane, i);
        double total = static_cast<double>(c[i]);
        for (int k = 0; k < Op::k; ++k) total += left[at.row][k] * right[k][at.col];
        c[i] = static_cast<typename Op::sum>(total);
    }
}

}  // namespace detail

inline void half_mma::multiply(float (&c)[4], std::uint32_t const (&a)[2],
                               std::uint32_t const (&b)[1]) {
    detail::multiply_shown<half_mma>(c, a, b);
}
inline void int8_mma::multiply(std::int32_t (&c)[2], std::uint32_t const (&a)[1],
                               std::uint32_t const (&b)[1]) {
    detail::multiply_shown<int8_mma>(c, a, b);
}
inline void int4_mma::multiply(std::int32_t (&c)[2], std::uint32_t const (&a)[1],
                               std::uint32_t const (&b)[1]) {
    detail::multiply_shown<int4_mma>(c, a, b);
}

#endif

}  // namespace qtk::cuda
