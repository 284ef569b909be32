// SPDX-License-Identifier: Apache-2.0
//
// In which form does the weight [out, in] of a layer lie in memory, and how is it multiplied?
//
//   floats     as they are, or what a scheme left of them; owned, or shared by copies
//   codes      a quantized matrix; its rows are decoded and multiplied as floats
//   packed     codes in the order of the fast kernels, which may round the activations on the way
//   blocks     as a file holds it (GGUF's types), borrowed from the mapped file
//   simulated  decoded floats and activations rounded in floats: what `packed` computes, by the rules
//              and without its kernels
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/gguf_blocks.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/gemm.hpp>
#include <qtk/kernel/gemv.hpp>
#include <qtk/kernel/gguf_float.hpp>
#include <qtk/kernel/gguf_product.hpp>
#include <qtk/kernel/llm_int8.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/rounded_activations.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

/// A quantized weight in the order of the fast kernels. Copies of a layer share one.
struct packed_weight {
    packed_matrix weight;
    layer_activations activations;
    /// What codes of activations less their center lack: scale * center * (row sums of the weight), one
    /// value an output; none where the center is 0.
    std::vector<float> center_share = {};
    /// Columns of activations seen by LLM.int8(), and how many were outliers.
    mutable std::atomic<std::uint64_t> columns{0}, outliers{0};
};

/// Blocks of a file and what keeps them in memory.
struct stored_weight {
    gguf_view blocks;
    std::shared_ptr<void const> owner;
    activation_type activations = activation_type::f32;
    /// Lets the system take back the memory behind bytes of a mapped file, which can be read again; null:
    /// they lie in memory alone.
    void (*release)(void const* owner, std::span<std::uint8_t const> bytes) noexcept = nullptr;

    void release_pages() const noexcept {
        if (release != nullptr) release(owner.get(), blocks.bytes);
    }
};

struct simulated_weight {
    matrix weight;
    qtk::scheme scheme;  ///< whose groups the scales of the activations follow
    layer_activations activations;
};

class weight_matrix {
  public:
    using form = std::variant<matrix, any_qmatrix, std::shared_ptr<packed_weight const>,
                              stored_weight, simulated_weight, std::shared_ptr<matrix const>>;

    weight_matrix() = default;
    /// Throws shape_error or value_error for blocks whose bytes are not those of their shape.
    template <typename T>
    requires std::constructible_from<form, T> weight_matrix(T weight) : form_(std::move(weight)) {
        if (auto const* const stored = find<stored_weight>()) require_gguf(stored->blocks);
        std::visit([this](auto const& w) { this->set_shape(w); }, form_);
    }

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
    /// A matrix is found whether it is owned or shared.
    template <typename T>
    [[nodiscard]] T const* find() const noexcept {
        if constexpr (std::same_as<T, matrix>)
            if (auto const* const shared = std::get_if<std::shared_ptr<matrix const>>(&form_))
                return shared->get();
        return std::get_if<T>(&form_);
    }
    /// Gives the codes away; throws value_error if there are none.
    [[nodiscard]] any_qmatrix take_codes() && {
        if (auto* const codes = std::get_if<any_qmatrix>(&form_)) return std::move(*codes);
        throw value_error("the weight is not made of codes");
    }
    [[nodiscard]] packed_weight const* packed() const noexcept {
        auto const* const shared = find<std::shared_ptr<packed_weight const>>();
        return shared != nullptr ? shared->get() : nullptr;
    }

    /// In memory, scales and padding counted: what one row of activations has to read.
    [[nodiscard]] std::size_t bytes() const noexcept {
        if (auto const* const codes = find<any_qmatrix>()) return codes->bytes();
        if (auto const* const stored = find<stored_weight>()) return stored->blocks.bytes.size();
        if (auto const* const fast = packed()) return fast->weight.bytes();
        return rows_ * cols_ * sizeof(float);
    }

    /// Row r as floats, r < rows(). Slow for packed weights, whose rows lie apart.
    void decode_row(std::size_t r, std::span<float> to) const {
        QTK_EXPECTS(r < rows_ && to.size() == cols_);
        if (auto const* const codes = find<any_qmatrix>())
            return decode_rows(*codes, r, 1, to.data());
        if (auto const* const stored = find<stored_weight>())
            return gguf_row_floats(stored->blocks, r, to);
        if (packed() != nullptr) {
            matrix const all = floats();
            std::ranges::copy(all.view().row(r), to.begin());
            return;
        }
        std::ranges::copy(float_view().row(r), to.begin());
    }
    /// All of it as floats.
    [[nodiscard]] matrix floats() const {
        matrix all(rows_, cols_);
        if (auto const* const fast = packed()) {
            decode_rows(unpack(fast->weight), 0, rows_, all.data());
            return all;
        }
        parallel_for(rows_, rows_ * cols_,
                     [&](std::size_t r) { decode_row(r, all.view().row(r)); });
        return all;
    }

