// SPDX-License-Identifier: Apache-2.0
//
// How do weights that lie in device memory as files hold them get into the order of the kernels, and
// back? Codes and zero points are fields in some order of bytes; three orders are known, and which
// byte holds a field is one function for all of them:
//
//   rows   a stream of fields: codes of any_qmatrix, row by row, and its zeros
//   gptq   32-bit words [in * bits / 32][out], fields of one output along `in`; zeros the other way
//          round, [groups][out * bits / 32], v1 less one (format/gptq_packing.hpp)
//   awq    32-bit words [in][out / 8], eight outputs in the order 0 2 4 6 1 3 5 7, zeros alike
//          (format/awq_packing.hpp)
//
// Nothing is lost either way; scales are copied as they are, f16 or f32.
#pragma once

#include <qtk/cuda/operand.hpp>
#include <qtk/cuda/quantize_weight.hpp>
#include <qtk/format/levels.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace qtk::cuda {

enum class stored_order : std::uint8_t { rows, gptq, gptq_zeros, awq };

/// Fields [rows, cols] of 4 or 8 bits in bytes; rows are outputs.
struct stored_fields {
    stored_order order = stored_order::rows;
    std::size_t rows = 0, cols = 0;
    int bits = 4;
    bool is_one_stream = false;  ///< order rows: a row does not start a byte of its own

    struct place {
        std::size_t byte = 0;
        std::uint32_t shift = 0;
    };
    struct position {
        std::size_t row = 0, col = 0;
    };

    [[nodiscard]] QTK_HD constexpr std::size_t bytes() const noexcept {
        auto const size = static_cast<std::size_t>(bits);
        if (order != stored_order::rows) return rows * cols * size / 8;
        return is_one_stream ? (rows * cols * size + 7) / 8 : rows * row_bytes();
    }
    /// Where the field of row n and column k lies.
    [[nodiscard]] QTK_HD constexpr place at(std::size_t n, std::size_t k) const noexcept {
        std::size_t const each = 8 / static_cast<std::size_t>(bits), word = 4 * each;  // fields
        std::size_t i = 0, within = 0;  // the word, and the field in it
        switch (order) {
            case stored_order::rows: {
                std::size_t const f = is_one_stream ? n * cols + k : n * row_bytes() * each + k;
                return {f / each,
                        static_cast<std::uint32_t>(f % each) * static_cast<std::uint32_t>(bits)};
            }
            case stored_order::gptq:
                i = k / word * rows + n, within = k % word;
                break;
            case stored_order::gptq_zeros:
                i = k * (rows / word) + n / word, within = n % word;
                break;
            case stored_order::awq:
                i = k * (rows / 8) + n / 8, within = n % 8 / 2 + n % 2 * 4;
                break;
        }
        return {4 * i + within / each,
                static_cast<std::uint32_t>(within % each) * static_cast<std::uint32_t>(bits)};
    }
    /// The field that a byte holds at a shift; it may lie past the matrix where a row or the stream
    /// ends inside the byte.
    [[nodiscard]] QTK_HD constexpr position of(place const& p) const noexcept {
        std::size_t const each = 8 / static_cast<std::size_t>(bits), word = 4 * each;
        std::size_t const slot = p.shift / static_cast<std::uint32_t>(bits);
        std::size_t const i = p.byte / 4, within = p.byte % 4 * each + slot;
        switch (order) {
            case stored_order::rows:
                if (is_one_stream) {
                    std::size_t const f = p.byte * each + slot;
                    return {f / cols, f % cols};
                }
                return {p.byte / row_bytes(), p.byte % row_bytes() * each + slot};
            case stored_order::gptq:
                return {i % rows, i / rows * word + within};
            case stored_order::gptq_zeros:
                return {i % (rows / word) * word + within, i / (rows / word)};
            case stored_order::awq:
                return {i % (rows / 8) * 8 + within % 4 * 2 + within / 4, i / (rows / 8)};
        }
        return {};
    }

