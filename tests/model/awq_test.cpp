// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/awq.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/spelling.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace {

std::vector<std::vector<std::int32_t>> const texts{
    {1, 2, 3, 50, 60, 70, 80, 90, 11, 12, 13, 14}, {4, 5, 6, 7, 33, 34, 35, 36}, {91, 8, 17, 3}};
qtk::scheme const w3 = qtk::parse_scheme("i3/g16/asym");

qtk::decoder model_of(char const* name) {
    return qtk::load_decoder(std::filesystem::path(QTK_GOLDEN_DIR) / "architectures" / name);
}

double mean_error(std::vector<qtk::matrix> const& a, std::vector<qtk::matrix> const& b) {
    double sum = 0.0, values = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        auto const n = static_cast<double>(a[i].view().size());
        sum += n * qtk::mean_square_difference(a[i].view(), b[i].view());
        values += n;
    }
    return sum / values;
}

/// Of the first block with all of its layers rounded to nearest, against `truth`.
double rounded_error(qtk::decoder model, qtk::calibration_stream const& stream,
                     std::vector<qtk::matrix> const& truth) {
    model.for_each_linear_of(0, [](qtk::linear& layer) {
        layer.set_weight(qtk::rounded_weight(w3, layer.form().floats().view()));
    });
    return mean_error(stream.outputs(model), truth);
}

std::optional<qtk::scheme> everywhere(qtk::linear const&) {
    return w3;
}

}  // namespace

TEST_CASE("scales alone leave the block as it was, and none is worse than no scale") {
    for (char const* const name :
         {"gpt2-untied", "llama3-scaling", "qwen2", "opt", "opt-post-norm"})
        for (auto const judge : {qtk::awq_judge::block, qtk::awq_judge::layers}) {
            CAPTURE(std::string(name));
            qtk::decoder model = model_of(name);
            qtk::calibration_stream const stream(model, texts);
            auto const truth = stream.outputs(model);
            auto const done = awq_block(model, stream, everywhere,
                                        {.search = {.steps = 5, .is_duo = true},
                                         .judge = judge,
                                         .clips = false,
                                         .changes_inputs = true});
            CHECK(done.size() == (std::string(name) == "opt-post-norm" ? 2 : 4));
            int better = 0;
            for (auto const& at : done) {
                CHECK(at.choice.error <= at.choice.plain_error);
                CHECK(at.choice.plain_error > 0.0);
                better += at.choice.error < at.choice.plain_error;
            }
            CHECK(better > 0);
            double size = 0.0;
            for (auto const& y : truth)
                for (float const v : y.view().flat())
                    size = std::max(size, static_cast<double>(v) * static_cast<double>(v));
            CHECK(mean_error(stream.outputs(model), truth) <= 1e-11 * size);
        }
}

TEST_CASE("the reported error is that of the block with the layers of one fold rounded") {
    qtk::decoder model = model_of("llama3-scaling");
    qtk::calibration_stream const stream(model, texts);
    auto const truth = stream.outputs(model);
    qtk::decoder rounded = model;
    auto const done = awq_block(model, stream, everywhere, {.clips = false});
    // The first fold: queries, keys and values.
    rounded.for_each_fold_of(0, [&](qtk::fold const& at) {
        if (at.consumers.front()->name() != done[0].layer) return;
        for (qtk::linear* const layer : at.consumers)
            layer->set_weight(
                qtk::rounded_behind(done[0].choice.factors, w3, layer->form().floats().view()));
    });
    CHECK(mean_error(stream.outputs(rounded), truth) == done[0].choice.error);
}

TEST_CASE("the rounded block comes closer to the block") {
    for (char const* const name : {"gpt2-untied", "llama3-scaling", "opt"}) {
        CAPTURE(std::string(name));
        qtk::decoder model = model_of(name);
        qtk::calibration_stream const stream(model, texts);
        auto const truth = stream.outputs(model);
        double const plain = rounded_error(model, stream, truth);
        (void)awq_block(model, stream, everywhere);
        CHECK(rounded_error(model, stream, truth) < 0.95 * plain);
    }
}

TEST_CASE("queries, keys and layers without a scheme are not clipped") {
    qtk::decoder model = model_of("llama3-scaling");
    qtk::calibration_stream const stream(model, texts);
    qtk::decoder const before = model;
    (void)awq_block(model, stream,
                    [](qtk::linear const& layer) -> std::optional<qtk::scheme> {
                        if (layer.name().ends_with("gate_proj") || layer.name().ends_with("o_proj"))
                            return {};
                        return w3;
                    },
                    // Nothing to choose from: factors of 1.
                    {.search = {.steps = 1}});
    std::vector<qtk::matrix> weights;
    before.for_each_linear_of(
        0, [&](qtk::linear const& layer) { weights.push_back(layer.form().floats()); });
    std::size_t i = 0;
    model.for_each_linear_of(0, [&](qtk::linear const& layer) {
        CAPTURE(layer.name());
        bool const is_clipped = layer.name().ends_with("v_proj") ||
                                layer.name().ends_with("up_proj") ||
                                layer.name().ends_with("down_proj");
        CHECK((layer.form().floats() != weights[i++]) == is_clipped);
    });
}

TEST_CASE("what goes wrong leaves the weights in place") {
    qtk::decoder model = model_of("llama3-scaling");
    qtk::calibration_stream const stream(model, texts);
    qtk::decoder const before = model;
    int asked = 0;
    CHECK_THROWS_AS((void)awq_block(model, stream,
                                    [&](qtk::linear const&) -> std::optional<qtk::scheme> {
                                        qtk::scheme s = w3;
                                        if (++asked > 5) s.grain.cols = -1;
                                        return s;
                                    }),
                    qtk::value_error);
    CHECK(stream.outputs(model) == stream.outputs(before));
}
