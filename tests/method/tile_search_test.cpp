// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/method/tile_search.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

constexpr qtk::scheme symmetric{.element = qtk::i4, .grain = qtk::per_channel};
constexpr qtk::scheme asymmetric{
    .element = qtk::u4, .grain = qtk::per_channel, .zero = qtk::origin::floating};

auto const flat = [](std::size_t) { return 1.0; };

}  // namespace

TEST_CASE("the cost is the sum over errors and stops when it is enough") {
    qtk::any_quantizer const q(symmetric);
    std::vector<float> const x{0.4f, 1.0f, -2.25f};
    auto const squares = [](std::size_t i, double e) { return (i == 2 ? 2.0 : 1.0) * e * e; };
    auto const all = qtk::detail::cost_of(q, x, {1.0f, 8}, squares);
    CHECK(all.cost == doctest::Approx(0.16 + 2.0 * 0.0625));
    CHECK(qtk::detail::cost_of(q, x, {1.0f, 8}, squares, 0.1).cost == doctest::Approx(0.16));
    qtk::detail::costed_params best;
    CHECK(best.improve(all));
    CHECK_FALSE(best.improve(all));
}

TEST_CASE("a scale is refitted to its codes by weighted least squares") {
    qtk::any_quantizer const q(symmetric);
    std::vector<float> const x{2.2f, -1.1f, 3.3f};
    auto const value = [&](std::size_t i) { return static_cast<double>(x[i]); };
    auto const p = qtk::detail::rescaled(q, x, {1.0f, 8}, flat, value);
    REQUIRE(p.has_value());
    CHECK(p->scale == doctest::Approx(1.1f));
    // One value counts alone.
    std::vector<float> const y{2.2f, 1.4f};
    auto const second = [](std::size_t i) { return i == 1 ? 1.0 : 0.0; };
    CHECK(qtk::detail::rescaled(q, y, {1.0f, 8}, second, [&](std::size_t i) {
              return static_cast<double>(y[i]);
          })->scale == doctest::Approx(1.4f));
    std::vector<float> const zeros(3);
    CHECK_FALSE(qtk::detail::rescaled(q, zeros, {1.0f, 8}, flat, value).has_value());
}

TEST_CASE("a line is refitted with the whole zeros next to the best one") {
    qtk::any_quantizer const q(asymmetric);
    std::vector<float> x;
    for (int code = 0; code < 16; ++code) x.push_back(0.5f * (static_cast<float>(code) - 6.0f));
    // From a scale and a zero that are a little off.
    auto const lines = qtk::detail::refitted_lines(q, x, {0.51f, 6}, flat);
    CHECK(lines[0].scale == doctest::Approx(0.5f));
    bool const has_six = lines[0].zero == 6 || lines[1].zero == 6;
    CHECK(has_six);
    CHECK(qtk::detail::whole_zeros(q, -3.0) == std::array{0, 1});
    CHECK(qtk::detail::whole_zeros(q, 99.0) == std::array{15, 15});
    CHECK(qtk::detail::whole_zeros(q, 7.25) == std::array{7, 8});
    std::vector<float> const same(4, 1.0f);
    CHECK(qtk::detail::refitted_lines(q, same, {1.0f, 3}, flat)[0] == qtk::tile_params{1.0f, 3});
}
