// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/auto_round.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "threads.hpp"
#include <vector>

namespace {

using qtk_test::correlated_hessian;
using qtk_test::random_matrix;

constexpr qtk::scheme a3{
    .element = qtk::i3, .grain = qtk::per_group(8), .zero = qtk::origin::floating};
constexpr qtk::scheme s4{.element = qtk::i4, .grain = qtk::per_channel};

}  // namespace

TEST_CASE("without a step it is round to nearest") {
    qtk::matrix const w = random_matrix(5, 20, 1), h = correlated_hessian(20, 2);
    CHECK(qtk::quantize<a3>(w, qtk::auto_round{h, {.steps = 0}}) == qtk::quantize<a3>(w));
    CHECK(qtk::quantize<s4>(w, qtk::auto_round{h, {.steps = 0}}) == qtk::quantize<s4>(w));
}

TEST_CASE("one step has the same length for every gradient, and against its sign") {
    // Steps of one: 7 is code 7. 0.45 and 2.55 are within 0.1 of the middle between two codes.
    std::vector<float> const w{7.0f, 0.45f, 2.55f, -1.3f};
    qtk::signed_rounding learned(s4, {w.data(), 1, 4}, {}, {.rate = 0.1f, .learns_range = false});
    CHECK(learned.weights()(0, 1) == 0.0f);
    CHECK(learned.weights()(0, 2) == 3.0f);
    std::vector<float> const g{0.0f, -1e-6f, 1e6f, 2.0f};
    learned.step({g.data(), 1, 4}, 0.0);
    CHECK(learned.weights()(0, 1) == 1.0f);   // went up
    CHECK(learned.weights()(0, 2) == 2.0f);   // went down
    CHECK(learned.weights()(0, 3) == -1.0f);  // -1.4 still rounds to -1
}

TEST_CASE("the length of a step falls to zero") {
    std::vector<float> const w{7.0f, 0.45f}, g{0.0f, -1.0f};
    qtk::signed_rounding early(s4, {w.data(), 1, 2}, {}, {.rate = 0.2f, .learns_range = false}),
        late = early;
    early.step({g.data(), 1, 2}, 0.5);
    late.step({g.data(), 1, 2}, 0.9);  // 0.02: too short
    CHECK(early.weights()(0, 1) == 1.0f);
    CHECK(late.weights()(0, 1) == 0.0f);
}

TEST_CASE("a shift never leaves half a step") {
    std::vector<float> const w{7.0f, 0.9f}, g{0.0f, 1.0f};
    qtk::signed_rounding learned(s4, {w.data(), 1, 2}, {}, {.rate = 0.4f, .learns_range = false});
    for (int i = 0; i < 50; ++i) learned.step({g.data(), 1, 2}, 0.0);
    CHECK(learned.weights()(0, 1) == 0.0f);  // 0.9 - 0.5
    std::vector<float> const back{0.0f, -1.0f};
    learned.step({back.data(), 1, 2}, 0.0);
    CHECK(learned.weights()(0, 1) == 1.0f);  // -0.5 + 0.4, not -20 + 0.4
}

TEST_CASE("the best codes of all steps are kept") {
    qtk::matrix const w = random_matrix(3, 16, 3), gradient = random_matrix(3, 16, 4);
    qtk::signed_rounding learned(a3, w.view(), {}, {.rate = 0.3f});
    learned.keep_if_best(2.0);
    learned.step(gradient.view(), 0.0);
    qtk::matrix best(3, 16);
    std::ranges::copy(learned.weights().flat(), best.data());
    learned.keep_if_best(1.0);
    learned.step(gradient.view(), 0.0);
    learned.keep_if_best(1.5);
    CHECK(qtk::dequantize(learned.finish()) == best);
    for (std::size_t i = 0; i < 48; ++i) CHECK(learned.weights().flat()[i] == best.data()[i]);
}

TEST_CASE("without a loss to go by, the latest codes are given, and decode to the weights") {
    qtk::matrix const w = random_matrix(3, 20, 5), gradient = random_matrix(3, 20, 6);
    for (qtk::scheme const& s : {a3, s4}) {
        qtk::signed_rounding learned(s, w.view(), {}, {.rate = 0.1f});
        for (int i = 0; i < 4; ++i) learned.step(gradient.view(), 0.1);
        qtk::matrix const back = qtk::dequantize(learned.finish());
        for (std::size_t i = 0; i < 60; ++i) CHECK(back.data()[i] == learned.weights().flat()[i]);
    }
}

TEST_CASE(
    "the outputs are better than those of round to nearest, with a range that moves and without") {
    qtk::matrix const w = random_matrix(16, 64, 7), h = correlated_hessian(64, 8);
    auto const report = qtk::auto_round{h}.reconstruct(a3, w.view()).report;
    auto const fixed = qtk::auto_round{h, {.learns_range = false}}.reconstruct(a3, w.view()).report;
    CHECK(report.learned < 0.8 * report.nearest);
    CHECK(fixed.learned < 0.8 * fixed.nearest);
    CHECK(report.learned != fixed.learned);
}

TEST_CASE("codes of signed rounding do not depend on the number of threads") {
    qtk::matrix const w = random_matrix(130, 96, 9), h = correlated_hessian(96, 10);
    qtk_test::same_for_any_threads([&] {
        return qtk::quantize<a3>(w, qtk::auto_round{h, {.steps = 20}});
    });
}
