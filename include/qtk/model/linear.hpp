// SPDX-License-Identifier: Apache-2.0
//
// What does a linear layer multiply with? y = x W^T + b, where W [out, in] is a matrix of floats
// (original, or what a scheme left of it), a quantized matrix that is multiplied from its codes, or
// one that is packed for the fast kernels, which may also round the activations on the way. One call
// for all, so that simulated and real quantization run through the same code.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/gemv.hpp>
#include <qtk/kernel/llm_int8.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>
#include <qtk/model/blas.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

/// What activations are while a packed layer multiplies them: a product's types, or int8 beside outlier
/// columns that stay floats (LLM.int8(), kernel/llm_int8.hpp).
struct layer_activations {
    activation_type type = activation_type::f32;
    bool has_outliers = false;  ///< then type is a8_row
    float threshold = 6.0f;     ///< of outliers
};

class linear {
  public:
    linear() = default;

    /// `weight` is [out, in]; `bias` has `out` values or none. Throws shape_error otherwise.
    linear(std::string name, matrix weight, std::vector<float> bias = {})
        : name_(std::move(name)),
          out_(weight.rows()),
          in_(weight.cols()),
          weight_(std::move(weight)),
          bias_(std::move(bias)) {
        if (!bias_.empty() && bias_.size() != out_)
            throw shape_error(name_ + ": expected " + std::to_string(out_) + " biases, found " +
                              std::to_string(bias_.size()));
    }

    /// The tensor's name in the model file, without ".weight".
    [[nodiscard]] std::string const& name() const noexcept { return name_; }
    [[nodiscard]] std::size_t out() const noexcept { return out_; }
    [[nodiscard]] std::size_t in() const noexcept { return in_; }
    [[nodiscard]] std::span<float const> bias() const noexcept { return bias_; }
    [[nodiscard]] bool is_quantized() const noexcept {
        return !std::holds_alternative<matrix>(weight_);
    }
    [[nodiscard]] bool is_packed() const noexcept {
        return std::holds_alternative<shared_packed>(weight_);
    }
    /// Of the weight in memory, scales and padding counted.
    [[nodiscard]] std::size_t weight_bytes() const noexcept {
        if (auto const* const floats = std::get_if<matrix>(&weight_))
            return floats->view().size() * sizeof(float);
        if (auto const* const codes = std::get_if<any_qmatrix>(&weight_)) return codes->bytes();
        return std::get<shared_packed>(weight_)->weight.bytes();
    }

    /// The float weight. Throws value_error if the layer holds a quantized one.
    [[nodiscard]] matrix const& weight() const {
        if (auto const* const floats = std::get_if<matrix>(&weight_)) return *floats;
        throw value_error(name_ + ": the weight is quantized; hint: dequantize quantized_weight()");
    }
    /// The quantized weight. Throws value_error if the layer holds floats, or packed codes.
    [[nodiscard]] any_qmatrix const& quantized_weight() const {
        if (auto const* const codes = std::get_if<any_qmatrix>(&weight_)) return *codes;
        throw value_error(name_ + (is_packed() ? ": the weight is packed. Hint: unpack it"
                                               : ": the weight is not quantized"));
    }
    /// The packed weight. Throws value_error if there is none.
    [[nodiscard]] packed_matrix const& packed() const {
        if (auto const* const packed = std::get_if<shared_packed>(&weight_))
            return (*packed)->weight;
        throw value_error(name_ + ": the weight is not packed");
    }

    /// Replaces the weight by another one of the same shape; throws shape_error otherwise.
    void set_weight(matrix weight) {
        require_shape(weight.rows(), weight.cols());
        weight_ = std::move(weight);
    }
    void set_weight(any_qmatrix weight) {
        require_shape(weight.rows(), weight.cols());
        weight_ = std::move(weight);
    }

    /// Packs the quantized weight for the fast kernels. Throws value_error if there is none, or if its
    /// levels are no small integers and the activations are to be int8.
    void pack(layer_activations const& activations = {}) {
        auto* const codes = std::get_if<any_qmatrix>(&weight_);
        if (codes == nullptr) throw value_error(name_ + ": there are no codes to pack");
        if (activations.has_outliers && activations.type != activation_type::a8_row)
            throw value_error(name_ + ": outliers stay beside int8 with one scale a row");
        packed_matrix packed = prepack(std::move(*codes));
        if (detail::is_int8(activations.type))
            detail::require_int8_product(packed, {.activations = activations.type});
        weight_ =
            std::make_shared<packed_weight const>(packed_weight{std::move(packed), activations});
    }

