// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/block_pass.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/calibration/method_spelling.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <map>
#include <string>
#include <vector>

namespace {

using windows = std::vector<std::vector<std::int32_t>>;

constexpr qtk::scheme w4{
    .element = qtk::i4, .grain = qtk::per_channel, .zero = qtk::origin::floating};
windows const texts{{1, 2, 3, 4, 5}, {4, 5, 6, 7}, {8, 9, 10}, {10, 0, 1, 2}, {3, 9, 2, 7, 1, 5}};

qtk::decoder loaded(qtk_test::model_folder const& model) {
    qtk_test::temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_decoder(folder.path());
}

/// Block 0 by one method for all layers; what became of them.
std::vector<qtk::layer_outcome> quantize_first(qtk::decoder& model, char const* method,
                                               qtk::layer_activations const& activations = {},
                                               qtk::layer_ready const& ready = {}) {
    std::map<std::string, qtk::layer_plan> plans;
    std::as_const(model).for_each_linear([&](qtk::linear const& layer) {
        plans[layer.name()] = {w4, qtk::parse_method(method), activations};
    });
    qtk::calibration_stream const stream(model, texts);
    std::vector<qtk::matrix> const targets = stream.outputs(model);
    std::vector<qtk::layer_outcome> outcomes;
    qtk::model_progress const silent;
    qtk::detail::block_pass(model, 0, plans, &stream, outcomes, silent, ready).run(targets, {});
    return outcomes;
}

/// Mean square of the difference of what block 0 makes, over its mean square.
double error_of(qtk::decoder const& original, qtk::decoder const& changed) {
    qtk::calibration_stream const stream(original, texts);
    auto const truth = stream.outputs(original), made = stream.outputs(changed);
    double error = 0.0, size = 0.0;
    for (std::size_t w = 0; w < truth.size(); ++w)
        for (std::size_t i = 0; i < truth[w].view().size(); ++i) {
            double const t = static_cast<double>(truth[w].data()[i]);
            double const d = static_cast<double>(made[w].data()[i]) - t;
            error += d * d;
            size += t * t;
        }
    return error / size;
}

}  // namespace

TEST_CASE("every method leaves codes in every layer, and a block that computes about the same") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const original = loaded(folder);
        for (char const* const method : {"rtn",
                                         "mse",
                                         "hqq",
                                         "imatrix",
                                         "gptq",
                                         "gptq:act",
                                         "gptq:act:fixed",
                                         "gptq:sequential",
                                         "awq",
                                         "awq:duo:layers:inputs+gptq:act",
                                         "smooth+rtn",
                                         "smooth:search:inputs+gptq",
                                         "rotate+gptq",
                                         "rotate:3+rtn+bias",
                                         "adaround:steps=20",
                                         "brecq:steps=10",
                                         "autoround:steps=10",
                                         "autoround:layer:steps=20",
                                         "omniquant:steps=10",
                                         "gptq:act+bias"}) {
            CAPTURE(method);
            auto model = original;
            auto const outcomes = quantize_first(model, method);
            std::size_t i = 0;
            std::as_const(model).for_each_linear_of(0, [&](qtk::linear const& layer) {
                REQUIRE(i < outcomes.size());
                CHECK(outcomes[i].name == layer.name());
                CHECK(outcomes[i].method == method);
                CHECK(layer.is_quantized());
                CHECK(layer.quantized_weight().scheme() == w4);
                ++i;
            });
            CHECK(i == outcomes.size());
            CHECK(error_of(original, model) < 0.1);
        }
    }
}

TEST_CASE("a correction of biases brings the mean of a layer's outputs back") {
    auto const original = loaded(qtk_test::tiny_llama());
    auto model = original;
    static_cast<void>(quantize_first(model, "rtn+bias"));
    // The first layer's input is the same in both models.
    qtk::calibration_stream const stream(original, texts);
    qtk::input_statistics seen;
    qtk::linear const* first = nullptr;
    original.for_each_linear_of(0, [&](qtk::linear const& l) { first = first ? first : &l; });
    seen = qtk::input_statistics(first->in());
    stream.observe(original, [&](qtk::layer_group layers, qtk::matrix_view<float const> x) {
        if (layers.front() == first) seen.add(x);
    });
    std::vector<float> const mean = seen.mean();
    qtk::linear const* changed = nullptr;
    std::as_const(model).for_each_linear_of(
        0, [&](qtk::linear const& l) { changed = changed ? changed : &l; });
    qtk::matrix before(1, first->out()), after(1, first->out());
    first->apply({mean.data(), 1, mean.size()}, before.view());
    changed->apply({mean.data(), 1, mean.size()}, after.view());
    for (std::size_t o = 0; o < first->out(); ++o)
        CHECK(after(0, o) == doctest::Approx(before(0, o)).epsilon(1e-4).scale(1.0));
}

TEST_CASE("static activations get the scale of the largest input; outlier columns are found") {
    auto const original = loaded(qtk_test::tiny_llama());
    auto model = original;
    auto const outcomes = quantize_first(model, "rtn", {.type = qtk::activation_type::a8_static});
    qtk::calibration_stream const stream(original, texts);
    float largest = 0.0f;
    stream.observe(original, [&](qtk::layer_group layers, qtk::matrix_view<float const> x) {
        if (layers.front()->name() != outcomes.front().name) return;
        for (std::size_t r = 0; r < x.rows; ++r)
            for (float const v : x.row(r)) largest = std::max(largest, std::fabs(v));
    });
    CHECK(outcomes.front().activations.grid.scale == doctest::Approx(largest / 127.0f));
    auto again = original;
    // A threshold so low that some column reaches it, so high that not all do.
    auto const sparse = quantize_first(
        again, "outliers",
        {.type = qtk::activation_type::a8_row, .has_outliers = true, .threshold = 0.95f * largest});
    REQUIRE(sparse.front().activations.columns != nullptr);
    CHECK(sparse.front().activations.columns->size() >= 1);
    CHECK(sparse.front().activations.columns->size() < original.config().width);
}

TEST_CASE("whoever asks sees every layer after its transforms and before its codes") {
    qtk_test::temporary_folder const folder;
    qtk_test::tiny_llama().write(folder.path());
    qtk::decoder const original = qtk::load_decoder(folder.path());
    qtk::decoder changed = original;
    std::vector<std::string> names;
    std::vector<qtk::matrix> seen;
    static_cast<void>(quantize_first(changed, "awq:layers", {}, [&](qtk::linear const& layer) {
        CHECK(!layer.is_quantized());
        names.push_back(layer.name());
        seen.push_back(layer.effective_weight());
    }));
    std::size_t i = 0;
    changed.for_each_linear_of(0, [&](qtk::linear const& layer) {
        REQUIRE(i < names.size());
        CHECK(layer.is_quantized());
        CHECK(names[i] == layer.name());
        // 4 bits in groups: the codes are of these floats, factors included.
        double error = 0.0, size = 0.0;
        qtk::matrix const left = layer.effective_weight();
        for (std::size_t k = 0; k < left.view().size(); ++k) {
            double const w = static_cast<double>(seen[i].data()[k]);
            double const d = static_cast<double>(left.data()[k]) - w;
            error += d * d, size += w * w;
        }
        CHECK(error < 0.03 * size);
        ++i;
    });
    CHECK(i == 7);
}