    /// y [m, out] = x [m, in] W^T + bias, added to what y holds if `adds`. Throws shape_error if the
    /// shapes do not fit.
    void multiply(matrix_view<float const> x, matrix_view<float> y, std::span<float const> bias,
                  bool adds) const {
        detail::require_gemm_shapes("weight_matrix", rows_, cols_, x, y);
        epilogue const end{
            .bias = bias, .function = {}, .residual = adds ? y : matrix_view<float>{}};
        if (auto const* const fast = packed()) return multiply_packed(*fast, x, y, end);
        if (auto const* const stored = find<stored_weight>())
            return gguf_gemm(stored->blocks, x, y,
                             {.activations = stored->activations, .end = end});
        float const beta = adds ? 1.0f : 0.0f;
        if (auto const* const codes = find<any_qmatrix>()) {
            multiply_codes(*codes, x, y, beta);
        } else if (auto const* const simulated = find<simulated_weight>()) {
            matrix const rounded =
                rounded_activations(x, simulated->scheme, simulated->activations);
            matmul(rounded.view(), simulated->weight.view(), y, {.beta = beta});
        } else {
            matmul(x, float_view(), y, {.beta = beta});
        }
        if (!bias.empty())
            for (std::size_t r = 0; r < y.rows; ++r)
                for (std::size_t i = 0; i < rows_; ++i) y(r, i) += bias[i];
    }

  private:
    void set_shape(matrix const& w) noexcept { rows_ = w.rows(), cols_ = w.cols(); }
    void set_shape(any_qmatrix const& w) noexcept { rows_ = w.rows(), cols_ = w.cols(); }
    void set_shape(std::shared_ptr<packed_weight const> const& w) noexcept {
        rows_ = w->weight.rows(), cols_ = w->weight.cols();
    }
    void set_shape(stored_weight const& w) noexcept {
        rows_ = w.blocks.rows, cols_ = w.blocks.cols;
    }
    void set_shape(simulated_weight const& w) noexcept { set_shape(w.weight); }
    void set_shape(std::shared_ptr<matrix const> const& w) noexcept { set_shape(*w); }

    [[nodiscard]] matrix_view<float const> float_view() const {
        if (auto const* const simulated = find<simulated_weight>()) return simulated->weight.view();
        return find<matrix>()->view();
    }

    static void multiply_packed(packed_weight const& w, matrix_view<float const> x,
                                matrix_view<float> y, epilogue const& end) {
        if (w.activations.type == activation_type::a8_static) return multiply_static(w, x, y, end);
        if (!w.activations.has_outliers)
            return gemm(w.weight, x, y, {.activations = w.activations.type, .end = end});
        llm_int8_options options{.threshold = w.activations.threshold, .end = end};
        if (w.activations.columns) {
            options.columns = *w.activations.columns;
            if (options.columns.empty())  // calibration has found none
                options.threshold = std::numeric_limits<float>::infinity();
        }
        llm_int8_result const seen = llm_int8_gemm(w.weight, x, y, options);
        w.columns += seen.columns;
        w.outliers += seen.outliers;
    }

    /// Codes of another grid than the kernels' own are made here: rounded once more, they stay as they are.
    static void multiply_static(packed_weight const& w, matrix_view<float const> x,
                                matrix_view<float> y, epilogue end) {
        activation_grid const& grid = w.activations.grid;
        product_options options{.activations = w.activations.type, .static_scale = grid.scale};
        if (grid.is_whole_int8()) {
            options.end = end;
            return gemm(w.weight, x, y, options);
        }
        matrix rounded(x.rows, x.cols);
        parallel_for(x.rows, x.size(), [&](std::size_t r) {
            std::ranges::copy(x.row(r), rounded.view().row(r).begin());
            detail::round_to_grid(rounded.view().row(r), grid, grid.center());
        });
        std::vector<float> bias = w.center_share;
        if (!bias.empty()) {
            for (std::size_t o = 0; o < end.bias.size(); ++o) bias[o] += end.bias[o];
            end.bias = bias;
        }
        options.end = end;
        gemm(w.weight, rounded.view(), y, options);
    }

    /// Panels of rows that are still in the cache when they are multiplied.
    void multiply_codes(any_qmatrix const& codes, matrix_view<float const> x, matrix_view<float> y,
                        float beta) const {
        if (x.rows == 1 && beta == 0.0f) return gemv(codes, x.row(0), y.row(0));
        constexpr std::size_t panel_floats = 1 << 15;
        std::size_t const most = std::clamp<std::size_t>(
            panel_floats / std::max<std::size_t>(cols_, 1), 16, std::max<std::size_t>(rows_, 16));
        std::vector<float> panel(std::min(most, rows_) * cols_);
        for (std::size_t row = 0; row < rows_; row += most) {
            std::size_t const count = std::min(most, rows_ - row);
            decode_rows(codes, row, count, panel.data());
            matmul(x, {panel.data(), count, cols_}, {y.data + row, y.rows, count, y.stride},
                   {.beta = beta});
        }
    }

    std::size_t rows_ = 0, cols_ = 0;
    form form_;
};

}  // namespace qtk
