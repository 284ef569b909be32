// SPDX-License-Identifier: Apache-2.0
//
// What does a linear layer compute? y = x W^T + b, with W [out, in] in one of the forms of
// weight_matrix.hpp: one call for all, so that simulated and real quantization run through the same
// code, and a name by which recipes find the layer. Where a method changed what the weight is
// multiplied with, the layer changes its input first (input_transform.hpp): y = T(x) W^T + b.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/model/input_transform.hpp>
#include <qtk/model/weight_matrix.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

class linear {
  public:
    linear() = default;

    /// `weight` is [out, in]; `bias` has `out` values or none. Throws shape_error otherwise.
    linear(std::string name, weight_matrix weight, std::vector<float> bias = {})
        : name_(std::move(name)), weight_(std::move(weight)), bias_(std::move(bias)) {
        require_biases(bias_.size());
    }

    /// The tensor's name in the model file, without ".weight".
    [[nodiscard]] std::string const& name() const noexcept { return name_; }
    [[nodiscard]] std::size_t out() const noexcept { return weight_.rows(); }
    [[nodiscard]] std::size_t in() const noexcept { return weight_.cols(); }
    [[nodiscard]] std::span<float const> bias() const noexcept { return bias_; }
    [[nodiscard]] weight_matrix const& form() const noexcept { return weight_; }
    [[nodiscard]] bool is_quantized() const noexcept {
        return weight_.find<any_qmatrix>() != nullptr || is_packed();
    }
    [[nodiscard]] bool is_packed() const noexcept { return weight_.packed() != nullptr; }
    /// Of the weight in memory, scales and padding counted; and of input(), as if no other layer
    /// shared it.
    [[nodiscard]] std::size_t weight_bytes() const noexcept {
        return weight_.bytes() + (input_ != nullptr ? input_->bytes() : 0);
    }
    /// What happens to an input before the weight is multiplied; null: nothing.
    [[nodiscard]] std::shared_ptr<input_transform const> const& input() const noexcept {
        return input_;
    }
    /// What the weight is multiplied with for rows x [m, in], and what is rounded of them: a copy.
    /// Throws shape_error for rows of another length.
    [[nodiscard]] matrix changed_input(matrix_view<float const> x) const {
        matrix changed(x.rows, in());
        if (input_ != nullptr) {
            input_->apply(x, changed.view());
            return changed;
        }
        if (x.cols != in())
            throw shape_error(name_ + ": expected rows of " + std::to_string(in()) + ", found " +
                              std::to_string(x.cols));
        for (std::size_t r = 0; r < x.rows; ++r)
            std::ranges::copy(x.row(r), changed.view().row(r).begin());
        return changed;
    }
    /// The floats that stand for the layer without its transform, [out, in]: x times their transpose is
    /// what apply() computes, but for the rounding of activations.
    [[nodiscard]] matrix effective_weight() const {
        return input_ == nullptr ? weight_.floats()
                                 : input_->weight_without(weight_.floats().view());
    }

    /// The float weight. Throws value_error if the layer holds another form.
    [[nodiscard]] matrix const& weight() const {
        if (auto const* const floats = weight_.find<matrix>()) return *floats;
        throw value_error(name_ +
                          (is_quantized()
                               ? ": the weight is quantized; hint: dequantize quantized_weight()"
                               : ": the weight is no matrix of floats; hint: form().floats()"));
    }
    /// The quantized weight. Throws value_error if the layer holds floats, or packed codes.
    [[nodiscard]] any_qmatrix const& quantized_weight() const {
        if (auto const* const codes = weight_.find<any_qmatrix>()) return *codes;
        throw value_error(name_ + (is_packed() ? ": the weight is packed. Hint: unpack it"
                                               : ": the weight is not quantized"));
    }
    /// The packed weight. Throws value_error if there is none.
    [[nodiscard]] packed_matrix const& packed() const {
        if (packed_weight const* const packed = weight_.packed()) return packed->weight;
        throw value_error(name_ + ": the weight is not packed");
    }
    /// What LLM.int8() has seen since the layer was packed: columns of activations and outliers.
    [[nodiscard]] llm_int8_result outliers() const noexcept {
        packed_weight const* const packed = weight_.packed();
        return packed == nullptr ? llm_int8_result{}
                                 : llm_int8_result{packed->outliers.load(), packed->columns.load()};
    }

    /// Replaces the weight by another one of the same shape; throws shape_error otherwise.
    void set_weight(weight_matrix weight) {
        if (weight.rows() != out() || weight.cols() != in())
            throw shape_error(name_ + ": expected a weight [" + std::to_string(out()) + ", " +
                              std::to_string(in()) + "], found [" + std::to_string(weight.rows()) +
                              ", " + std::to_string(weight.cols()) + "]");
        weight_ = std::move(weight);
    }

