// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/rotation.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/load.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace {

qtk::decoder model_of(std::string const& name) {
    return qtk::load_decoder(std::filesystem::path(QTK_GOLDEN_DIR) / "architectures" / name);
}

std::vector<float> logits_of(qtk::decoder const& model) {
    std::vector<std::int32_t> tokens;
    for (std::int32_t t = 0; t < 30; ++t) tokens.push_back(t * 7 % 96);
    auto const logits = model.forward(tokens);
    return {logits.data(), logits.data() + logits.size()};
}

/// Largest difference over largest logit.
double relative_difference(std::vector<float> const& a, std::vector<float> const& b) {
    double worst = 0.0, size = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
        size = std::max(size, std::fabs(static_cast<double>(a[i])));
    }
    return worst / size;
}

std::vector<qtk::matrix> weights_of(qtk::decoder const& model) {
    std::vector<qtk::matrix> weights;
    model.for_each_linear(
        [&](qtk::linear const& layer) { weights.push_back(layer.form().floats()); });
    return weights;
}

constexpr char const* families[] = {"gpt2-untied",    "llama3-scaling", "llama-linear-scaling",
                                    "mistral-window", "qwen2",          "opt"};

}  // namespace

TEST_CASE("layers that rotate their inputs compute what they did, in every family") {
    for (std::string const name :
         {"gpt2-untied", "llama3-scaling", "qwen2", "opt", "opt-post-norm"}) {
        CAPTURE(name);
        qtk::decoder model = model_of(name);
        std::vector<float> const before = logits_of(model);
        auto const weights = weights_of(model);
        for (std::size_t i = 0; i < model.block_count(); ++i) rotate_inputs_of(model, i, 5);
        CHECK(relative_difference(before, logits_of(model)) < 1e-5);
        auto const rotated = weights_of(model);
        for (std::size_t i = 0; i < weights.size(); ++i) CHECK(weights[i] != rotated[i]);
    }
}

TEST_CASE("a rotated stream leaves every network that reads it through norms as it was") {
    for (std::string const name : families)
        for (bool const rotates_heads : {false, true}) {
            CAPTURE(name);
            CAPTURE(rotates_heads);
            qtk::decoder model = model_of(name);
            std::vector<float> const before = logits_of(model);
            auto const weights = weights_of(model);
            rotate_residual(model, {.seed = 3, .rotates_heads = rotates_heads});
            CHECK(relative_difference(before, logits_of(model)) < 1e-5);
            auto const rotated = weights_of(model);
            for (std::size_t i = 0; i < weights.size(); ++i) CHECK(weights[i] != rotated[i]);
            // Nothing is left to do when the network runs.
            model.for_each_linear(
                [](qtk::linear const& layer) { CHECK(layer.input() == nullptr); });
            CHECK(model.last_norm().type == qtk::norm::kind::rms);
            for (float const v : model.last_norm().weight) CHECK(v == 1.0f);
        }
}

TEST_CASE("one token after another gives the same logits, behind rotated ends, too") {
    qtk::decoder model = model_of("opt");
    rotate_residual(model);
    std::vector<std::int32_t> const tokens{1, 2, 3, 4};
    auto const all = model.forward(tokens);
    qtk::kv_cache past(model.config(), 4);
    std::vector<float> last;
    for (std::int32_t const token : tokens) last = model.next_logits(std::span(&token, 1), past);
    for (std::size_t i = 0; i < last.size(); ++i)
        CHECK(last[i] == doctest::Approx(all(3, i)).epsilon(1e-4));
}

TEST_CASE("heads change what values and their reader hold, and nothing else") {
    qtk::decoder with = model_of("llama3-scaling"), without = model_of("llama3-scaling");
    rotate_residual(with, {.seed = 3, .rotates_heads = true});
    rotate_residual(without, {.seed = 3, .rotates_heads = false});
    auto const a = weights_of(with), b = weights_of(without);
    // q, k, v, o, gate, up, down
    for (std::size_t i = 0; i < 7; ++i) CHECK((a[i] != b[i]) == (i == 2 || i == 3));
}

TEST_CASE("both rotations, and factors before them, fit together") {
    qtk::decoder model = model_of("gpt2-untied");
    std::vector<float> const before = logits_of(model);
    rotate_residual(model);
    model.for_each_fold_of(0, [](qtk::fold const& at) {
        if (!at.is_free()) apply_fold(at, std::vector<float>(at.channels(), 2.0f));
    });
    for (std::size_t i = 0; i < model.block_count(); ++i) rotate_inputs_of(model, i, 5);
    CHECK(relative_difference(before, logits_of(model)) < 1e-5);
    std::size_t behind_factors = 0;
    model.for_each_linear([&](qtk::linear const& layer) {
        REQUIRE(layer.input() != nullptr);
        behind_factors += layer.input()->what().factors.empty() ? 0u : 1u;
    });
    CHECK(behind_factors == 1);
}

TEST_CASE("what cannot be rotated is refused before anything changes") {
    qtk::decoder post = model_of("opt-post-norm");
    CHECK_THROWS_WITH_AS(rotate_residual(post), doctest::Contains("rotate_residual: "),
                         qtk::value_error);
    qtk::decoder model = model_of("llama3-scaling");
    auto const weights = weights_of(model);
    std::vector<qtk::linear*> layers;
    model.for_each_linear([&](qtk::linear& layer) { layers.push_back(&layer); });
    constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};
    qtk::weight_matrix const floats = layers.back()->form();
    layers.back()->set_weight(qtk::quantize<w8>(floats.floats()));
    std::string const refusal =
        layers.back()->name() + ": the weight is quantized. Hint: change what it multiplies before";
    CHECK_THROWS_WITH_AS(rotate_residual(model), refusal.c_str(), qtk::value_error);
    CHECK_THROWS_WITH_AS(rotate_input(*layers.back(), qtk::hadamard(layers.back()->in())),
                         refusal.c_str(), qtk::value_error);
    layers.back()->set_weight(floats);
    CHECK(weights_of(model) == weights);
    qtk::hadamard const rotation(layers[0]->in());
    rotate_input(*layers[0], rotation);
    CHECK_THROWS_WITH_AS(rotate_input(*layers[0], rotation),
                         (layers[0]->name() + ": the layer rotates its input already").c_str(),
                         qtk::value_error);
    CHECK_THROWS_AS(rotate_residual(model), qtk::value_error);
}
