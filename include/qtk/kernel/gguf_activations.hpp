// SPDX-License-Identifier: Apache-2.0
//
// How do activations lie when they meet GGUF blocks? The blocks stay as they are in the file, so the
// activations come to them: a vector instruction that multiplies four neighbouring bytes should find
// in each of its 16 lanes values that share one scale.
//
// A row of weights is cut into chunks, which are filled up with zeros. A chunk has `steps` times 16
// lanes of 16 values ("pieces"); lane 4 L + p, L and p in 0..3, holds at step t the values from
//
//   q4_0   512 values, 2 steps   32 (4 p + L) + 16 t
//   q8_0   256 values, 1 step    32 (2 p + L / 2) + 16 (L mod 2)
//   q4_K  1024 values, 4 steps   256 p + 128 (t / 2) + 64 (L / 2) + 32 (t mod 2) + 16 (L mod 2)
//   q6_K  1024 values, 4 steps   256 p + 64 t + 16 L
//
// on: a lane stays within one block. A row of activations is one record a chunk after the other:
//
//   int8  code[steps][4][16 lanes][4]   code = round_half_even(x / scale), scale = max|x| / 127
//   int32 sum[..][16 lanes]             what folds away the offsets of fields: -8, -128, 1 and -32
//                                       times the sum of a piece (q4_0: of both steps)
//   f32   scale[16 lanes]               of the lane's block (32 or 256 values); 1 where a row shares one
#pragma once

#include <qtk/core/nonfinite.hpp>
#include <qtk/format/gguf_blocks.hpp>
#include <qtk/kernel/quantized_rows.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace qtk {

inline constexpr std::size_t gguf_lanes = 16, gguf_piece = 16;

/// Can blocks of the type be multiplied with int8 activations?
[[nodiscard]] constexpr bool has_int8_kernel(gguf_type type) noexcept {
    return type == gguf_type::q4_0 || type == gguf_type::q8_0 || type == gguf_type::q4_K ||
           type == gguf_type::q6_K;
}

/// The shape of a chunk.
struct gguf_chunk {
    std::size_t values = 0, steps = 0, sums = 0, block = 0;
    std::int32_t offset = 0;  ///< of the sums

    [[nodiscard]] constexpr std::size_t codes_bytes() const noexcept { return values; }
    [[nodiscard]] constexpr std::size_t sums_at() const noexcept { return values; }
    [[nodiscard]] constexpr std::size_t scales_at() const noexcept { return values + 64 * sums; }
    [[nodiscard]] constexpr std::size_t record() const noexcept { return scales_at() + 64; }
};
/// Of a type with an int8 kernel; of q6_K for others.
[[nodiscard]] constexpr gguf_chunk chunk_of(gguf_type type) noexcept {
    switch (type) {
        case gguf_type::q4_0:
            return {.values = 512, .steps = 2, .sums = 1, .block = 32, .offset = -8};
        case gguf_type::q8_0:
            return {.values = 256, .steps = 1, .sums = 1, .block = 32, .offset = -128};
        case gguf_type::q4_K:
            return {.values = 1024, .steps = 4, .sums = 4, .block = 256, .offset = 1};
        default:
            break;
    }
    return {.values = 1024, .steps = 4, .sums = 4, .block = 256, .offset = -32};
}
inline constexpr std::size_t longest_gguf_chunk = 1024;

/// The first value, within its chunk, of lane `lane` at step t.
[[nodiscard]] constexpr std::size_t piece_of(gguf_type type, std::size_t t,
                                             std::size_t lane) noexcept {
    std::size_t const l = lane / 4, p = lane % 4;
    switch (type) {
        case gguf_type::q4_0:
            return 32 * (4 * p + l) + 16 * t;
        case gguf_type::q8_0:
            return 32 * (2 * p + l / 2) + 16 * (l % 2);
        case gguf_type::q4_K:
            return 256 * p + 128 * (t / 2) + 64 * (l / 2) + 32 * (t % 2) + 16 * (l % 2);
        default:
            break;
    }
    return 256 * p + 64 * t + 16 * l;
}

/// Rows of activations as above; borrows its parts.
struct gguf_activations {
    std::uint8_t* records = nullptr;  // [rows][chunks] records, on cache lines
    float* row_scales = nullptr;      // [rows]; 1 where groups have their own
    std::size_t rows = 0, cols = 0, chunks = 0;
    gguf_type type = gguf_type::q4_0;
    gguf_chunk chunk;
    activation_scale sharing = activation_scale::segment;
    float fixed_scale = 1.0f;

    [[nodiscard]] std::uint8_t* record(std::size_t row, std::size_t c) const noexcept {
        return records + (row * chunks + c) * chunk.record();
    }
    [[nodiscard]] std::int8_t const* codes(std::size_t row, std::size_t c) const noexcept {
        return reinterpret_cast<std::int8_t const*>(record(row, c));
    }
    [[nodiscard]] std::int32_t* sums(std::size_t row, std::size_t c) const noexcept {
        return reinterpret_cast<std::int32_t*>(record(row, c) + chunk.sums_at());
    }
    [[nodiscard]] float* scales(std::size_t row, std::size_t c) const noexcept {
        return reinterpret_cast<float*>(record(row, c) + chunk.scales_at());
    }
};

