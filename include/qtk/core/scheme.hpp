// SPDX-License-Identifier: Apache-2.0
//
// How is a matrix quantized? A scheme is the one declaration of the toolkit: what a code means, who
// shares a scale, where zero lies, how scales are stored, how values round. It is a structural
// type, so a scheme is a template argument: `quantize<scheme{.element = i4, .grain =
// per_group(128)}>(weight)`.
#pragma once

#include <qtk/core/format.hpp>
#include <qtk/core/granularity.hpp>

#include <cstdint>

namespace qtk {

/// Is real zero always the same code (symmetric), or does each tile have a zero point (asymmetric)?
enum class origin : std::uint8_t { fixed, floating };

/// How a scale is stored. e8m0 is a power of two (MX formats); e4m3 is two-level: a scale of a tile
/// times one f32 scale of the tensor (NVFP4).
enum class scale_type : std::uint8_t { f32, f16, bf16, e8m0, e4m3 };

/// What happens to a value between two codes. `stochastic` is seeded and depends on the position
/// alone.
enum class rounding : std::uint8_t { nearest_even, nearest_away, stochastic };

struct scheme {
    format element = i8;
    granularity grain = per_tensor;
    origin zero = origin::fixed;
    scale_type scale = scale_type::f32;
    rounding round = rounding::nearest_even;

    [[nodiscard]] constexpr bool has_zero_point() const noexcept {
        return zero == origin::floating;
    }
    friend constexpr bool operator==(scheme const&, scheme const&) = default;
};

/// OCP Microscaling 1.0: e2m1 elements, 32 share a power of two (exponent by floor). 4.25 bits per
/// weight.
inline constexpr scheme mxfp4{.element = e2m1, .grain = per_group(32), .scale = scale_type::e8m0};
/// NVFP4: e2m1 elements, 16 share an e4m3 scale, the tensor an f32 scale. 4.5 bits per weight.
inline constexpr scheme nvfp4{.element = e2m1, .grain = per_group(16), .scale = scale_type::e4m3};

/// Why a scheme makes no sense, as a sentence; null for one that does.
[[nodiscard]] constexpr char const* fault_of(scheme const& s) noexcept {
    if (!is_known(s.element))
        return "unknown format: use i2..i8, u2..u8, nf4, fp4, e2m1, e3m2, e4m3 or e5m2";
    if (!is_known(s.grain))
        return "unknown granularity: use per_tensor, per_channel, per_group(n) or per_block(r, c)";
    if (s.has_zero_point() && !s.element.is_integer())
        return "only integer formats have a zero point: nf4, fp4 and minifloats need origin::fixed";
    return nullptr;
}
[[nodiscard]] constexpr bool is_valid(scheme const& s) noexcept {
    return fault_of(s) == nullptr;
}

template <scheme S>
concept valid_scheme = is_valid(S);

/// Turns a senseless scheme into one readable compile error; name it where a scheme enters.
template <scheme S>
struct checked_scheme {
    static_assert(is_known(S.element),
                  "qtk: unknown format: use i2..i8, u2..u8, nf4, fp4, e2m1, e3m2, e4m3 or e5m2");
    static_assert(is_known(S.grain),
                  "qtk: unknown granularity: use per_tensor, per_channel, per_group(n) or "
                  "per_block(r, c)");
    static_assert(!S.has_zero_point() || S.element.is_integer(),
                  "qtk: only integer formats have a zero point: nf4, fp4 and minifloats need "
                  "origin::fixed");
    static constexpr scheme value = S;
};

/// A scheme dressed as a type, for lists of test types and CUDA kernels.
template <scheme S>
struct scheme_constant {
    static constexpr scheme value = S;
};

static_assert(valid_scheme<mxfp4> && valid_scheme<nvfp4> && valid_scheme<scheme{}>);
static_assert(!is_valid({.element = nf4, .zero = origin::floating}));

}  // namespace qtk