    /// Gives the codes away. The layer keeps its shape and cannot be applied until it has another weight.
    /// Throws value_error if there are none.
    [[nodiscard]] any_qmatrix take_codes() { return std::move(weight_).take_codes(); }

    /// Changes the input before the weight is multiplied, which stays as it is: it must already be the
    /// one for changed inputs (input_transform::weight_for). Null: no change. Throws shape_error
    /// if the transform is for rows of another length.
    void set_input(std::shared_ptr<input_transform const> input) {
        if (input != nullptr && input->size() != in())
            throw shape_error(name_ + ": expected a transform of " + std::to_string(in()) +
                              " inputs, found one of " + std::to_string(input->size()));
        input_ = std::move(input);
    }
    /// `out` biases, or none. Throws shape_error otherwise.
    void set_bias(std::vector<float> bias) {
        require_biases(bias.size());
        bias_ = std::move(bias);
    }

    /// Packs the quantized weight for the fast kernels. Throws value_error if there is none, or if its
    /// levels are no small integers and the activations are to be int8.
    void pack(layer_activations const& activations = {}) {
        any_qmatrix const* const codes = weight_.find<any_qmatrix>();
        if (codes == nullptr) throw value_error(name_ + ": there are no codes to pack");
        require_activations(*codes, activations);
        std::vector<float> share = center_share(*codes, activations);
        weight_ = std::make_shared<packed_weight const>(prepack(std::move(weight_).take_codes()),
                                                        activations, std::move(share));
    }
    /// Replaces the quantized weight by its floats, which multiply activations rounded by the rules of
    /// the packed product. Throws like pack().
    void simulate(layer_activations const& activations = {}) {
        any_qmatrix const* const codes = weight_.find<any_qmatrix>();
        if (codes == nullptr) throw value_error(name_ + ": there are no codes to simulate");
        require_activations(*codes, activations);
        weight_ = simulated_weight{weight_.floats(), codes->scheme(), activations};
    }

    /// y [m, out] = x [m, in] W^T + b; throws shape_error if the shapes do not fit.
    void apply(matrix_view<float const> x, matrix_view<float> y) const { multiply(x, y, false); }
    /// y += x W^T + b: the end of a residual branch.
    void apply_add(matrix_view<float const> x, matrix_view<float> y) const { multiply(x, y, true); }

  private:
    /// packed_weight::center_share of these codes.
    [[nodiscard]] static std::vector<float> center_share(any_qmatrix const& codes,
                                                         layer_activations const& how) {
        if (how.type != activation_type::a8_static || how.grid.center() == 0) return {};
        double const center = static_cast<double>(how.grid.scale) * how.grid.center();
        std::vector<float> share(codes.rows()), row(codes.cols());
        for (std::size_t o = 0; o < share.size(); ++o) {
            decode_rows(codes, o, 1, row.data());
            double sum = 0.0;
            for (float const w : row) sum += static_cast<double>(w);
            share[o] = static_cast<float>(center * sum);
        }
        return share;
    }
    void multiply(matrix_view<float const> x, matrix_view<float> y, bool adds) const {
        require_operands(x, y);
        if (input_ == nullptr) return weight_.multiply(x, y, bias_, adds);
        weight_.multiply(changed_input(x).view(), y, bias_, adds);
    }
    void require_biases(std::size_t found) const {
        if (found != 0 && found != out())
            throw shape_error(name_ + ": expected " + std::to_string(out()) + " biases, found " +
                              std::to_string(found));
    }
    void require_activations(any_qmatrix const& codes, layer_activations const& how) const {
        if (how.has_outliers && how.type != activation_type::a8_row)
            throw value_error(name_ + ": outliers stay beside int8 with one scale a row");
        if (how.type == activation_type::a8_static &&
            !(how.grid.scale > 0.0f && std::isfinite(how.grid.scale)))
            throw value_error(name_ + ": expected a positive scale of static activations, found " +
                              std::to_string(how.grid.scale) + ". Hint: calibrate it");
        if (detail::is_int8(how.type) && !has_integer_levels(codes.scheme().element))
            throw value_error(name_ + ": the levels of " + to_string(codes.scheme()) +
                              " are no small integers. Hint: f32 or bf16 activations");
    }
    void require_operands(matrix_view<float const> x, matrix_view<float const> y) const {
        if (x.cols != in() || y.cols != out() || x.rows != y.rows)
            throw shape_error(name_ + ": expected x [m, " + std::to_string(in()) + "] and y [m, " +
                              std::to_string(out()) + "], found [" + std::to_string(x.rows) + ", " +
                              std::to_string(x.cols) + "] and [" + std::to_string(y.rows) + ", " +
                              std::to_string(y.cols) + "]");
    }

    std::string name_;
    weight_matrix weight_;
    std::vector<float> bias_;
    std::shared_ptr<input_transform const> input_;
};

}  // namespace qtk
