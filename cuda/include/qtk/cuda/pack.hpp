// SPDX-License-Identifier: Apache-2.0
//
// From canonical codes to the order of the T4's kernels and back, on the host and without loss. A
// packed weight is three arrays that are copied to the device as they are; layout.hpp says where
// everything lies.
#pragma once

#include <qtk/cuda/layout.hpp>
#include <qtk/format/qmatrix.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace qtk::cuda {

/// Packed weights in host memory.
struct host_weight {
    qtk::scheme scheme;
    weight_layout layout;
    std::vector<std::uint32_t> words;
    std::vector<std::uint8_t> scales;  ///< f16 or f32, by scheme.scale
    std::vector<std::uint8_t> zeros;   ///< fields, one byte each; empty for symmetric schemes
};

/// Why the kernels of the T4 do not take a scheme, as a sentence; null for one that they take.
[[nodiscard]] constexpr char const* unsupported_reason(scheme const& s) noexcept {
    if (char const* fault = fault_of(s)) return fault;
    bool const is_table = !s.element.is_integer();
    if (s.element.bits != 4 && s.element.bits != 8)
        return "the T4's kernels take 4 and 8 bits. Hint: qtk::gemm multiplies the others on the "
               "CPU";
    if (is_table && s.element.bits != 4) return "the T4's kernels take no minifloats of 8 bits";
    if (s.scale != scale_type::f32 && s.scale != scale_type::f16)
        return "the T4's kernels take scales of f16 and f32";
    if (s.grain.rows > 1) return "the T4's kernels take no blocks of several rows";
    if (s.grain.cols > 0 && s.grain.cols % 32 != 0)
        return "the T4's kernels take groups of a multiple of 32 columns, one scale a channel, and "
               "one scale a tensor";
    return nullptr;
}

namespace detail {

inline void require_supported(scheme const& s) {
    if (char const* reason = unsupported_reason(s))
        throw value_error("cuda: " + to_string(s) + ": " + reason);
}

/// The group of a layout: a tensor's one scale is repeated for every row.
[[nodiscard]] inline std::size_t group_of(scheme const& s, std::size_t cols) noexcept {
    std::size_t const whole = cols > 0 ? cols : 1;
    return s.grain.cols > 0 ? static_cast<std::size_t>(s.grain.cols) : whole;
}

}  // namespace detail

/// Throws value_error for a scheme that the kernels do not take.
[[nodiscard]] inline host_weight pack(any_qmatrix const& q) {
    scheme const s = q.scheme();
    detail::require_supported(s);
    weight_layout const w{q.rows(), q.cols(), detail::group_of(s, q.cols()), s.element.bits};
    std::size_t const scale_size = scale_bytes(s.scale);
    host_weight packed{s, w, {}, {}, {}};
    packed.words.resize(w.words());
    packed.scales.resize(checked_mul(w.params(), scale_size));
    packed.zeros.resize(s.has_zero_point() ? w.params() : 0);
    std::uint8_t const filling = zero_field(s.element);
    for (std::size_t n = 0; n < w.tiles() * tile_rows; ++n)
        for (std::size_t k = 0; k < w.chunks() * chunk_depth; ++k) {
            bool const is_inside = n < w.rows && k < w.cols;
            bit_place const at = w.field(n, k);
            packed.words[at.word] |= std::uint32_t{is_inside ? q.field(n, k) : filling} << at.shift;
        }
    for (std::size_t n = 0; n < w.rows; ++n)
        for (std::size_t g = 0; g < w.groups(); ++g) {
            std::size_t const down = q.grid().down == 1 ? 0 : n;
            tile_params const p = q.params(down, g);
            std::uint32_t const pattern = store_scale(s.scale, p.scale);
            std::size_t const to = w.param(n, g);
            for (std::size_t b = 0; b < scale_size; ++b)
                packed.scales[to * scale_size + b] = static_cast<std::uint8_t>(pattern >> (8 * b));
            if (!packed.zeros.empty()) packed.zeros[to] = static_cast<std::uint8_t>(p.zero);
        }
    return packed;
}

/// What pack was given. Throws shape_error if an array has the wrong size.
[[nodiscard]] inline any_qmatrix unpack(host_weight const& packed) {
    scheme const& s = packed.scheme;
    detail::require_supported(s);
    weight_layout const& w = packed.layout;
    std::size_t const scale_size = scale_bytes(s.scale);
    if (packed.words.size() != w.words() || packed.scales.size() != w.params() * scale_size ||
        packed.zeros.size() != (s.has_zero_point() ? w.params() : 0))
        throw shape_error("cuda: packed " + to_string(s) + " [" + std::to_string(w.rows) + ", " +
                          std::to_string(w.cols) + "]: expected " + std::to_string(w.words()) +
                          " words and " + std::to_string(w.params()) + " scales, found " +
                          std::to_string(packed.words.size()) + " and " +
                          std::to_string(packed.scales.size() / scale_size));
    any_qmatrix q(s, w.rows, w.cols);
    std::vector<std::uint8_t> fields(w.cols);
    std::uint32_t const mask = (1u << s.element.bits) - 1;
    for (std::size_t n = 0; n < w.rows; ++n) {
        for (std::size_t k = 0; k < w.cols; ++k) {
            bit_place const at = w.field(n, k);
            fields[k] = static_cast<std::uint8_t>(packed.words[at.word] >> at.shift & mask);
        }
        q.set_row(n, fields);
    }
    std::vector<tile_params> params(q.grid().count());
    for (std::size_t i = 0; i < q.grid().down; ++i)
        for (std::size_t g = 0; g < q.grid().across; ++g) {
            std::size_t const from = w.param(i, g);
            std::uint32_t pattern = 0;
            for (std::size_t b = 0; b < scale_size; ++b)
                pattern |= std::uint32_t{packed.scales[from * scale_size + b]} << (8 * b);
            params[i * q.grid().across + g] = {
                load_scale(s.scale, pattern),
                packed.zeros.empty() ? symmetric_zero(s.element) : packed.zeros[from]};
        }
    q.set_params(params);
    return q;
}

}  // namespace qtk::cuda
