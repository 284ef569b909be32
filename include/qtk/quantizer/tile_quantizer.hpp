// SPDX-License-Identifier: Apache-2.0
//
// How does one tile become codes? `fit` turns an interval into a stored scale and a zero, `encode`
// a value into a field, `decode` a field into a value: v' = (level[field] - zero) * scale. Uniform
// quantizers as in Jacob et al. 2018 (affine) and Nagel et al. 2021, "A White Paper on Neural
// Network Quantization", section 2.
//
//   symmetric   s = max|w| / largest_level; integer codes in [-(2^(B-1) - 1), 2^(B-1) - 1]
//   asymmetric  lo = min(0, lo), hi = max(0, hi), s = (hi - lo) / (2^B - 1), zero = round(-lo / s)
//   e8m0        s = 2^(floor(log2 max|w|) - floor(log2 largest_level)), OCP Microscaling 1.0
//               section 6.3: the largest values of a tile may clip. Asymmetric: the smallest power
//               of two that clips nothing.
//   e4m3        s = e4m3(s / t) * t with the tensor scale t = largest s / 448
//
// A tile of zeros has scale 1 (times t). Values are divided by the stored scale (a reciprocal of a subnormal
// scale overflows), clamped as floats, then rounded.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/round.hpp>
#include <qtk/format/scale.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace qtk {

namespace detail {

/// The scale of a tile before it is stored; 0 for an interval that holds zero alone.
[[nodiscard]] constexpr float ideal_tile_scale(format const& element, bool has_zero_point,
                                               interval range) noexcept {
    if (!has_zero_point) {
        float const largest = std::max(range.highest < 0.0f ? -range.highest : range.highest,
                                       range.lowest < 0.0f ? -range.lowest : range.lowest);
        return largest / largest_level(element);
    }
    float const low = std::min(0.0f, range.lowest), high = std::max(0.0f, range.highest);
    auto const steps = static_cast<float>(element.patterns() - 1);
    float const width = high - low;  // may overflow: then divide first
    return width <= std::numeric_limits<float>::max() ? width / steps : high / steps - low / steps;
}

/// How scales are stored: the type, and what all of them are multiplied by.
struct scale_storage {
    scale_type type = scale_type::f32;
    float tensor_scale = 1.0f;
};

/// What becomes of an ideal scale above zero.
[[nodiscard]] inline float stored_tile_scale(format const& element, bool has_zero_point,
                                             scale_storage how, interval range,
                                             float ideal) noexcept {
    if (how.type == scale_type::e8m0) {
        if (has_zero_point) {
            int const exponent = std::ilogb(ideal);
            float const power = std::ldexp(1.0f, exponent);
            return rounded_scale(how.type, power < ideal ? std::ldexp(1.0f, exponent + 1) : power);
        }
        float const largest = std::max(std::fabs(range.lowest), std::fabs(range.highest));
        int const own =
            static_cast<int>(std::bit_cast<std::uint32_t>(largest_level(element)) >> 23) - 127;
        int const biased = static_cast<int>(std::bit_cast<std::uint32_t>(largest) >> 23) - own;
        // A power of two by its bits where both are normal: no call of the library.
        if (largest >= std::numeric_limits<float>::min() && biased > 0)
            return std::bit_cast<float>(static_cast<std::uint32_t>(biased) << 23);
        return rounded_scale(how.type, std::ldexp(1.0f, std::ilogb(largest) - own));
    }
    if (how.type == scale_type::f32 && how.tensor_scale == 1.0f) return ideal;  // the common case
    return rounded_scale(how.type, ideal / how.tensor_scale) * how.tensor_scale;
}

/// Scale and zero for a finite interval.
[[nodiscard]] inline tile_params fitted_tile(format const& element, bool has_zero_point,
                                             scale_storage how, interval range) noexcept {
    float const ideal = ideal_tile_scale(element, has_zero_point, range);
    int const fixed = symmetric_zero(element);
    if (!(ideal > 0.0f)) return {rounded_scale(how.type, 1.0f) * how.tensor_scale, fixed};
    tile_params p{stored_tile_scale(element, has_zero_point, how, range, ideal), fixed};
    if (has_zero_point) {
        auto const top = static_cast<float>(element.patterns() - 1);
        float const offset = -std::min(0.0f, range.lowest) / p.scale;
        p.zero = static_cast<int>(round_half_even(std::clamp(offset, 0.0f, top)));
    }
    return p;
}

}  // namespace detail

