// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/concepts.hpp>

#include <doctest/doctest.h>

#include <array>

namespace {

struct widest {
    static qtk::interval estimate(std::span<float const> tile) {
        return tile.empty() ? qtk::interval{} : qtk::interval{tile.front(), tile.back()};
    }
};
/// Asks the quantizer what field 0 decodes to.
struct asks_the_quantizer {
    template <qtk::quantizer Q>
    qtk::interval estimate(std::span<float const>, Q const& q) const {
        return {q.decode(0, {}), 0.0f};
    }
};
struct may_throw {
    static qtk::tile_params fit(qtk::interval) { return {}; }
    static std::uint8_t encode(float, qtk::tile_params) { return 0; }
    static float decode(std::uint8_t, qtk::tile_params) noexcept { return 0.0f; }
};
struct gives_a_float {
    static float estimate(std::span<float const>) { return 0.0f; }
};

static_assert(qtk::value_range_estimator<widest> && !qtk::fitted_range_estimator<widest>);
static_assert(qtk::fitted_range_estimator<asks_the_quantizer> &&
              !qtk::value_range_estimator<asks_the_quantizer>);
static_assert(qtk::range_estimator<widest> && qtk::range_estimator<asks_the_quantizer>);
static_assert(!qtk::range_estimator<gives_a_float> && !qtk::range_estimator<int>);
static_assert(!qtk::quantizer<may_throw> && !qtk::quantizer<widest>);

struct five {
    static qtk::tile_params fit(qtk::interval) { return {}; }
    static std::uint8_t encode(float, qtk::tile_params) noexcept { return 0; }
    static float decode(std::uint8_t, qtk::tile_params) noexcept { return -5.0f; }
};
static_assert(qtk::quantizer<five>);

}  // namespace

TEST_CASE("one call serves estimators with and without the quantizer") {
    std::array<float, 3> const tile{-1.0f, 9.0f, 2.0f};
    CHECK(qtk::estimate_range(widest{}, tile, five{}) == qtk::interval{-1.0f, 2.0f});
    CHECK(qtk::estimate_range(asks_the_quantizer{}, tile, five{}) == qtk::interval{-5.0f, 0.0f});
}

TEST_CASE("an empty tile has the interval of zero") {
    CHECK(qtk::estimate_range(widest{}, std::span<float const>{}, five{}) ==
          qtk::interval{0.0f, 0.0f});
    CHECK(qtk::tile_params{} == qtk::tile_params{.scale = 1.0f, .zero = 0});
}
