// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/omniquant.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "threads.hpp"

namespace {

using qtk_test::correlated_hessian;
using qtk_test::random_matrix;

constexpr qtk::scheme a3{
    .element = qtk::i3, .grain = qtk::per_group(8), .zero = qtk::origin::floating};
constexpr qtk::scheme s4{.element = qtk::i4, .grain = qtk::per_channel};

}  // namespace

TEST_CASE("the range is 0.982 of the whole at first") {
    qtk::matrix const w = random_matrix(2, 16, 1);
    qtk::learned_clipping learned(a3, w.view(), {});
    CHECK(learned.factors(3).low == doctest::Approx(0.98201).epsilon(1e-4));
    CHECK(learned.factors(3).high == doctest::Approx(0.98201).epsilon(1e-4));
}

TEST_CASE("with the whole range it is round to nearest") {
    qtk::matrix const w = random_matrix(3, 20, 2);
    CHECK(qtk::learned_clipping(a3, w.view(), {}, {.start = 100.0f}).finish() ==
          qtk::quantize<a3>(w));
    CHECK(qtk::learned_clipping(s4, w.view(), {}, {.start = 100.0f}).finish() ==
          qtk::quantize<s4>(w));
}

TEST_CASE("a lone outlier is clipped where the others count") {
    // Nine inputs in ten are not those of the outlier: its column hardly matters.
    qtk::matrix w = random_matrix(1, 16, 3), h(16, 16);
    w(0, 5) = 12.0f;
    for (std::size_t i = 0; i < 16; ++i) h(i, i) = i == 5 ? 1e-4f : 1.0f;
    constexpr qtk::scheme a3_row{
        .element = qtk::i3, .grain = qtk::per_channel, .zero = qtk::origin::floating};
    auto const [q, report] =
        qtk::omniquant{h, {.steps = 400, .rate = 0.1f}}.reconstruct(a3_row, w.view());
    CHECK(report.learned < 0.3 * report.nearest);
    CHECK(qtk::dequantize(q)(0, 5) < 8.0f);
}

TEST_CASE("clipping helps on correlated inputs") {
    qtk::matrix const w = random_matrix(16, 64, 4), h = correlated_hessian(64, 5);
    for (qtk::scheme const& s : {a3, qtk::scheme{.element = qtk::i3, .grain = qtk::per_channel}}) {
        auto const report = qtk::omniquant{h}.reconstruct(s, w.view()).report;
        CHECK(report.learned < 0.9 * report.nearest);
    }
}

TEST_CASE("what the clipped codes decode to are the weights, bit for bit") {
    qtk::matrix const w = random_matrix(3, 20, 6), gradient = random_matrix(3, 20, 7);
    for (qtk::scheme const& s : {a3, s4}) {
        qtk::learned_clipping learned(s, w.view(), {}, {.rate = 0.5f});
        for (int i = 0; i < 4; ++i) {
            learned.keep_if_best(i == 2 ? 1.0 : 2.0);
            learned.step(gradient.view(), 0.0);
        }
        qtk::matrix const back = qtk::dequantize(learned.finish());
        for (std::size_t i = 0; i < 60; ++i) CHECK(back.data()[i] == learned.weights().flat()[i]);
        CHECK(learned.factors(0).low != doctest::Approx(0.98201).epsilon(1e-3));
    }
}

TEST_CASE("codes of learned clipping do not depend on the number of threads") {
    qtk::matrix const w = random_matrix(130, 96, 8), h = correlated_hessian(96, 9);
    qtk_test::same_for_any_threads([&] {
        return qtk::quantize<a3>(w, qtk::omniquant{h, {.steps = 20}});
    });
}
