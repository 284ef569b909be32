// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/sampling.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace {

/// How often each token comes in 4000 draws.
std::vector<int> draws(std::vector<float> const& logits, qtk::sampling_options options) {
    std::vector<int> count(logits.size());
    qtk::sampler next(options);
    for (int i = 0; i < 4000; ++i) ++count[static_cast<std::size_t>(next(logits))];
    return count;
}

// Probabilities 0.1, 0.2, 0.4, 0.3.
std::vector<float> const logits{std::log(1.0f), std::log(2.0f), std::log(4.0f), std::log(3.0f)};

}  // namespace

TEST_CASE("without temperature the most likely token comes, the first of equals") {
    qtk::sampler next({});
    CHECK(next(logits) == 2);
    CHECK(next(std::array{1.0f, 7.0f, 7.0f}) == 1);
}

TEST_CASE("tokens come as often as their probability says") {
    auto const count = draws(logits, {.temperature = 1.0f, .seed = 1});
    double const expected[] = {400, 800, 1600, 1200};
    for (std::size_t i = 0; i < 4; ++i)
        CHECK(std::fabs(count[i] - expected[i]) < 5.0 * std::sqrt(expected[i]));
    // At temperature 1/2 probabilities are squared: 1, 4, 16, 9 of 30.
    auto const cold = draws(logits, {.temperature = 0.5f, .seed = 1});
    CHECK(std::fabs(cold[2] - 4000 * 16.0 / 30) < 5.0 * std::sqrt(4000 * 16.0 / 30));
}

TEST_CASE("only the k most likely, and only the fewest that hold p, are drawn") {
    auto const two = draws(logits, {.temperature = 1.0f, .top_k = 2, .seed = 2});
    CHECK((two[0] == 0 && two[1] == 0 && two[2] > 0 && two[3] > 0));
    // 0.4 + 0.3 reaches 0.65, 0.4 alone does not.
    auto const nucleus = draws(logits, {.temperature = 1.0f, .top_p = 0.65f, .seed = 2});
    CHECK((nucleus[0] == 0 && nucleus[1] == 0 && nucleus[2] > 0 && nucleus[3] > 0));
    auto const one = draws(logits, {.temperature = 1.0f, .top_p = 0.3f, .seed = 2});
    CHECK(one[2] == 4000);
}

TEST_CASE("a seed draws the same tokens again, another one others") {
    auto const tokens = [](std::uint64_t seed) {
        qtk::sampler next({.temperature = 2.0f, .seed = seed});
        std::vector<std::int32_t> drawn;
        for (int i = 0; i < 40; ++i) drawn.push_back(next(logits));
        return drawn;
    };
    CHECK(tokens(7) == tokens(7));
    CHECK(tokens(7) != tokens(8));
}

TEST_CASE("options and logits that make no sense are refused") {
    CHECK_THROWS_AS(qtk::sampler({.temperature = -1.0f}), qtk::value_error);
    CHECK_THROWS_AS(qtk::sampler({.temperature = NAN}), qtk::value_error);
    CHECK_THROWS_AS(qtk::sampler({.top_p = 0.0f}), qtk::value_error);
    CHECK_THROWS_AS(qtk::sampler({.top_p = 1.5f}), qtk::value_error);
    qtk::sampler next({});
    CHECK_THROWS_AS((void)next(std::vector<float>{}), qtk::value_error);
    CHECK_THROWS_AS((void)next(std::array{1.0f, NAN}), qtk::value_error);
}