/// Bytes that activations for `w` need; overflow throws.
[[nodiscard]] inline std::size_t gguf_activation_bytes(std::size_t rows, gguf_view const& w) {
    gguf_chunk const chunk = chunk_of(w.type);
    std::size_t const row = checked_mul(div_ceil(w.cols, chunk.values), chunk.record());
    return checked_add(checked_mul(rows, row), checked_mul(rows, sizeof(float)));
}
/// The same laid out in `storage`, which starts on a cache line.
[[nodiscard]] inline gguf_activations gguf_activations_in(std::uint8_t* storage, std::size_t rows,
                                                          gguf_view const& w,
                                                          activation_scale sharing,
                                                          float fixed_scale) noexcept {
    gguf_activations x;
    x.type = w.type;
    x.chunk = chunk_of(w.type);
    x.rows = rows;
    x.cols = w.cols;
    x.chunks = div_ceil(w.cols, x.chunk.values);
    x.records = storage;
    x.row_scales = reinterpret_cast<float*>(storage + rows * x.chunks * x.chunk.record());
    x.sharing = sharing;
    x.fixed_scale = fixed_scale;
    return x;
}

namespace detail {

/// n codes of one scale; zeros if it is NaN.
inline void quantize_codes_scalar(float const* x, std::size_t n, float scale,
                                  std::int8_t* codes) noexcept {
    if (!(scale == scale)) {
        std::memset(codes, 0, n);
        return;
    }
    for (std::size_t i = 0; i < n; ++i) {
        float v = x[i] / scale;
        v = v < 127.0f ? v : 127.0f;
        v = v > -127.0f ? v : -127.0f;
        codes[i] = static_cast<std::int8_t>(static_cast<std::int32_t>(round_half_even(v)));
    }
}

/// Codes of a chunk in the order of x to the lanes, and their sums.
inline void place_codes_scalar(std::int8_t const* codes, std::size_t row, std::size_t c,
                               gguf_activations const& to) noexcept {
    std::uint8_t* const lanes = to.record(row, c);
    std::int32_t* const sums = to.sums(row, c);
    std::memset(sums, 0, to.chunk.sums * gguf_lanes * sizeof(std::int32_t));
    for (std::size_t t = 0; t < to.chunk.steps; ++t)
        for (std::size_t lane = 0; lane < gguf_lanes; ++lane) {
            std::int8_t const* const piece = codes + piece_of(to.type, t, lane);
            for (std::size_t j = 0; j < 4; ++j)
                std::memcpy(lanes + (4 * t + j) * 64 + 4 * lane, piece + 4 * j, 4);
            std::int32_t sum = 0;
            for (std::size_t i = 0; i < gguf_piece; ++i) sum += piece[i];
            sums[(to.chunk.sums == 1 ? 0 : t) * gguf_lanes + lane] += sum * to.chunk.offset;
        }
}

}  // namespace detail

/// What quantizing row `row` means: x is its cols floats.
inline void quantize_gguf_row_scalar(float const* x, std::size_t row,
                                     gguf_activations const& to) noexcept {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    auto const scale_for = [](float const* from, std::size_t n) {
        float const largest = detail::largest_bits(from, n);
        return is_nonfinite(largest) ? nan : int8_scale(largest);
    };
    bool const is_shared = to.sharing != activation_scale::segment;
    float shared = is_shared ? scale_for(x, to.cols) : 1.0f;
    if (to.sharing == activation_scale::fixed && shared == shared) shared = to.fixed_scale;
    to.row_scales[row] = shared;
    std::array<std::int8_t, longest_gguf_chunk> codes;
    for (std::size_t c = 0; c < to.chunks; ++c) {
        std::size_t const first = c * to.chunk.values;
        std::size_t const count = std::min(to.chunk.values, to.cols - first);
        std::memset(codes.data() + count, 0, to.chunk.values - count);
        std::array<float, longest_gguf_chunk / 32> scales;
        scales.fill(1.0f);
        for (std::size_t k = 0; k < count; k += to.chunk.block) {
            float const own = is_shared ? shared : scale_for(x + first + k, to.chunk.block);
            detail::quantize_codes_scalar(x + first + k, to.chunk.block, own, codes.data() + k);
            if (!is_shared) scales[k / to.chunk.block] = own;
        }
        detail::place_codes_scalar(codes.data(), row, c, to);
        float* const lanes = to.scales(row, c);
        for (std::size_t lane = 0; lane < gguf_lanes; ++lane)
            lanes[lane] = scales[piece_of(to.type, 0, lane) / to.chunk.block];
    }
}

static_assert(
    [] {
        // Every value of a chunk lies in one place, and a lane within one block.
        for (gguf_type const type :
             {gguf_type::q4_0, gguf_type::q8_0, gguf_type::q4_K, gguf_type::q6_K}) {
            gguf_chunk const chunk = chunk_of(type);
            std::array<bool, longest_gguf_chunk / gguf_piece> seen{};
            for (std::size_t t = 0; t < chunk.steps; ++t)
                for (std::size_t lane = 0; lane < gguf_lanes; ++lane) {
                    std::size_t const at = piece_of(type, t, lane);
                    if (seen[at / gguf_piece] || at >= chunk.values ||
                        at / chunk.block != piece_of(type, 0, lane) / chunk.block)
                        return false;
                    seen[at / gguf_piece] = true;
                }
            if (chunk.steps * gguf_lanes * gguf_piece != chunk.values) return false;
        }
        return true;
    }(),
    "the table above");

}  // namespace qtk