    /// y [m, out] = x [m, in] W^T + b; throws shape_error if the shapes do not fit. Quantized
    /// weights: from the codes for m = 1, else decoded by panels and multiplied as floats.
    void apply(matrix_view<float const> x, matrix_view<float> y) const {
        if (is_packed()) return multiply_packed(x, y, {});
        multiply(x, y, 0.0f);
        add_bias(y);
    }

    /// y += x W^T + b: the end of a residual branch.
    void apply_add(matrix_view<float const> x, matrix_view<float> y) const {
        if (is_packed()) return multiply_packed(x, y, y);
        multiply(x, y, 1.0f);
        add_bias(y);
    }

  private:
    struct packed_weight {
        packed_matrix weight;
        layer_activations activations;
    };
    /// Copies of a layer share what they never change.
    using shared_packed = std::shared_ptr<packed_weight const>;

    void multiply_packed(matrix_view<float const> x, matrix_view<float> y,
                         matrix_view<float const> residual) const {
        auto const& [weight, activations] = *std::get<shared_packed>(weight_);
        epilogue const end{.bias = bias_, .function = {}, .residual = residual};
        if (activations.has_outliers)
            llm_int8_gemm(weight, x, y, {.threshold = activations.threshold, .end = end});
        else
            gemm(weight, x, y, {.activations = activations.type, .end = end});
    }
    void multiply(matrix_view<float const> x, matrix_view<float> y, float beta) const {
        if (x.cols != in_ || y.cols != out_ || x.rows != y.rows)
            throw shape_error(name_ + ": expected x [m, " + std::to_string(in_) + "] and y [m, " +
                              std::to_string(out_) + "], found [" + std::to_string(x.rows) + ", " +
                              std::to_string(x.cols) + "] and [" + std::to_string(y.rows) + ", " +
                              std::to_string(y.cols) + "]");
        if (auto const* const floats = std::get_if<matrix>(&weight_))
            matmul(x, floats->view(), y, {.beta = beta});
        else if (x.rows == 1)
            multiply_one(x.row(0), y.row(0), beta);
        else
            multiply_panels(x, y, beta);
    }

    void multiply_one(std::span<float const> x, std::span<float> y, float beta) const {
        any_qmatrix const& codes = std::get<any_qmatrix>(weight_);
        if (beta == 0.0f) {
            gemv(codes, x, y);
            return;
        }
        std::vector<float> product(y.size());
        gemv(codes, x, product);
        for (std::size_t i = 0; i < y.size(); ++i) y[i] = product[i] + beta * y[i];
    }

    void multiply_panels(matrix_view<float const> x, matrix_view<float> y, float beta) const {
        // Few enough rows that the panel is still in the cache when it is multiplied.
        constexpr std::size_t panel_floats = 1 << 15;
        any_qmatrix const& codes = std::get<any_qmatrix>(weight_);
        std::size_t const most = std::clamp<std::size_t>(
            panel_floats / std::max<std::size_t>(in_, 1), 16, std::max<std::size_t>(out_, 16));
        std::vector<float> panel(std::min(most, out_) * in_);
        for (std::size_t row = 0; row < out_; row += most) {
            std::size_t const count = std::min(most, out_ - row);
            decode_rows(codes, row, count, panel.data());
            matmul(x, {panel.data(), count, in_}, {y.data + row, y.rows, count, y.stride},
                   {.beta = beta});
        }
    }

    void add_bias(matrix_view<float> y) const noexcept {
        if (bias_.empty()) return;
        for (std::size_t r = 0; r < y.rows; ++r)
            for (std::size_t i = 0; i < out_; ++i) y(r, i) += bias_[i];
    }

    void require_shape(std::size_t rows, std::size_t cols) const {
        if (rows != out_ || cols != in_)
            throw shape_error(name_ + ": expected a weight [" + std::to_string(out_) + ", " +
                              std::to_string(in_) + "], found [" + std::to_string(rows) + ", " +
                              std::to_string(cols) + "]");
    }

    std::string name_;
    std::size_t out_ = 0, in_ = 0;
    std::variant<matrix, any_qmatrix, shared_packed> weight_;
    std::vector<float> bias_;
};

}  // namespace qtk
