// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/method/learned_range.hpp>

#include <doctest/doctest.h>

#include <array>
#include <vector>

namespace {

using qtk::scheme;

constexpr scheme sym{.element = qtk::i3, .grain = qtk::per_channel};
constexpr scheme asym{.element = qtk::i3, .grain = qtk::per_channel, .zero = qtk::origin::floating};

/// One row as one tile, refreshed.
qtk::learned_range row_of(scheme const& s, std::vector<float> const& w, qtk::range_factors f = {}) {
    qtk::learned_range range(s, {w.data(), 1, w.size()}, {}, f);
    range.refresh(0, {});
    return range;
}
qtk::range_factors gradient(qtk::learned_range const& range, std::vector<float> const& g) {
    return range.gradient(0, 0, 0, g.size(), g, {}, [](std::size_t) {});
}

}  // namespace

TEST_CASE("with factors of one, values are those of round to nearest") {
    auto const values = qtk::gaussian_vector(30, 4);
    qtk::matrix_view<float const> const w(values.data(), 3, 10);
    for (scheme const& s : {sym, asym}) {
        qtk::learned_range range(s, w, {}, {});
        for (std::size_t r = 0; r < 3; ++r) range.refresh(r, {});
        CHECK(range.pack() == range.grid().nearest());
    }
}

TEST_CASE("what it packs decodes to its weights, bit for bit") {
    auto const values = qtk::gaussian_vector(3 * 20, 5);
    qtk::matrix_view<float const> const w(values.data(), 3, 20);
    for (qtk::scale_type const scale : {qtk::scale_type::f32, qtk::scale_type::f16}) {
        scheme const s{.element = qtk::i4,
                       .grain = qtk::per_group(8),
                       .zero = qtk::origin::floating,
                       .scale = scale};
        qtk::learned_range range(s, w, {}, {0.7f, 0.9f});
        qtk::matrix shift(3, 20), decoded(3, 20);
        for (std::size_t c = 0; c < 20; ++c) shift(1, c) = 0.3f;
        for (std::size_t r = 0; r < 3; ++r) range.refresh(r, shift.view().row(r));
        qtk::any_qmatrix const q = range.pack(shift.view());
        qtk::decode_rows(q, 0, 3, decoded.data());
        for (std::size_t i = 0; i < 60; ++i) CHECK(decoded.data()[i] == range.weights().flat()[i]);
    }
}

TEST_CASE("a clipped value follows the end that it is clipped to") {
    // Both ends reach half as far, and whole steps of the scale: 1 = 7 s.
    std::vector<float> const w{-6.0f / 7.0f, 8.0f / 7.0f, 0.0f};
    auto const range = row_of(asym, w, {0.5f, 0.5f});
    CHECK(range.weights()(0, 0) == doctest::Approx(-3.0 / 7.0));
    CHECK(range.weights()(0, 1) == doctest::Approx(4.0 / 7.0));
    // w' = factor * w of that end, so the derivative by the factor is the end.
    CHECK(gradient(range, {1, 0, 0}).low == doctest::Approx(-6.0 / 7.0));
    CHECK(gradient(range, {1, 0, 0}).high == 0.0f);
    CHECK(gradient(range, {0, 1, 0}).high == doctest::Approx(8.0 / 7.0));
    CHECK(gradient(range, {0, 1, 0}).low == 0.0f);
    CHECK(gradient(range, {0, 0, 1}).high == 0.0f);
}

TEST_CASE("under symmetry the larger end decides alone") {
    std::vector<float> const w{-3.0f, 1.0f, 0.4f};
    auto const range = row_of(sym, w, {0.5f, 1.0f});  // s = 0.5
    CHECK(range.params(0).scale == 0.5f);
    CHECK(range.weights()(0, 0) == -1.5f);
    CHECK(gradient(range, {1, 0, 0}).low == -3.0f);
    // 0.4 is 0.8 steps and becomes 1 step: e = 0.2, and s = -low factor * -3 / 3.
    CHECK(gradient(range, {0, 0, 1}).low == doctest::Approx(0.2));
    CHECK(gradient(range, {1, 1, 1}).high == 0.0f);
}

TEST_CASE("inside the range the gradient is that of a code that stays") {
    // s = 1/4 and the zero point is 3: nothing clips, and w' = s * code with s = (b hi - a lo) / 7.
    std::vector<float> const w{-0.75f, 0.31f, 0.55f, 1.0f, -0.2f}, g{0.3f, -1.0f, 0.7f, 0.1f, 0.9f};
    auto const codes_kept = row_of(asym, w);
    auto const p = codes_kept.params(0);
    double by_scale = 0.0;
    for (std::size_t c = 0; c < w.size(); ++c) {
        double const code = std::round(static_cast<double>(codes_kept.weights()(0, c) / p.scale));
        by_scale += static_cast<double>(g[c]) *
                    (code - static_cast<double>(w[c]) / static_cast<double>(p.scale));
    }
    auto const by = gradient(codes_kept, g);
    CHECK(static_cast<double>(by.low) == doctest::Approx(-by_scale / 7 * -0.75).epsilon(1e-4));
    CHECK(static_cast<double>(by.high) == doctest::Approx(by_scale / 7 * 1.0).epsilon(1e-4));
}

TEST_CASE("a tile of zeros has no gradient and stays zero") {
    std::vector<float> const w(4, 0.0f);
    auto const range = row_of(asym, w);
    CHECK(range.weights()(0, 2) == 0.0f);
    CHECK(gradient(range, {1, 1, 1, 1}).low == 0.0f);
    CHECK(gradient(range, {1, 1, 1, 1}).high == 0.0f);
}
