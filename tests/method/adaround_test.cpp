// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/adaround.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "threads.hpp"
#include <array>
#include <cmath>

namespace {

using qtk_test::correlated_hessian;
using qtk_test::random_matrix;

constexpr qtk::scheme a3{
    .element = qtk::i3, .grain = qtk::per_group(8), .zero = qtk::origin::floating};
constexpr qtk::scheme s4{.element = qtk::i4, .grain = qtk::per_channel};

qtk::matrix identity(std::size_t n) {
    qtk::matrix h(n, n);
    for (std::size_t i = 0; i < n; ++i) h(i, i) = 1.0f;
    return h;
}

}  // namespace

TEST_CASE("soft rounding starts at the weight itself") {
    qtk::matrix const w = random_matrix(3, 20, 1);
    qtk::soft_rounding const learned(s4, w.view(), {});
    for (std::size_t i = 0; i < 60; ++i)
        CHECK(learned.weights().flat()[i] == doctest::Approx(w.data()[i]).epsilon(1e-4));
}

TEST_CASE("hard from the start, soft rounding is round to nearest") {
    qtk::matrix const w = random_matrix(3, 20, 1);
    CHECK(qtk::soft_rounding(a3, w.view(), {}).finish() == qtk::quantize<a3>(w));
}

TEST_CASE("with inputs that are not correlated, nothing beats round to nearest") {
    qtk::matrix const w = random_matrix(6, 16, 2), h = identity(16);
    CHECK(qtk::quantize<a3>(w, qtk::adaround{h}) == qtk::quantize<a3>(w));
    CHECK(qtk::quantize<s4>(w, qtk::adaround{h}) == qtk::quantize<s4>(w));
}

TEST_CASE("every weight becomes one of its two neighbours on the grid") {
    qtk::matrix const w = random_matrix(8, 32, 3), h = correlated_hessian(32, 4);
    auto const q = qtk::quantize<a3>(w, qtk::adaround{h});
    qtk::matrix const back = qtk::dequantize(q);
    std::size_t moved = 0;
    for (std::size_t r = 0; r < 8; ++r)
        for (std::size_t c = 0; c < 32; ++c) {
            float const s = q.scale(r, c);
            CHECK(std::fabs(back(r, c) - w(r, c)) < s * 1.001f);
            moved += std::fabs(back(r, c) - w(r, c)) > 0.501f * s ? 1u : 0u;
        }
    CHECK(moved > 10);  // not all to the nearest
}

TEST_CASE("a scale may be shared by all rows, or by a block of several") {
    qtk::matrix const w = random_matrix(7, 32, 3), h = correlated_hessian(32, 4);
    for (qtk::scheme const& s : {qtk::scheme{.element = qtk::i3}, qtk::scheme{.element = qtk::i3,
                                                                  .grain = qtk::per_block(2, 8),
                                                                  .zero = qtk::origin::floating}}) {
        CHECK(qtk::soft_rounding(s, w.view(), {}).finish() == qtk::quantize_any(w, s));
        auto const [q, report] = qtk::adaround{h}.reconstruct(s, w.view());
        CHECK(report.learned < 0.7 * report.nearest);
        CHECK(q.scale(6, 0) == qtk::quantize_any(w, s).scale(6, 0));
        qtk::matrix const back = qtk::dequantize(q);
        for (std::size_t r = 0; r < 7; ++r)
            for (std::size_t c = 0; c < 32; ++c)
                CHECK(std::fabs(back(r, c) - w(r, c)) < q.scale(r, c) * 1.001f);
    }
}

TEST_CASE("two weights with one input between them share the error") {
    // x1 = x2: only the sum of both errors counts, and each of both alone would be rounded down.
    float const w[] = {0.4f, 0.3f, 7.0f}, values[] = {1, 1, 0, 1, 1, 0, 0, 0, 1};
    qtk::matrix_view<float const> const h(values, 3, 3);
    auto const q = qtk::quantize<s4>(qtk::matrix_view<float const>(w, 1, 3), qtk::adaround{h});
    CHECK(q.code(0, 0) + q.code(0, 1) == 1);
    CHECK(q.code(0, 2) == 7);
}

TEST_CASE("the outputs are clearly better than those of round to nearest") {
    qtk::matrix const w = random_matrix(16, 64, 5), h = correlated_hessian(64, 6);
    auto const [q, report] = qtk::adaround{h}.reconstruct(a3, w.view());
    CHECK(report.learned < 0.6 * report.nearest);
    qtk::matrix gradient(16, 64);
    CHECK(qtk::layer_objective(w.view(), h.view())
              .evaluate(qtk::dequantize(q).view(), gradient.view()) == report.learned);
    CHECK(report.steps == 400);
}

TEST_CASE("after finish() the weights are what the codes decode to, bit for bit") {
    qtk::matrix const w = random_matrix(4, 20, 7), gradient = random_matrix(4, 20, 8);
    for (qtk::scheme const& s : {a3, s4}) {
        qtk::soft_rounding learned(s, w.view(), {}, {.range = qtk::mse_range{}});
        for (int i = 0; i < 5; ++i) learned.step(gradient.view(), i / 5.0);
        qtk::matrix const back = qtk::dequantize(learned.finish());
        for (std::size_t i = 0; i < 80; ++i) CHECK(back.data()[i] == learned.weights().flat()[i]);
    }
}

TEST_CASE("the grid may be that of another range estimator") {
    qtk::matrix const w = random_matrix(4, 64, 9), h = correlated_hessian(64, 10);
    auto const q = qtk::adaround{h, {.range = qtk::mse_range{}}}.reconstruct(a3, w.view());
    CHECK(q.weight.params(0, 0).scale == qtk::quantize<a3>(w, qtk::mse_range{}).params(0, 0).scale);
    CHECK(q.report.is_better());
}

TEST_CASE("the codes do not depend on the number of threads") {
    qtk::matrix const w = random_matrix(130, 96, 11), h = correlated_hessian(96, 12);
    qtk_test::same_for_any_threads([&] {
        return qtk::quantize<a3>(w, qtk::adaround{h, {.steps = 20}});
    });
}
