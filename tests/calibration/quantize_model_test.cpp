// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/quantize_model.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/calibration/method_spelling.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <string>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

using windows = std::vector<std::vector<std::int32_t>>;

constexpr qtk::scheme w3{
    .element = qtk::i3, .grain = qtk::per_group(4), .zero = qtk::origin::floating};

qtk::decoder loaded(qtk_test::model_folder const& model) {
    qtk_test::temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_decoder(folder.path());
}

windows const texts{{1, 2, 3, 4, 5}, {4, 5, 6, 7}, {8, 9, 10}, {10, 0, 1, 2}, {3, 9, 2, 7, 1, 5}};

qtk::model_plan everywhere(char const* method) {
    return [chain = qtk::parse_method(method)](std::string const&) {
        return qtk::layer_plan{w3, chain};
    };
}

/// What the blocks make of the text: sum of squares of the difference.
double distance(qtk::decoder const& a, qtk::decoder const& b) {
    double sum = 0.0;
    for (auto const& tokens : texts) {
        qtk::matrix const x = a.hidden(tokens), y = b.hidden(tokens);
        for (std::size_t i = 0; i < x.view().size(); ++i) {
            double const d = static_cast<double>(x.data()[i]) - static_cast<double>(y.data()[i]);
            sum += d * d;
        }
    }
    return sum;
}

}  // namespace

TEST_CASE("round to nearest needs no text and gives every layer its codes") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const original = loaded(folder);
        auto model = original;
        auto const outcomes = qtk::quantize_model(model, everywhere("rtn"), {});
        std::vector<qtk::matrix> weights;
        original.for_each_linear([&](qtk::linear const& l) { weights.push_back(l.weight()); });
        REQUIRE(outcomes.size() == weights.size());
        std::size_t i = 0;
        std::as_const(model).for_each_linear([&](qtk::linear const& layer) {
            CHECK(outcomes[i].name == layer.name());
            CHECK(outcomes[i].scheme == w3);
            CHECK_FALSE(outcomes[i].output_error);
            CHECK(layer.quantized_weight() == qtk::quantize<w3>(weights[i]));
            ++i;
        });
    }
}

TEST_CASE("codes can be taken away block by block, and the rest of the model is the same") {
    for (char const* const method : {"gptq:sequential", "rtn+bias", "brecq:steps=2"}) {
        CAPTURE(method);
        auto kept = loaded(qtk_test::tiny_llama());
        auto taken = kept;
        static_cast<void>(qtk::quantize_model(kept, everywhere(method), texts));
        std::vector<std::size_t> blocks;
        std::map<std::string, qtk::any_qmatrix> codes;
        static_cast<void>(
            qtk::quantize_model(taken, everywhere(method), texts, {}, [&](std::size_t block) {
                blocks.push_back(block);
                taken.for_each_linear_of(block, [&](qtk::linear& layer) {
                    codes.emplace(layer.name(), layer.take_codes());
                });
            }));
        CHECK(blocks == std::vector<std::size_t>{0, 1});
        std::as_const(kept).for_each_linear([&](qtk::linear const& layer) {
            CHECK(codes.at(layer.name()) == layer.quantized_weight());
        });
    }
}

TEST_CASE("the first block's codes are GPTQ's for what the float block sees") {
    auto const original = loaded(qtk_test::tiny_llama());
    auto model = original;
    auto const outcomes = qtk::quantize_model(model, everywhere("gptq"), texts);
    qtk::calibration_stream const stream(original, texts);
    std::map<std::string, qtk::input_statistics> seen;
    stream.observe(original, [&](qtk::layer_group layers, qtk::matrix_view<float const> x) {
        for (qtk::linear const* const layer : layers)
            seen.try_emplace(layer->name(), layer->in()).first->second.add(x);
    });
    std::map<std::string, qtk::matrix> weights;
    original.for_each_linear_of(0, [&](qtk::linear const& l) { weights[l.name()] = l.weight(); });
    std::as_const(model).for_each_linear_of(0, [&](qtk::linear const& layer) {
        CHECK(
            layer.quantized_weight() ==
            qtk::gptq(seen.at(layer.name()).hessian()).quantize(w3, weights[layer.name()].view()));
    });
    for (auto const& o : outcomes) {
        REQUIRE(o.output_error);
        CHECK(*o.output_error > 0.0);
        CHECK(*o.output_error < 1.0);
    }
}

