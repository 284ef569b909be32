// SPDX-License-Identifier: Apache-2.0
//
// What is handed to a kernel? Pointers into device memory with their shapes; nothing is owned. The
// epilogue is that of the CPU: y = f(sum + bias) + residual, as halves or floats.
#pragma once

#include <qtk/cuda/convert.hpp>
#include <qtk/cuda/device.hpp>
#include <qtk/cuda/layout.hpp>
#include <qtk/kernel/activation.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

namespace qtk::cuda {

enum class number : std::uint8_t { f16, f32 };

/// Floats or halves in device memory, rows `stride` elements apart.
struct numbers_in {
    void const* data = nullptr;
    std::size_t stride = 0;
    number type = number::f16;

    [[nodiscard]] __device__ __forceinline__ float load(std::size_t row, std::size_t col) const {
        std::size_t const i = row * stride + col;
        return type == number::f32 ? static_cast<float const*>(data)[i]
                                   : half_bits_to_float(static_cast<std::uint16_t const*>(data)[i]);
    }
};

/// A packed weight in device memory.
struct weight_operand {
    uint4 const* words = nullptr;
    void const* scales = nullptr;
    std::uint8_t const* zeros = nullptr;  ///< null: symmetric
    weight_layout layout = {};
    number scale_type = number::f16;

    /// Where the pair of parameters of rows g and g + 8 of a tile lies for column k; `groups` is
    /// layout.groups(). In 32 bits: devices divide 64 bits with a hundred instructions.
    [[nodiscard]] __device__ __forceinline__ unsigned pair_at(unsigned tile, unsigned groups,
                                                              unsigned k, unsigned g) const {
        return (tile * groups + k / static_cast<unsigned>(layout.group)) * 8 + g;
    }
    /// Scales of rows g and g + 8 of a tile; `at` counts pairs.
    __device__ __forceinline__ void load_scales(unsigned at, float (&scale)[2]) const {
        if (scale_type == number::f32) {
            uint2 const both = __ldg(static_cast<uint2 const*>(scales) + at);
            scale[0] = bit_cast<float>(both.x), scale[1] = bit_cast<float>(both.y);
        } else {
            std::uint32_t const both = __ldg(static_cast<std::uint32_t const*>(scales) + at);
            scale[0] = half_bits_to_float(static_cast<std::uint16_t>(both));
            scale[1] = half_bits_to_float(static_cast<std::uint16_t>(both >> 16));
        }
    }
    /// Zeros of rows g and g + 8; the middle of the fields where weights are symmetric.
    __device__ __forceinline__ void load_zeros(unsigned at, std::uint32_t (&zero)[2]) const {
        zero[0] = zero[1] = 1u << (layout.bits - 1);
        if (zeros == nullptr) return;
        std::uint16_t const both = __ldg(reinterpret_cast<std::uint16_t const*>(zeros) + at);
        zero[0] = both & 0xffu, zero[1] = both >> 8;
    }
};

/// What a launch asks of its operand. Throws value_error.
inline void require_weight(char const* kernel, weight_operand const& w, int bits) {
    auto const refuse = [&](std::string const& what) {
        throw value_error(std::string("cuda: ") + kernel + ": " + what);
    };
    if (w.layout.bits != bits)
        refuse("expected weights of " + std::to_string(bits) + " bits, found " +
               std::to_string(w.layout.bits));
    if (w.layout.group % 32 != 0 && w.layout.groups() > 1)
        refuse("expected groups of a multiple of 32 columns, found " +
               std::to_string(w.layout.group));
    if (w.words == nullptr || reinterpret_cast<std::uintptr_t>(w.words) % 16 != 0)
        refuse("expected packed weights at a multiple of 16 bytes. Hint: cudaMalloc gives 256");
    if (w.layout.words() / 4 > 0xffffffffu || w.layout.params() > 0xffffffffu)
        refuse("a weight of " + std::to_string(w.layout.rows) + " x " +
               std::to_string(w.layout.cols) + " is too large for indices of 32 bits");
    if (w.scales == nullptr || reinterpret_cast<std::uintptr_t>(w.scales) % 8 != 0)
        refuse("expected scales at a multiple of 8 bytes");
}

/// Each part may be left out: null data.
struct device_epilogue {
    numbers_in bias = {};      ///< [rows of W]
    numbers_in residual = {};  ///< [m, rows of W], added last
    activation function = activation::relu;
    bool has_function = false;