/// What of a scheme changes the instructions: the element, the symmetry and the rounding. How
/// scales are stored is a value; who shares them is the caller's business.
template <format Element, origin Zero, rounding Round = rounding::nearest_even>
class tile_quantizer {
  public:
    static constexpr format element = Element;
    static constexpr rounding round = Round;
    static constexpr bool has_zero_point = Zero == origin::floating;

    constexpr explicit tile_quantizer(scale_type type = scale_type::f32,
                                      float tensor_scale = 1.0f) noexcept
        : type_(type), tensor_scale_(tensor_scale) {}
    /// Of a scheme whose element, symmetry and rounding are these.
    constexpr explicit tile_quantizer(scheme const& s, float tensor_scale = 1.0f) noexcept
        : tile_quantizer(s.scale, tensor_scale) {}

    /// The scale before it is stored; 0 for an interval that holds zero alone.
    [[nodiscard]] static float ideal_scale(interval range) noexcept {
        return detail::ideal_tile_scale(Element, has_zero_point, range);
    }

    /// Scale and zero for a finite interval. The scale is what the scale type stores; infinite if
    /// it is too small for it.
    [[nodiscard]] tile_params fit(interval range) const noexcept {
        return detail::fitted_tile(Element, has_zero_point, {type_, tensor_scale_}, range);
    }

    /// The field of x. `dither` in [0, 1) decides stochastic rounding and is not read otherwise.
    [[nodiscard]] std::uint8_t encode(float x, tile_params p, float dither = 0.5f) const noexcept {
        float const v = x / p.scale;
        if constexpr (Element.is_integer()) {
            auto const zero = static_cast<float>(p.zero);
            float const code =
                round_by<Round>(std::clamp(v, lowest - zero, highest - zero), dither);
            return static_cast<std::uint8_t>(static_cast<int>(code) + p.zero);
        } else if constexpr (Element.kind == numeral::minifloat) {
            return float_to_minifloat<Round>(Element, v, dither);
        } else {
            return float_to_codebook<Element, Round>(v, dither);
        }
    }
    [[nodiscard]] float decode(std::uint8_t field, tile_params p) const noexcept {
        if constexpr (Element.is_integer())
            return static_cast<float>(field - p.zero) * p.scale;
        else
            return level[field] * p.scale;
    }

    /// The fields that encode may give: symmetric integers leave field 0 unused.
    static constexpr float lowest = has_zero_point || !Element.is_integer() ? 0.0f : 1.0f;
    static constexpr float highest = static_cast<float>(Element.patterns() - 1);

    [[nodiscard]] constexpr scale_type type() const noexcept { return type_; }
    [[nodiscard]] constexpr float tensor_scale() const noexcept { return tensor_scale_; }

  private:
    static constexpr std::array<float, 256> level = levels_of(Element);

    scale_type type_;
    float tensor_scale_;
};

/// The quantizer of a scheme's tiles.
template <scheme S>
using quantizer_for = tile_quantizer<S.element, S.zero, S.round>;

/// The tensor scale of a two-level scheme: the largest ideal tile scale lands on the largest e4m3
/// value.
[[nodiscard]] inline float two_level_tensor_scale(float largest_ideal_scale) noexcept {
    float const scale = largest_ideal_scale / minifloat_max(e4m3);
    return scale > 0.0f ? scale : 1.0f;
}

static_assert(quantizer<tile_quantizer<i4, origin::fixed>> &&
              quantizer<tile_quantizer<u8, origin::floating>>);
static_assert(quantizer<quantizer_for<mxfp4>>);

}  // namespace qtk