TEST_CASE("later blocks are fitted to what the quantized ones before them make") {
    auto const original = loaded(qtk_test::tiny_llama());
    auto model = original;
    static_cast<void>(qtk::quantize_model(model, everywhere("gptq"), texts));
    // By hand: quantize block 0, run it, and calibrate block 1 on that.
    auto by_hand = original;
    static_cast<void>(qtk::quantize_model(
        by_hand,
        [&](std::string const& name) {
            return name.find(".0.") != name.npos ? qtk::layer_plan{w3, qtk::parse_method("gptq")}
                                                 : qtk::layer_plan{};
        },
        texts));
    qtk::calibration_stream stream(by_hand, texts);
    stream.advance(by_hand);
    std::map<std::string, qtk::input_statistics> seen;
    stream.observe(by_hand, [&](qtk::layer_group layers, qtk::matrix_view<float const> x) {
        for (qtk::linear const* const layer : layers)
            seen.try_emplace(layer->name(), layer->in()).first->second.add(x);
    });
    std::map<std::string, qtk::matrix> weights;
    original.for_each_linear_of(1, [&](qtk::linear const& l) { weights[l.name()] = l.weight(); });
    std::as_const(model).for_each_linear_of(1, [&](qtk::linear const& layer) {
        CHECK(
            layer.quantized_weight() ==
            qtk::gptq(seen.at(layer.name()).hessian()).quantize(w3, weights[layer.name()].view()));
    });
}

TEST_CASE("with :sequential a layer sees what the quantized layers before it in the block make") {
    auto const original = loaded(qtk_test::tiny_gpt2());
    auto model = original;
    static_cast<void>(qtk::quantize_model(model, everywhere("gptq:sequential"), texts));
    // The second layer of block 0, with the first one quantized.
    auto by_hand = original;
    std::vector<std::string> names;
    original.for_each_linear_of(0, [&](qtk::linear const& l) { names.push_back(l.name()); });
    static_cast<void>(qtk::quantize_model(
        by_hand,
        [&](std::string const& name) {
            return name == names[0] ? qtk::layer_plan{w3, qtk::parse_method("gptq")}
                                    : qtk::layer_plan{};
        },
        texts));
    qtk::input_statistics seen(by_hand.config().width);
    qtk::calibration_stream const stream(by_hand, texts);
    stream.observe(by_hand, [&](qtk::layer_group layers, qtk::matrix_view<float const> x) {
        if (layers[0]->name() == names[1]) seen.add(x);
    });
    std::size_t i = 0;
    std::as_const(model).for_each_linear_of(0, [&](qtk::linear const& layer) {
        if (i++ != 1) return;
        qtk::matrix weight;
        original.for_each_linear_of(0, [&](qtk::linear const& l) {
            if (l.name() == names[1]) weight = l.weight();
        });
        CHECK(layer.quantized_weight() == qtk::gptq(seen.hessian()).quantize(w3, weight.view()));
    });
}

TEST_CASE("act-order leaves layers that compute with their columns moved") {
    auto const original = loaded(qtk_test::tiny_llama());
    auto moved = original, kept = original;
    static_cast<void>(qtk::quantize_model(moved, everywhere("gptq:act"), texts));
    static_cast<void>(qtk::quantize_model(kept, everywhere("rtn"), {}));
    std::size_t ordered = 0;
    std::as_const(moved).for_each_linear(
        [&](qtk::linear const& layer) { ordered += layer.input() != nullptr ? 1u : 0u; });
    CHECK(ordered > 0);
    CHECK(distance(original, moved) < 2.0 * distance(original, kept));
}

TEST_CASE("a plan may leave layers alone; the report has those that it did not") {
    auto const original = loaded(qtk_test::tiny_llama());
    auto model = original;
    auto const outcomes = qtk::quantize_model(
        model,
        [](std::string const& name) {
            return name.ends_with("down_proj") ? qtk::layer_plan{w3, qtk::parse_method("gptq")}
                                               : qtk::layer_plan{};
        },
        texts);
    CHECK(outcomes.size() == model.block_count());
    std::as_const(model).for_each_linear([&](qtk::linear const& layer) {
        CHECK(layer.is_quantized() == layer.name().ends_with("down_proj"));
    });
}

TEST_CASE("a method that needs text says so") {
    auto model = loaded(qtk_test::tiny_gpt2());
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::quantize_model(model, everywhere("gptq"), {})),
                         "calibration: expected at least one window of text", qtk::value_error);
}
