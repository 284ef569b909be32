// SPDX-License-Identifier: Apache-2.0
//
// What do the parts of a quantizer promise each other? Small contracts; every model of one asserts
// it in its own header. A range estimator says how wide a tile is, a quantizer turns an interval
// into parameters and values into codes, a weight method turns a whole matrix into a quantized one.
#pragma once

#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>

#include <concepts>
#include <cstdint>
#include <span>

namespace qtk {

/// The values of a tile that must be representable: everything outside clips.
struct interval {
    float lowest = 0.0f, highest = 0.0f;
    friend constexpr bool operator==(interval const&, interval const&) = default;
};

/// Parameters of one tile: value = (level[field] - zero) * scale, where `field` is the stored bit
/// pattern of a code. Integers have level[field] = field, so `zero` is the field of real zero;
/// other formats have zero = 0.
struct tile_params {
    float scale = 1.0f;
    int zero = 0;
    friend constexpr bool operator==(tile_params const&, tile_params const&) = default;
};

/// Maps values of one tile to stored fields and back.
template <typename Q>
concept quantizer = requires(Q const q, interval range, tile_params p, float x,
                             std::uint8_t field) {
    { q.fit(range) } -> std::same_as<tile_params>;
    { q.encode(x, p) } -> std::same_as<std::uint8_t>;
    { q.decode(field, p) } -> std::same_as<float>;
    requires noexcept(q.encode(x, p));
    requires noexcept(q.decode(field, p));
};

/// Looks at values alone. An empty tile has the interval {0, 0}.
template <typename E>
concept value_range_estimator = requires(E const estimator, std::span<float const> tile) {
    { estimator.estimate(tile) } -> std::same_as<interval>;
};

namespace detail {
struct sample_quantizer {  // the least that a quantizer is, to state the next concept
    static tile_params fit(interval) { return {}; }
    static std::uint8_t encode(float, tile_params) noexcept { return 0; }
    static float decode(std::uint8_t, tile_params) noexcept { return 0.0f; }
};
static_assert(quantizer<sample_quantizer>);
}  // namespace detail

/// Tries the quantizer itself: the interval depends on what the codes can express.
template <typename E>
concept fitted_range_estimator = requires(E const estimator, std::span<float const> tile,
                                          detail::sample_quantizer q) {
    { estimator.estimate(tile, q) } -> std::same_as<interval>;
};

template <typename E>
concept range_estimator = value_range_estimator<E> || fitted_range_estimator<E>;

/// One call for both kinds.
template <range_estimator E, quantizer Q>
[[nodiscard]] interval estimate_range(E const& estimator, std::span<float const> tile, Q const& q) {
    if constexpr (fitted_range_estimator<E>)
        return estimator.estimate(tile, q);
    else
        return estimator.estimate(tile);
}

}  // namespace qtk
