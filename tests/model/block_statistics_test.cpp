// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/block_statistics.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <memory>
#include <string>
#include <vector>

namespace {

std::vector<std::vector<std::int32_t>> const texts{{1, 2, 3}, {4, 5, 6, 7}};

qtk::decoder tiny_llama() {
    qtk_test::temporary_folder const folder;
    qtk_test::tiny_llama().write(folder.path());
    return qtk::load_decoder(folder.path());
}

}  // namespace

TEST_CASE("every layer has the statistics of its inputs, and those with one input share them") {
    qtk::decoder const model = tiny_llama();
    qtk::calibration_stream const stream(model, texts);
    qtk::block_statistics const seen(model, stream, {.has_hessian = false, .kept_rows = 3});
    CHECK(seen.inputs() == 4);
    std::vector<qtk::input_statistics const*> all;
    model.for_each_linear_of(0, [&](qtk::linear const& layer) {
        all.push_back(&seen.of(layer));
        CHECK(seen.of(layer).columns() == layer.in());
        CHECK(seen.of(layer).count() == 7);
        CHECK(seen.of(layer).rows().rows == 3);
    });
    CHECK(all[0] == all[1]);
    CHECK(all[0] == all[2]);
    CHECK(all[4] == all[5]);
    CHECK(all[0] != all[4]);
    // By hand, for the first layer.
    qtk::input_statistics by_hand(model.config().width, {.has_hessian = false});
    for (auto const& tokens : texts) {
        qtk::matrix x = model.embed(tokens);
        bool is_first = true;
        model.run_block(0, x.view(), [&](qtk::linear const&, qtk::matrix_view<float const> in) {
            if (is_first) by_hand.add(in);
            is_first = false;
        });
    }
    CHECK(all[0]->mean() == by_hand.mean());
    CHECK(all[0]->abs_mean() == by_hand.abs_mean());
}

TEST_CASE("a layer that changes its input has statistics of the changed one") {
    qtk::decoder model = tiny_llama();
    std::size_t const width = model.config().width;
    auto const half = std::make_shared<qtk::input_transform const>(
        width, qtk::input_transform::parts{.factors = std::vector<float>(width, 0.5f)});
    std::vector<qtk::linear*> layers;
    model.for_each_linear_of(0, [&](qtk::linear& layer) { layers.push_back(&layer); });
    layers[1]->set_input(half);
    qtk::calibration_stream const stream(model, texts);
    qtk::block_statistics const seen(model, stream, {.has_hessian = false});
    CHECK(seen.inputs() == 5);
    CHECK(&seen.of(*layers[0]) == &seen.of(*layers[2]));
    for (std::size_t c = 0; c < width; ++c)
        CHECK(seen.of(*layers[1]).abs_max()[c] == 0.5f * seen.of(*layers[0]).abs_max()[c]);
    CHECK(seen.of(*layers[1]).count() == 7);
}

TEST_CASE("layers of other blocks are not known") {
    qtk::decoder model = tiny_llama();
    qtk::calibration_stream const stream(model, texts);
    qtk::block_statistics const seen(model, stream, qtk::statistics_options{});
    model.for_each_linear_of(1, [&](qtk::linear const& layer) {
        CHECK_THROWS_WITH_AS(
            (void)seen.of(layer),
            (layer.name() + ": the layer is not of the block that was observed").c_str(),
            qtk::value_error);
    });
}