  private:
    [[nodiscard]] QTK_HD constexpr std::size_t row_bytes() const noexcept {
        return (cols * static_cast<std::size_t>(bits) + 7) / 8;
    }
};

/// A weight as a file holds it, in device memory.
struct stored_weight {
    std::uint8_t* codes = nullptr;
    std::uint8_t* scales = nullptr;  ///< f16 or f32, as the packed weight has them
    std::uint8_t* zeros = nullptr;   ///< null: symmetric
    stored_fields code_fields, zero_fields;
    bool has_scales_by_group = false;  ///< [groups][out] as checkpoints; else [out][groups]
    bool is_one_scale = false;         ///< a scale a tensor
    std::uint32_t zero_shift = 0;      ///< what a stored zero lacks: 1 in GPTQ's v1
    std::uint32_t filling = 8;         ///< the field of zero, for rows and columns past the matrix
};

/// Codes, scales and zeros of an any_qmatrix of this scheme.
[[nodiscard]] inline stored_weight canonical_weight(scheme const& s, weight_layout const& w,
                                                    std::uint8_t* codes, std::uint8_t* scales,
                                                    std::uint8_t* zeros) {
    bool const is_one_scale = s.grain.rows == 0;
    std::size_t const down = is_one_scale ? 1 : w.rows;
    return {codes,
            scales,
            zeros,
            {stored_order::rows, w.rows, w.cols, w.bits, false},
            {stored_order::rows, down, w.groups(), w.bits, true},
            false,
            is_one_scale,
            0,
            zero_field(s.element)};
}
/// qweight, scales and qzeros of a GPTQ checkpoint without act-order. Throws shape_error where the
/// shape fills no whole words.
[[nodiscard]] inline stored_weight gptq_weight(weight_layout const& w, bool is_v1,
                                               std::uint8_t* qweight, std::uint8_t* scales,
                                               std::uint8_t* qzeros) {
    std::size_t const word = 32 / static_cast<std::size_t>(w.bits);
    if (w.rows % word != 0 || w.cols % word != 0)
        throw shape_error("cuda: gptq: expected rows and columns in multiples of " +
                          std::to_string(word) + ", found " + std::to_string(w.rows) + " x " +
                          std::to_string(w.cols));
    return {qweight,
            scales,
            qzeros,
            {stored_order::gptq, w.rows, w.cols, w.bits, false},
            {stored_order::gptq_zeros, w.rows, w.groups(), w.bits, false},
            true,
            false,
            is_v1 ? 1u : 0u,
            1u << (w.bits - 1)};
}
/// The same of an AWQ checkpoint ("gemm").
[[nodiscard]] inline stored_weight awq_weight(weight_layout const& w, std::uint8_t* qweight,
                                              std::uint8_t* scales, std::uint8_t* qzeros) {
    if (w.rows % 8 != 0 || w.bits != 4)
        throw shape_error("cuda: awq: expected 4 bits and rows in multiples of 8, found " +
                          std::to_string(w.bits) + " bits and " + std::to_string(w.rows) + " rows");
    return {qweight,
            scales,
            qzeros,
            {stored_order::awq, w.rows, w.cols, 4, false},
            {stored_order::awq, w.rows, w.groups(), 4, false},
            true,
            false,
            0,
            8};
}

namespace detail {

/// The field at a place.
[[nodiscard]] __device__ __forceinline__ std::uint32_t load_field(std::uint8_t const* bytes,
                                                                  stored_fields const& f,
                                                                  std::size_t n, std::size_t k) {
    stored_fields::place const p = f.at(n, k);
    return static_cast<std::uint32_t>(bytes[p.byte]) >> p.shift & ((1u << f.bits) - 1);
}

}  // namespace detail

