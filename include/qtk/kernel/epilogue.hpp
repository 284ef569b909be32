// SPDX-License-Identifier: Apache-2.0
//
// What happens to a finished sum on its way to memory? y = f(sum + bias) + residual, as f32 or
// bf16, while the sums of a panel are still in the cache.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/half.hpp>
#include <qtk/kernel/activation.hpp>
#include <qtk/kernel/packed_layout.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace qtk {

/// Each part may be left out.
struct epilogue {
    std::span<float const> bias = {};         ///< [out]
    std::optional<activation> function = {};  ///< f of (sum + bias)
    matrix_view<float const> residual = {};   ///< [m, out], added last; may be the result itself

    [[nodiscard]] constexpr bool is_plain() const noexcept {
        return bias.empty() && !function && residual.data == nullptr;
    }
};

/// A matrix of f32 or bf16 that a kernel reads; rows `stride` elements apart.
struct input_rows {
    void const* data = nullptr;
    std::size_t rows = 0, cols = 0, stride = 0;
    bool is_bf16 = false;

    input_rows(matrix_view<float const> x) noexcept
        : data(x.data), rows(x.rows), cols(x.cols), stride(x.stride) {}
    input_rows(matrix_view<bf16_value const> x) noexcept
        : data(x.data), rows(x.rows), cols(x.cols), stride(x.stride), is_bf16(true) {}

    /// Row r as floats: in place, or converted into `scratch` of cols floats.
    [[nodiscard]] float const* row(std::size_t r, float* scratch) const noexcept {
        if (!is_bf16) return static_cast<float const*>(data) + r * stride;
        auto const* const from = static_cast<bf16_value const*>(data) + r * stride;
        for (std::size_t i = 0; i < cols; ++i) scratch[i] = static_cast<float>(from[i]);
        return scratch;
    }
};

/// Where results go.
struct output_rows {
    void* data = nullptr;
    std::size_t rows = 0, cols = 0, stride = 0;
    bool is_bf16 = false;
    epilogue end = {};

    output_rows(matrix_view<float> y) noexcept
        : data(y.data), rows(y.rows), cols(y.cols), stride(y.stride) {}
    output_rows(matrix_view<bf16_value> y) noexcept
        : data(y.data), rows(y.rows), cols(y.cols), stride(y.stride), is_bf16(true) {}

    /// May the sums of whole panels be written as they are?
    [[nodiscard]] bool is_plain_f32() const noexcept { return !is_bf16 && end.is_plain(); }
    [[nodiscard]] float* f32(std::size_t row, std::size_t col) const noexcept {
        return static_cast<float*>(data) + row * stride + col;
    }
};

inline namespace QTK_ABI_NS {

/// Writes the sums c [count][32] of panel p, rows first..first + count of the result, through the
/// epilogue. c is used up.
inline void write_panel(float* c, std::size_t count, std::size_t first, std::size_t p,
                        output_rows const& to) noexcept {
    std::size_t const left = p * panel_columns, width = std::min(panel_columns, to.cols - left);
    for (std::size_t r = 0; r < count; ++r) {
        float* const sums = c + r * panel_columns;
        std::size_t const row = first + r;
        if (!to.end.bias.empty())
            for (std::size_t i = 0; i < width; ++i) sums[i] += to.end.bias[left + i];
        if (to.end.function) activate(*to.end.function, {sums, width});
        if (to.end.residual.data != nullptr) {
            float const* const other = to.end.residual.data + row * to.end.residual.stride + left;
            for (std::size_t i = 0; i < width; ++i) sums[i] += other[i];
        }
        if (to.is_bf16) {
            auto* const y = static_cast<bf16_value*>(to.data) + row * to.stride + left;
            for (std::size_t i = 0; i < width; ++i) y[i] = bf16_value(sums[i]);
        } else {
            std::memcpy(to.f32(row, left), sums, width * sizeof(float));
        }
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
