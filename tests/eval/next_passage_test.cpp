// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/next_passage.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <algorithm>
#include <cmath>
#include <set>

TEST_CASE(
    "every line but the last of its block has a question, and wrong lines come from elsewhere") {
    auto const choices = qtk::passage_choices(40, {.block = 10, .choices = 4, .seed = 3});
    CHECK(choices.size() == 36);
    for (auto const& choice : choices) {
        CHECK((choice.line + 1) % 10 != 0);
        REQUIRE(choice.candidates.size() == 4);
        CHECK(choice.candidates.front() == choice.line + 1);
        CHECK(std::set<std::size_t>(choice.candidates.begin(), choice.candidates.end()).size() ==
              4);
        for (std::size_t c = 1; c < 4; ++c) {
            CHECK(choice.candidates[c] / 10 != choice.line / 10);
            CHECK(choice.candidates[c] < 40);
        }
    }
    auto const other = qtk::passage_choices(40, {.block = 10, .choices = 4, .seed = 4});
    CHECK(other.front().candidates != choices.front().candidates);
    CHECK_THROWS_AS((void)qtk::passage_choices(12, {}), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::passage_choices(40, {.choices = 1}), qtk::value_error);
}

TEST_CASE("the line with the smallest mean loss is chosen") {
    qtk_test::temporary_folder const place;
    qtk_test::tiny_gpt2().write(place.path());
    auto const model = qtk::load_decoder(place.path());
    std::vector<std::vector<std::int32_t>> const lines{{1, 2}, {3, 4}, {6, 7}, {8}, {9, 10}};
    auto const loss = [&](std::size_t line, std::size_t next) {
        std::vector<std::int32_t> tokens{0};
        tokens.insert(tokens.end(), lines[line].begin(), lines[line].end());
        std::size_t const start = tokens.size();
        tokens.insert(tokens.end(), lines[next].begin(), lines[next].end());
        auto const logits = model.forward(tokens);
        double sum = 0.0;
        for (std::size_t t = start; t < tokens.size(); ++t) {
            double all = 0.0;
            for (std::size_t v = 0; v < 11; ++v)
                all += std::exp(static_cast<double>(logits(t - 1, v)));
            sum += std::log(all) -
                   static_cast<double>(logits(t - 1, static_cast<std::size_t>(tokens[t])));
        }
        return sum / static_cast<double>(lines[next].size());
    };
    std::vector<qtk::passage_choice> choices;
    std::vector<std::uint8_t> expected;
    for (std::size_t line = 0; line < 5; ++line)
        for (std::size_t a = 0; a < 5; ++a)
            for (std::size_t b = 0; b < 5; ++b) {
                if (a == b) continue;
                choices.push_back({line, {a, b}});
                expected.push_back(loss(line, a) <= loss(line, b) ? 1 : 0);
            }
    CHECK(qtk::choose_next_passages(model, lines, 0, choices) == expected);
    CHECK(std::ranges::count(expected, 1) > 0);
    CHECK(std::ranges::count(expected, 0) > 0);
}

TEST_CASE("a line without tokens is refused") {
    qtk_test::temporary_folder const place;
    qtk_test::tiny_gpt2().write(place.path());
    auto const model = qtk::load_decoder(place.path());
    std::vector<std::vector<std::int32_t>> const lines{{1}, {}};
    CHECK_THROWS_AS((void)qtk::choose_next_passages(model, lines, {}, {}), qtk::value_error);
}