/// Stored codes to packed words: a thread makes a word.
template <unsigned Threads>
__global__ void __launch_bounds__(Threads) repack_codes(stored_weight from, weight_result to) {
    std::size_t const i = std::size_t{blockIdx.x} * Threads + threadIdx.x;
    weight_layout const& w = to.layout;
    if (i >= w.words()) return;
    // The word's first row and column: layout.hpp.
    std::size_t const chunk = i / w.chunk_words(), within = i % w.chunk_words();
    std::size_t const lane = within / 4 % warp_lanes, j = within % 4;
    std::size_t const n = chunk / w.chunks() * tile_rows + lane / 4 +
                          (w.bits == 8 ? within / (4 * warp_lanes) * 8 : 0);
    std::size_t const k = chunk % w.chunks() * chunk_depth + 16 * j + lane % 4 * 4;
    std::uint32_t word = 0;
    for (std::size_t h = 0; h < (w.bits == 8 ? 1 : 2); ++h)
        for (std::size_t e = 0; e < 4; ++e) {
            std::size_t const row = n + 8 * h, col = k + e;
            bool const is_inside = row < w.rows && col < w.cols;
            word |= (is_inside ? detail::load_field(from.codes, from.code_fields, row, col)
                               : from.filling)
                    << w.field(row, col).shift;
        }
    reinterpret_cast<std::uint32_t*>(to.words)[i] = word;
}

/// Stored scales and zeros to packed ones, a thread each; those of rows past the matrix are zero.
template <unsigned Threads>
__global__ void __launch_bounds__(Threads) repack_params(stored_weight from, weight_result to) {
    std::size_t const i = std::size_t{blockIdx.x} * Threads + threadIdx.x;
    weight_layout const& w = to.layout;
    if (i >= w.params()) return;
    std::size_t const n = i / (w.groups() * tile_rows) * tile_rows + i % tile_rows / 2 + i % 2 * 8;
    std::size_t const q = i / tile_rows % w.groups();
    bool const is_inside = n < w.rows;
    std::size_t const down = from.is_one_scale ? 0 : n;
    std::size_t const at = from.has_scales_by_group ? q * w.rows + n : down * w.groups() + q;
    if (to.scale_type == number::f32)
        static_cast<std::uint32_t*>(to.scales)[i] =
            is_inside ? reinterpret_cast<std::uint32_t const*>(from.scales)[at] : 0u;
    else
        static_cast<std::uint16_t*>(to.scales)[i] =
            is_inside ? reinterpret_cast<std::uint16_t const*>(from.scales)[at] : std::uint16_t{0};
    if (to.zeros == nullptr) return;
    std::uint32_t const stored =
        is_inside ? detail::load_field(from.zeros, from.zero_fields, down, q) + from.zero_shift
                  : 0u;
    to.zeros[i] = static_cast<std::uint8_t>(stored & ((1u << w.bits) - 1));
}

/// Packed words to stored codes: a thread makes a byte.
template <unsigned Threads>
__global__ void __launch_bounds__(Threads) restore_codes(weight_operand from, stored_weight to) {
    std::size_t const i = std::size_t{blockIdx.x} * Threads + threadIdx.x;
    stored_fields const& f = to.code_fields;
    if (i >= f.bytes()) return;
    std::uint32_t byte = 0;
    for (std::uint32_t shift = 0; shift < 8; shift += static_cast<std::uint32_t>(f.bits)) {
        auto const [n, k] = f.of({i, shift});
        if (n >= f.rows || k >= f.cols) continue;
        bit_place const at = from.layout.field(n, k);
        byte |= (reinterpret_cast<std::uint32_t const*>(from.words)[at.word] >> at.shift &
                 ((1u << f.bits) - 1))
                << shift;
    }
    to.codes[i] = static_cast<std::uint8_t>(byte);
}

