// SPDX-License-Identifier: Apache-2.0
//
// How does one tile become codes if the scheme is known at run time? The rules of tile_quantizer.hpp,
// bit for bit, with the format as a value: one type instead of one for every format and rounding.
// Value by value it costs a branch; the kernels of encode.hpp choose once for a piece of a row.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/codebook.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/minifloat.hpp>
#include <qtk/format/round.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <algorithm>
#include <array>
#include <cstdint>

namespace qtk {

class any_quantizer {
  public:
    /// Of the scheme, the granularity is the caller's business. `tensor_scale` multiplies the scales
    /// of two-level schemes.
    explicit any_quantizer(scheme const& s, float tensor_scale = 1.0f) noexcept
        : element(s.element),
          round(s.round),
          has_zero_point(s.has_zero_point()),
          storage_{s.scale, tensor_scale},
          level_(levels_of(s.element)),
          lowest_(has_zero_point || !element.is_integer() ? 0.0f : 1.0f),
          highest_(static_cast<float>(element.patterns() - 1)) {}

    format const element;
    rounding const round;
    bool const has_zero_point;

    /// The scale before it is stored; 0 for an interval that holds zero alone.
    [[nodiscard]] float ideal_scale(interval range) const noexcept {
        return detail::ideal_tile_scale(element, has_zero_point, range);
    }
    /// Scale and zero for a finite interval; the scale is infinite if it is too small for its type.
    [[nodiscard]] tile_params fit(interval range) const noexcept {
        return detail::fitted_tile(element, has_zero_point, storage_, range);
    }
    /// The nearest scale that the scheme can store, above zero.
    [[nodiscard]] float stored_scale(float ideal) const noexcept {
        return rounded_scale(storage_.type, ideal / storage_.tensor_scale) * storage_.tensor_scale;
    }

    /// The field of x. `dither` in [0, 1) decides stochastic rounding and is not read otherwise.
    [[nodiscard]] std::uint8_t encode(float x, tile_params p, float dither = 0.5f) const noexcept {
        if (element.is_integer()) return encode_integer(x, p, dither);
        float const v = x / p.scale;
        switch (round) {
            case rounding::nearest_away:
                return encode_level<rounding::nearest_away>(v, dither);
            case rounding::stochastic:
                return encode_level<rounding::stochastic>(v, dither);
            case rounding::nearest_even:
                break;
        }
        return encode_level<rounding::nearest_even>(v, dither);
    }
    [[nodiscard]] float decode(std::uint8_t field, tile_params p) const noexcept {
        if (element.is_integer()) return static_cast<float>(field - p.zero) * p.scale;
        return level_[field] * p.scale;
    }
    /// What encoding leaves of x.
    [[nodiscard]] float round_trip(float x, tile_params p) const noexcept {
        return decode(encode(x, p), p);
    }

    /// The fields that encode may give: symmetric integers leave field 0 unused.
    [[nodiscard]] float lowest_field() const noexcept { return lowest_; }
    [[nodiscard]] float highest_field() const noexcept { return highest_; }

  private:
    [[nodiscard]] std::uint8_t encode_integer(float x, tile_params p, float dither) const noexcept {
        auto const zero = static_cast<float>(p.zero);
        float const v = std::clamp(x / p.scale, lowest_ - zero, highest_ - zero);
        float code = 0.0f;
        switch (round) {
            case rounding::nearest_even:
                code = round_by<rounding::nearest_even>(v, dither);
                break;
            case rounding::nearest_away:
                code = round_by<rounding::nearest_away>(v, dither);
                break;
            case rounding::stochastic:
                code = round_by<rounding::stochastic>(v, dither);
                break;
        }
        return static_cast<std::uint8_t>(static_cast<int>(code) + p.zero);
    }
    template <rounding Round>
    [[nodiscard]] std::uint8_t encode_level(float v, float dither) const noexcept {
        if (element.kind == numeral::minifloat)
            return float_to_minifloat<Round>(element, v, dither);
        return element.table == codebook::nf4 ? float_to_codebook<nf4, Round>(v, dither)
                                              : float_to_codebook<fp4, Round>(v, dither);
    }

    detail::scale_storage storage_;
    std::array<float, 256> level_;
    float lowest_, highest_;
};
static_assert(quantizer<any_quantizer>);

}  // namespace qtk
