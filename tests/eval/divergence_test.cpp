// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/divergence.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/layer_format.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <cmath>
#include <utility>

namespace {

qtk::decoder tiny() {
    qtk_test::temporary_folder const place;
    qtk_test::tiny_gpt2().write(place.path());
    return qtk::load_decoder(place.path());
}
qtk::decoder coarse(qtk::decoder model) {
    model.for_each_linear([](qtk::linear& layer) {
        qtk::apply_format(layer, layer.form(), qtk::parse_layer_format("i2/channel"));
    });
    return model;
}
std::vector<qtk::language_tokens> some_text() {
    return {{"a", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1}}, {"b", {0, 10, 9, 8, 7, 6}}};
}

}  // namespace

TEST_CASE("a model does not move from itself") {
    qtk::decoder const model = tiny();
    auto const same = qtk::evaluate_divergence(model, model, some_text(), {4, 4, 0});
    auto const summary = qtk::summarize(same);
    CHECK(summary.kl == 0.0);
    CHECK(summary.agreement == 1.0);
    CHECK(summary.largest_difference == 0.0);
}

TEST_CASE("divergence and agreement follow their formulae, written out in double precision") {
    qtk::decoder const model = tiny(), other = coarse(model);
    auto const text = some_text();
    auto const found = qtk::evaluate_divergence(model, other, text, {4, 4, 0});
    double kl = 0.0;
    std::size_t agreed = 0, scored = 0;
    for (auto const& [language, tokens] : text)
        for (std::size_t start = 0; start + 4 <= tokens.size(); start += 4) {
            std::span<std::int32_t const> const window(tokens.data() + start, 4);
            auto const a = model.forward(window), b = other.forward(window);
            for (std::size_t t = 0; t < 3; ++t) {
                double sum_a = 0.0, sum_b = 0.0;
                std::size_t best_a = 0, best_b = 0;
                for (std::size_t v = 0; v < 11; ++v) {
                    sum_a += std::exp(static_cast<double>(a(t, v)));
                    sum_b += std::exp(static_cast<double>(b(t, v)));
                    if (a(t, v) > a(t, best_a)) best_a = v;
                    if (b(t, v) > b(t, best_b)) best_b = v;
                }
                for (std::size_t v = 0; v < 11; ++v) {
                    double const p = std::exp(static_cast<double>(a(t, v))) / sum_a,
                                 q = std::exp(static_cast<double>(b(t, v))) / sum_b;
                    kl += p * std::log(p / q);
                }
                agreed += best_a == best_b ? 1u : 0u;
                ++scored;
            }
        }
    auto const summary = qtk::summarize(found);
    REQUIRE(scored == 12);
    CHECK(summary.kl == doctest::Approx(kl / 12.0).epsilon(1e-5));
    CHECK(summary.kl > 1e-3);
    CHECK(summary.agreement == static_cast<double>(agreed) / 12.0);
    CHECK(summary.largest_difference > 0.01);
}

TEST_CASE("the losses beside the divergence are those of the perplexity") {
    qtk::decoder const model = tiny(), other = coarse(model);
    auto const text = some_text();
    auto const both = qtk::evaluate_divergence(model, other, text, {4, 2, 0});
    for (bool const of_reference : {true, false}) {
        auto const losses = qtk::losses_of(both, of_reference);
        auto const expected =
            qtk::evaluate_perplexity(of_reference ? model : other, text, {4, 2, 0});
        REQUIRE(losses.size() == expected.size());
        for (std::size_t i = 0; i < losses.size(); ++i)
            CHECK(losses[i].perplexity() ==
                  doctest::Approx(expected[i].perplexity()).epsilon(1e-6));
    }
}

TEST_CASE("texts that are too short are named, and nothing scored has no mean") {
    qtk::decoder const model = tiny();
    CHECK_THROWS_WITH_AS((void)qtk::evaluate_divergence(model, model, some_text(), {8, 8, 0}),
                         doctest::Contains("b: "), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::summarize({}), qtk::value_error);
}
