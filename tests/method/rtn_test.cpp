// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/method/rtn.hpp>
#include <qtk/range/minmax.hpp>

#include <doctest/doctest.h>

#include <limits>

namespace {

using qtk::matrix_view;
using qtk::scheme;

template <scheme S>
qtk::any_qmatrix rtn(matrix_view<float const> w, qtk::quantize_options const& options = {}) {
    return qtk::round_to_nearest<qtk::quantizer_for<S>>(S, w, qtk::minmax_range{}, options);
}
float value(qtk::any_qmatrix const& q, std::size_t r, std::size_t c) {
    auto const p = q.params(r / q.grid().rows, c / q.grid().cols);
    int const zero = q.scheme().element.is_integer() ? p.zero : 0;
    return (qtk::levels_of(q.scheme().element)[q.field(r, c)] - static_cast<float>(zero)) * p.scale;
}

constexpr scheme w4{.element = qtk::i4, .grain = qtk::per_group(4)};
constexpr scheme a4{.element = qtk::i4, .grain = qtk::per_group(4), .zero = qtk::origin::floating};
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("an empty matrix has no tiles and no codes") {
    CHECK(rtn<w4>({nullptr, 0, 8}).bytes() == 0);
    CHECK(rtn<w4>({nullptr, 3, 0}).bytes() == 0);
}

TEST_CASE("zeros have scale one and zero codes") {
    std::vector<float> const w(8, 0.0f);
    auto const sym = rtn<w4>({w.data(), 1, 8}), asym = rtn<a4>({w.data(), 1, 8});
    CHECK(sym.scale(0, 0) == 1.0f);
    CHECK(sym.code(0, 5) == 0);
    CHECK(asym.zero_point(0, 0) == 0);
    CHECK(asym.code(0, 5) == 0);
}

TEST_CASE("a group of four is what one computes by hand") {
    float const w[] = {0.7f, -0.35f, 0.1f, -0.04f, 3.0f, 1.0f};
    auto const q = rtn<w4>({w, 1, 6});
    CHECK(q.scale(0, 0) == 0.7f / 7.0f);
    CHECK(q.code(0, 0) == 7);
    CHECK(q.code(0, 2) == 1);
    CHECK(q.code(0, 3) == 0);
    CHECK(q.scale(0, 4) == 3.0f / 7.0f);  // the last, partial group has its own scale
    CHECK(q.code(0, 4) == 7);
    CHECK(q.code(0, 5) == 2);
}

TEST_CASE("an asymmetric group reaches both ends and keeps real zero") {
    float const w[] = {-0.5f, 1.0f, 0.0f, 0.25f};
    auto const q = rtn<a4>({w, 1, 4});
    CHECK(q.scale(0, 0) == 1.5f / 15.0f);
    CHECK(q.zero_point(0, 0) == -8 + 5);
    CHECK(q.code(0, 0) == -8);
    CHECK(q.code(0, 1) == 7);
    CHECK(value(q, 0, 2) == 0.0f);
}

TEST_CASE("a block is the rectangle that shares its scale") {
    constexpr scheme s{.element = qtk::i8, .grain = qtk::per_block(2, 3)};
    auto const w = qtk::gaussian_vector(5 * 7, 3);
    auto const q = rtn<s>({w.data(), 5, 7});
    CHECK(q.grid().down == 3);
    CHECK(q.grid().across == 3);
    float largest = 0.0f;
    for (std::size_t r = 2; r < 4; ++r)
        for (std::size_t c = 3; c < 6; ++c) largest = std::max(largest, std::fabs(w[r * 7 + c]));
    CHECK(q.scale(3, 4) == largest / 127.0f);
}

TEST_CASE("every grain leaves at most half a step of error") {
    auto const w = qtk::gaussian_vector(13 * 37, 5);
    matrix_view<float const> const view(w.data(), 13, 37);
    auto const check = [&](qtk::any_qmatrix const& q) {
        for (std::size_t r = 0; r < 13; ++r)
            for (std::size_t c = 0; c < 37; ++c) {
                // Half a step, and the roundings of the division and of the product.
                float const bound = 0.5f * q.scale(r, c) + 4e-7f * std::fabs(view(r, c));
                REQUIRE(std::fabs(value(q, r, c) - view(r, c)) <= bound);
            }
    };
    check(rtn<scheme{.element = qtk::i4, .grain = qtk::per_tensor}>(view));
    check(rtn<scheme{.element = qtk::i3, .grain = qtk::per_channel}>(view));
    check(rtn<scheme{.element = qtk::u5, .grain = qtk::per_group(8)}>(view));
    check(rtn<scheme{.element = qtk::i6, .grain = qtk::per_block(4, 16)}>(view));
}

TEST_CASE("a strided view is quantized as its copy is") {
    auto const w = qtk::gaussian_vector(6 * 20, 7);
    matrix_view<float const> const inner(w.data() + 3, 6, 11, 20);
    std::vector<float> copy;
    for (std::size_t r = 0; r < 6; ++r)
        copy.insert(copy.end(), inner.row(r).begin(), inner.row(r).end());
    constexpr scheme tensor{.element = qtk::i4, .grain = qtk::per_tensor};
    CHECK(rtn<w4>(inner) == rtn<w4>({copy.data(), 6, 11}));
    CHECK(rtn<tensor>(inner) == rtn<tensor>({copy.data(), 6, 11}));
}

TEST_CASE("signed and unsigned codes are the same bytes") {
    constexpr scheme u{
        .element = qtk::u4, .grain = qtk::per_group(4), .zero = qtk::origin::floating};
    auto const w = qtk::gaussian_vector(4 * 16, 11);
    auto const q = rtn<a4>({w.data(), 4, 16}), v = rtn<u>({w.data(), 4, 16});
    CHECK(std::ranges::equal(q.codes(), v.codes()));
    CHECK(std::ranges::equal(q.zeros(), v.zeros()));
    CHECK(q.code(2, 3) + 8 == v.code(2, 3));
    CHECK(q.zero_point(2, 3) + 8 == v.zero_point(2, 3));
}

TEST_CASE("two-level scales put the largest tile on the largest e4m3 scale") {
    auto const w = qtk::gaussian_vector(8 * 64, 13);
    auto const q = rtn<qtk::nvfp4>({w.data(), 8, 64});
    float largest = 0.0f;
    for (float const x : w) largest = std::max(largest, std::fabs(x));
    CHECK(q.tensor_scale() == doctest::Approx(largest / 6.0f / 448.0f).epsilon(1e-6));
    bool reaches_top = false;
    for (std::uint8_t const pattern : q.scales()) reaches_top = reaches_top || pattern == 0x7e;
    CHECK(reaches_top);
}

TEST_CASE("NaN and infinity are an error that counts them and names the first") {
    float const w[] = {1, 2, 3, 4, 5, not_a_number, 7, infinity};
    try {
        (void)rtn<w4>({w, 2, 4}, {.name = "h.0.c_fc"});
        FAIL("nothing was thrown");
    } catch (qtk::nonfinite_error const& e) {
        CHECK(e.count == 2);
        CHECK(e.first == 5);
        CHECK(std::string(e.what()).find("h.0.c_fc") != std::string::npos);
        CHECK(std::string(e.what()).find("row 1, column 1") != std::string::npos);
    }
}

TEST_CASE("propagate makes the whole tile NaN and leaves the others alone") {
    float const w[] = {1, not_a_number, 3, 4, 5, 6, 7, 8};
    auto const q = rtn<w4>({w, 1, 8}, {.on_nonfinite = qtk::nonfinite::propagate});
    for (std::size_t c = 0; c < 4; ++c) CHECK(std::isnan(value(q, 0, c)));
    for (std::size_t c = 4; c < 8; ++c) CHECK(value(q, 0, c) == doctest::Approx(w[c]).epsilon(0.1));
}

TEST_CASE("propagate is visible through every scale type") {
    float const w[] = {1, infinity, 3, 4};
    auto const lost = [&](qtk::any_qmatrix const& q) { return std::isnan(q.scale(0, 0)); };
    qtk::quantize_options const keep{.on_nonfinite = qtk::nonfinite::propagate};
    using enum qtk::scale_type;
    CHECK(lost(rtn<scheme{.element = qtk::i4, .scale = f16}>({w, 1, 4}, keep)));
    CHECK(lost(rtn<scheme{.element = qtk::i4, .scale = bf16}>({w, 1, 4}, keep)));
    CHECK(lost(rtn<scheme{.element = qtk::i4, .scale = e8m0}>({w, 1, 4}, keep)));
    CHECK(lost(rtn<qtk::nvfp4>({w, 1, 4}, keep)));
}

TEST_CASE("saturate takes the largest finite value of the tile, zero takes zero") {
    float const w[] = {1, -infinity, 0.5f, not_a_number};
    auto const saturated = rtn<w4>({w, 1, 4}, {.on_nonfinite = qtk::nonfinite::saturate});
    CHECK(value(saturated, 0, 1) == -value(saturated, 0, 0));
    CHECK(value(saturated, 0, 3) == 0.0f);
    auto const zeroed = rtn<w4>({w, 1, 4}, {.on_nonfinite = qtk::nonfinite::zero});
    CHECK(value(zeroed, 0, 1) == 0.0f);
    CHECK(value(zeroed, 0, 0) == doctest::Approx(1.0));
}

TEST_CASE("a scale that its type cannot hold is an error, a tiny one is not") {
    float const big[] = {1e8f, 1, 1, 1}, tiny[] = {1e-12f, 0, 0, 0};
    constexpr scheme half{.element = qtk::i4, .scale = qtk::scale_type::f16};
    CHECK_THROWS_AS(rtn<half>({big, 1, 4}), qtk::value_error);
    CHECK(value(rtn<half>({tiny, 1, 4}), 0, 0) == 0.0f);
}

TEST_CASE("a fused pass gives the bytes of measuring, fitting and encoding one after the other") {
    // Another estimator with the same answers takes the other path.
    struct extremes_too {
        qtk::interval estimate(std::span<float const> tile) const {
            return qtk::minmax_range{}.estimate(tile);
        }
    };
    auto const w = qtk::gaussian_vector(7 * 300, 19);
    matrix_view<float const> const view(w.data(), 7, 293, 300);
    auto const check = [&]<scheme S>() {
        std::string const name = qtk::to_string(S);
        CAPTURE(name);
        CHECK(rtn<S>(view) ==
              qtk::round_to_nearest<qtk::quantizer_for<S>>(S, view, extremes_too{}));
    };
    using enum qtk::scale_type;
    using qtk::origin;
    check.template operator()<w4>();
    check.template operator()<a4>();
    check
        .template operator()<scheme{.element = qtk::i8, .grain = qtk::per_channel, .scale = f16}>();
    check.template operator()<scheme{
        .element = qtk::u3, .grain = qtk::per_group(5), .zero = origin::floating, .scale = bf16}>();
    check.template operator()<scheme{.element = qtk::i4, .grain = qtk::per_block(3, 100)}>();
    check.template operator()<scheme{.element = qtk::i5, .zero = origin::floating}>();
    check.template operator()<scheme{.element = qtk::nf4, .grain = qtk::per_group(64)}>();
    check.template operator()<scheme{.element = qtk::e4m3, .round = qtk::rounding::nearest_away}>();
    check.template operator()<scheme{
        .element = qtk::i4, .grain = qtk::per_group(16), .round = qtk::rounding::stochastic}>();
    check.template operator()<qtk::mxfp4>();
    check.template operator()<qtk::nvfp4>();
}

TEST_CASE("one value that is not finite leaves every other tile as it was") {
    auto const w = qtk::gaussian_vector(5 * 64, 23);
    auto damaged = w;
    damaged[3 * 64 + 17] = infinity;
    damaged[3 * 64 + 18] = not_a_number;
    for (auto const policy :
         {qtk::nonfinite::propagate, qtk::nonfinite::saturate, qtk::nonfinite::zero}) {
        auto const q = rtn<w4>({damaged.data(), 5, 64}, {.on_nonfinite = policy});
        auto const sound = rtn<w4>({w.data(), 5, 64});
        for (std::size_t r = 0; r < 5; ++r)
            for (std::size_t c = 0; c < 64; ++c)
                if (r != 3 || c / 4 != 4) CHECK(value(q, r, c) == value(sound, r, c));
        CHECK(std::isnan(value(q, 3, 17)) == (policy == qtk::nonfinite::propagate));
    }
}

TEST_CASE("a value that is not finite is named even where a scale does not fit earlier") {
    constexpr scheme half{
        .element = qtk::i4, .grain = qtk::per_group(4), .scale = qtk::scale_type::f16};
    float const w[] = {1e8f, 1, 1, 1, 1, 1, not_a_number, 1};
    CHECK_THROWS_AS(rtn<half>({w, 2, 4}), qtk::nonfinite_error);
}

TEST_CASE("stochastic codes depend on the seed and on nothing else") {
    constexpr scheme s{
        .element = qtk::i4, .grain = qtk::per_group(16), .round = qtk::rounding::stochastic};
    auto const w = qtk::gaussian_vector(64 * 4096, 17);
    matrix_view<float const> const view(w.data(), 64, 4096);
    auto const first = rtn<s>(view, {.seed = 1});
    CHECK(first == rtn<s>(view, {.seed = 1}));
    CHECK_FALSE(first == rtn<s>(view, {.seed = 2}));
}