    [[nodiscard]] __device__ __forceinline__ float apply(float sum, std::size_t row,
                                                         std::size_t col) const {
        if (bias.data != nullptr) sum += bias.load(0, col);
        if (has_function) sum = bent(function, sum);
        if (residual.data != nullptr) sum += residual.load(row, col);
        return sum;
    }

  private:
    [[nodiscard]] static __device__ __forceinline__ float bent(activation kind, float v) {
        switch (kind) {
            case activation::gelu_tanh:
                return v / (1.0f + expf(-1.5957691216f * (v + 0.044715f * v * v * v)));
            case activation::gelu_erf:
                return 0.5f * v * erfcf(-0.70710678118f * v);
            case activation::silu:
                return v / (1.0f + expf(-v));
            case activation::relu:
                return v < 0.0f ? 0.0f : v;
        }
        return v;
    }
};

/// Where results go: [m, rows of W].
struct result_operand {
    void* data = nullptr;
    std::size_t stride = 0;
    number type = number::f16;
    device_epilogue end = {};

    __device__ __forceinline__ void store(std::size_t row, std::size_t col, float sum) const {
        float const value = end.apply(sum, row, col);
        std::size_t const i = row * stride + col;
        if (type == number::f32)
            static_cast<float*>(data)[i] = value;
        else
            static_cast<std::uint16_t*>(data)[i] = float_to_half_bits(value);
    }
};

/// Weights of 4 bits and rows of halves: what skinny_w4a16 and gemm_w4a16 multiply.
struct half_arguments {
    weight_operand w;
    std::uint16_t const* x = nullptr;  ///< halves [m][x_stride]
    std::size_t x_stride = 0;
    std::size_t m = 0;
    result_operand y;
    bool has_levels = false;  ///< a codebook
    level_bytes levels = {};

    /// Do rows of X start on 8 bytes?
    [[nodiscard]] QTK_HD bool is_aligned() const {
        return x_stride % 4 == 0 && reinterpret_cast<std::uintptr_t>(x) % 8 == 0;
    }
    /// May columns of a chunk be loaded four at a time? All are there, and rows are aligned.
    [[nodiscard]] QTK_HD bool is_whole(unsigned chunk) const {
        return (chunk + 1) * chunk_depth <= w.layout.cols && is_aligned();
    }
};

/// Calls `f.operator()<Table>()` as the weights are a codebook or integers.
template <typename F>
void with_table(half_arguments const& a, F f) {
    if (a.has_levels)
        f.template operator()<true>();
    else
        f.template operator()<false>();
}

namespace detail {

/// Columns k..k + 3 of a row that is cut anywhere, those past the matrix zero.
[[nodiscard]] __device__ __forceinline__ uint2 gather_four(std::uint16_t const* row, unsigned k,
                                                           unsigned cols) {
    std::uint32_t word[2] = {0, 0};
    for (unsigned e = 0; e < 4; ++e)
        if (k + e < cols) word[e / 2] |= std::uint32_t{__ldg(row + k + e)} << (16 * (e % 2));
    return {word[0], word[1]};
}

/// What lane t of a quad multiplies of one row of a chunk: columns 16j + 4t + e. Four lanes read 32
/// neighbouring bytes at a time. Rows past the last are zero.
__device__ __forceinline__ void load_quarter(half_arguments const& a, unsigned row, unsigned chunk,
                                             unsigned t, bool is_whole, uint2 (&to)[4]) {
    QTK_CUDA_UNROLL
    for (unsigned j = 0; j < 4; ++j) to[j] = {0, 0};
    if (row >= a.m) return;
    std::uint16_t const* const from = a.x + row * a.x_stride;
    unsigned const k = chunk * static_cast<unsigned>(chunk_depth) + 4 * t;
    if (is_whole) {
        QTK_CUDA_UNROLL
        for (unsigned j = 0; j < 4; ++j)
            to[j] = __ldg(reinterpret_cast<uint2 const*>(from + k + 16 * j));
    } else {
        QTK_CUDA_UNROLL
        for (unsigned j = 0; j < 4; ++j)
            to[j] = gather_four(from, k + 16 * j, static_cast<unsigned>(a.w.layout.cols));
    }
}

}  // namespace detail

}  // namespace qtk::cuda
