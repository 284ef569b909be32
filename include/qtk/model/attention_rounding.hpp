// SPDX-License-Identifier: Apache-2.0
//
// What is left of attention if its operands become codes, too? Linear layers round their inputs themselves;
// between them stand two products of activations with activations, whose four operands this header rounds:
//
//   q, k, v   n = the code of x on a known grid of step s (activation_grid.hpp), one grid a tensor
//   softmax   equal steps, powers of two or two steps (quantizer/softmax_quantizer.hpp)
//
//   scores = s_q s_k / sqrt(d) * (n_q . n_k),   y = unit s_v * sum of m n_v,   m = softmax / unit, rounded
//
// This part is simulated: the products are float products of whole numbers. Where every partial sum is below
// 2^24 a float holds it exactly, so that no order of additions changes it: it is the integer product,
// bit for bit. n_q . n_k is, with codes of -Q to Q, for d Q^2 < 2^24 (8 bits: heads of up to 1040 values). The other sum is for equal
// steps (m adds up to little more than 2^B), powers down to 2^-15 (4 bits), and two steps with 1 / sigma up to
// 2^9 at 8 bits; finer ones round like any float sum. The softmax itself is in floats.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/model/activation_grid.hpp>
#include <qtk/quantizer/softmax_quantizer.hpp>

#include <bit>
#include <cmath>
#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <variant>

namespace qtk {

/// How attention probabilities are rounded.
class softmax_rounding {
  public:
    /// Not at all.
    softmax_rounding() = default;
    template <typename Quantizer>
    requires std::same_as<Quantizer, uniform_probability_quantizer> ||
        std::same_as<Quantizer, log2_quantizer> || std::same_as<Quantizer, twin_quantizer>
        softmax_rounding(Quantizer how) : how_(how) {}

    /// 1 to 8 bits of powers of two. From 5 bits on all are alike: a sixth bit would add powers below 2^-31
    /// only. Throws value_error for other bits.
    [[nodiscard]] static softmax_rounding log2(int bits) {
        return log2_quantizer(bits > 5 && bits <= 8 ? 5 : bits);
    }

    [[nodiscard]] bool is_floats() const noexcept {
        return std::holds_alternative<std::monostate>(how_);
    }
    /// Of a code; 0 for floats.
    [[nodiscard]] int bits() const noexcept {
        return std::visit(
            []<typename Quantizer>(Quantizer const& q) {
                if constexpr (std::same_as<Quantizer, std::monostate>)
                    return 0;
                else {
                    auto const most = static_cast<unsigned>(q.largest_code());
                    // The twin's other bit says which of the grids.
                    return static_cast<int>(std::bit_width(most)) +
                           (std::same_as<Quantizer, twin_quantizer> ? 1 : 0);
                }
            },
            how_);
    }
    /// What in_units() counts.
    [[nodiscard]] float unit() const noexcept {
        if (auto const* const equal = std::get_if<uniform_probability_quantizer>(&how_))
            return 1.0f / static_cast<float>(equal->largest_code());
        if (auto const* const twin = std::get_if<twin_quantizer>(&how_))
            return twin->sigma() / static_cast<float>(twin->largest_code());
        return 1.0f;
    }
    /// The row, rounded, in units: whole numbers, or powers of two up to 1.
    void to_units(std::span<float> row) const noexcept {
        std::visit(
            [&]<typename Quantizer>(Quantizer const& q) {
                if constexpr (!std::same_as<Quantizer, std::monostate>)
                    for (float& x : row) x = in_units(q, x);
            },
            how_);
    }
    /// What is left of x.
    [[nodiscard]] float round_trip(float x) const noexcept {
        to_units({&x, 1});
        return x * unit();
    }

  private:
    [[nodiscard]] static float in_units(uniform_probability_quantizer const& q, float x) noexcept {
        return static_cast<float>(q.encode(x));
    }
    [[nodiscard]] static float in_units(log2_quantizer const& q, float x) noexcept {
        return q.round_trip(x);
    }
    [[nodiscard]] static float in_units(twin_quantizer const& q, float x) noexcept {
        int const field = q.encode(x), most = q.largest_code();
        return field > most ? static_cast<float>(field - most - 1) / q.sigma()
                            : static_cast<float>(field);
    }

    std::variant<std::monostate, uniform_probability_quantizer, log2_quantizer, twin_quantizer>
        how_;
};

/// All that attention rounds; by default nothing. A tensor without a grid stays as it is.
struct attention_rounding {
    std::optional<activation_grid> q = {}, k = {}, v = {};
    softmax_rounding softmax = {};

    [[nodiscard]] bool is_floats() const noexcept { return !q && !k && !v && softmax.is_floats(); }
};

/// Throws value_error for a grid without a scale.
inline void require_scales(attention_rounding const& rounding, std::string const& who) {
    for (std::optional<activation_grid> const* const grid : {&rounding.q, &rounding.k, &rounding.v})
        if (*grid && !((*grid)->scale > 0.0f && std::isfinite((*grid)->scale)))
            throw value_error(who + ": expected a positive scale of q, k and v, found " +
                              std::to_string((*grid)->scale) + ". Hint: calibrate it");
}

}  // namespace qtk
