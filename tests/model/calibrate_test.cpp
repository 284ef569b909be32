// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/calibrate.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/method/input_statistics.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <map>
#include <string>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

using windows = std::vector<std::vector<std::int32_t>>;

qtk::decoder loaded(qtk_test::model_folder const& model) {
    qtk_test::temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_decoder(folder.path());
}

windows const texts{{1, 2, 3}, {4, 5, 6, 7}, {8, 9}, {10, 0, 1, 2}, {3}};

}  // namespace

TEST_CASE("after all blocks the activations are those of each window alone") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const model = loaded(folder);
        qtk::calibration_stream stream(model, texts);
        CHECK(stream.tokens() == 14);
        CHECK(stream.bytes() == 14 * 4 * model.config().width);
        while (stream.block() < model.block_count()) stream.advance(model);
        for (std::size_t i = 0; i < texts.size(); ++i) {
            qtk::matrix x = model.embed(texts[i]);
            for (std::size_t b = 0; b < model.block_count(); ++b) model.run_block(b, x.view());
            CHECK(stream.inputs()[i] == x);
        }
        CHECK_THROWS_WITH_AS(
            stream.advance(model),
            ("calibration: all " + std::to_string(model.block_count()) + " blocks have run")
                .c_str(),
            qtk::value_error);
    }
}

TEST_CASE("every layer of the block is seen once a window, layers with one input together") {
    for (auto const& [folder, groups] : {std::pair(qtk_test::tiny_gpt2(), std::size_t{4}),
                                         std::pair(qtk_test::tiny_llama(), std::size_t{4}),
                                         std::pair(qtk_test::tiny_opt(), std::size_t{4})}) {
        auto const model = loaded(folder);
        qtk::calibration_stream stream(model, texts);
        for (; stream.block() < model.block_count(); stream.advance(model)) {
            std::map<std::string, std::size_t> rows;
            std::size_t calls = 0;
            stream.observe(model, [&](qtk::layer_group layers, qtk::matrix_view<float const> x) {
                ++calls;
                for (qtk::linear const* const layer : layers) {
                    CHECK(layer->in() == x.cols);
                    rows[layer->name()] += x.rows;
                }
            });
            CHECK(calls == groups * texts.size());
            std::size_t layers = 0;
            model.for_each_linear_of(stream.block(), [&](qtk::linear const& layer) {
                ++layers;
                CHECK(rows[layer.name()] == 14);
            });
            CHECK(rows.size() == layers);
        }
    }
}

TEST_CASE("a block that was changed passes its change on") {
    auto model = loaded(qtk_test::tiny_llama());
    qtk::calibration_stream stream(model, texts);
    std::vector<qtk::matrix> const before = stream.outputs(model);
    model.for_each_linear_of(0, [](qtk::linear& layer) {
        layer.set_weight(qtk::matrix(layer.out(), layer.in()));  // zeros: the block adds its biases
    });
    CHECK(stream.outputs(model)[0] != before[0]);
    qtk::matrix const first = stream.inputs()[0];
    stream.advance(model);
    CHECK(stream.inputs()[0] == first);
}

TEST_CASE("windows that are no text are refused") {
    auto const model = loaded(qtk_test::tiny_gpt2());
    auto const stream_of = [&](windows const& w) { qtk::calibration_stream(model, w); };
    CHECK_THROWS_WITH_AS(stream_of({}), "calibration: expected at least one window of text",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(stream_of({{1}, {}}), "calibration: a window has no tokens",
                         qtk::value_error);
    CHECK_THROWS_AS(stream_of({{1, 2, 3, 4, 5, 6, 7}}), qtk::value_error);
}

#if defined(_OPENMP)
TEST_CASE("what observers sum is the same for any number of threads") {
    auto const model = loaded(qtk_test::tiny_llama());
    auto const statistics = [&](int threads) {
        omp_set_num_threads(threads);
        qtk::calibration_stream const stream(model, texts);
        qtk::input_statistics seen(model.config().width);
        stream.observe(model, [&](qtk::layer_group layers, qtk::matrix_view<float const> x) {
            if (layers.size() == 3) seen.add(x);
        });
        return seen.hessian();
    };
    int const before = omp_get_max_threads();
    qtk::matrix const one = statistics(1), four = statistics(4);
    omp_set_num_threads(before);
    CHECK(one == four);
}
#endif