/// Packed scales to stored ones, a thread each, and zeros, a thread a byte.
template <unsigned Threads>
__global__ void __launch_bounds__(Threads) restore_params(weight_operand from, stored_weight to) {
    std::size_t const i = std::size_t{blockIdx.x} * Threads + threadIdx.x;
    weight_layout const& w = from.layout;
    std::size_t const down = to.is_one_scale ? 1 : w.rows;
    if (i < down * w.groups()) {
        std::size_t const n = to.has_scales_by_group ? i % w.rows : i / w.groups();
        std::size_t const q = to.has_scales_by_group ? i / w.rows : i % w.groups();
        if (from.scale_type == number::f32)
            reinterpret_cast<std::uint32_t*>(to.scales)[i] =
                static_cast<std::uint32_t const*>(from.scales)[w.param(n, q)];
        else
            reinterpret_cast<std::uint16_t*>(to.scales)[i] =
                static_cast<std::uint16_t const*>(from.scales)[w.param(n, q)];
    }
    stored_fields const& f = to.zero_fields;
    if (from.zeros == nullptr || i >= f.bytes()) return;
    std::uint32_t byte = 0;
    for (std::uint32_t shift = 0; shift < 8; shift += static_cast<std::uint32_t>(f.bits)) {
        auto const [n, q] = f.of({i, shift});
        if (n >= f.rows || q >= f.cols) continue;
        byte |= ((from.zeros[w.param(n, q)] - to.zero_shift) & ((1u << f.bits) - 1)) << shift;
    }
    to.zeros[i] = static_cast<std::uint8_t>(byte);
}

namespace detail {

inline void require_stored(stored_weight const& stored, weight_layout const& w, bool has_zeros) {
    if (stored.code_fields.rows != w.rows || stored.code_fields.cols != w.cols ||
        stored.code_fields.bits != w.bits)
        throw shape_error("cuda: repack: expected stored codes of " + std::to_string(w.rows) +
                          " x " + std::to_string(w.cols) + " and " + std::to_string(w.bits) +
                          " bits, found " + std::to_string(stored.code_fields.rows) + " x " +
                          std::to_string(stored.code_fields.cols) + " and " +
                          std::to_string(stored.code_fields.bits));
    if (has_zeros != (stored.zeros != nullptr))
        throw value_error("cuda: repack: zero points on one side alone");
}

}  // namespace detail

/// Stored to packed, on the device. Throws shape_error or value_error for what does not fit.
inline void launch_repack(stored_weight const& from, weight_result const& to, cudaStream_t stream) {
    require_weight("repack", to.operand(), to.layout.bits == 8 ? 8 : 4);
    detail::require_stored(from, to.layout, to.zeros != nullptr);
    constexpr unsigned threads = 128;
    auto const blocks = [](std::size_t n) {
        return dim3(static_cast<unsigned>(div_ceil(n, std::size_t{threads})));
    };
    launch("repack_codes", repack_codes<threads>, blocks(to.layout.words()), dim3(threads), 0,
           stream, from, to);
    launch("repack_params", repack_params<threads>, blocks(to.layout.params()), dim3(threads), 0,
           stream, from, to);
}

/// Packed to stored: what was repacked, bit for bit.
inline void launch_restore(weight_operand const& from, stored_weight const& to,
                           cudaStream_t stream) {
    require_weight("restore", from, from.layout.bits == 8 ? 8 : 4);
    detail::require_stored(to, from.layout, from.zeros != nullptr);
    constexpr unsigned threads = 128;
    auto const blocks = [](std::size_t n) {
        return dim3(static_cast<unsigned>(div_ceil(n, std::size_t{threads})));
    };
    launch("restore_codes", restore_codes<threads>, blocks(to.code_fields.bytes()), dim3(threads),
           0, stream, from, to);
    launch("restore_params", restore_params<threads>,
           blocks(from.layout.rows * from.layout.groups() + to.zero_fields.bytes()), dim3(threads),
           0, stream, from, to);
}

}  // namespace qtk::cuda
