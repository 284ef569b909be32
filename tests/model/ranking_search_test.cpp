// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/ranking_search.hpp>
// The header under test comes first, so that it is seen to need nothing else.

#include <doctest/doctest.h>

#include "threads.hpp"
#include "tiny_vision.hpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace {

using qtk_test::random_images, qtk_test::temporary_folder;

qtk::vision_model loaded(qtk_test::model_folder const& model) {
    temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_vision_model(folder.path(), {.heads = 2});
}

std::vector<float> steps_of(qtk::ranking_result const& result) {
    std::vector<float> steps;
    for (qtk::layer_steps const& s : result.layers) {
        steps.push_back(s.weight_step);
        steps.push_back(s.input.scale);
    }
    return steps;
}

double objective(qtk::attention_fit const& fit, double gamma) {
    return qtk::ranking_objective(fit.correlation, fit.ranking_loss, gamma);
}

// The fit of the first block, as it runs: nothing before it is quantized.
qtk::attention_fit measured(qtk::vision_model const& model, qtk::vision_model const& quantized,
                            qtk::pixel_rows images) {
    struct watch {
        void operator()(qtk::linear const& layer, qtk::matrix_view<float const> x) const {
            if (layer.name() == "blocks.0.attn.proj") output = qtk::detail::float_output(layer, x);
        }
        void attention(qtk::vit_attention const& a, qtk::matrix_view<float const> qkv) const {
            if (a.name() == "blocks.0.attn") maps = a.maps(qkv);
        }
        mutable qtk::matrix output, maps;
    } const before, after;
    (void)model.logits(images, before);
    (void)quantized.logits(images, after);
    return {"blocks.0.attn", qtk::output_correlation(before.output.view(), after.output.view()),
            qtk::mean_ranking_loss(before.maps.view(), after.maps.view(), 0.0)};
}

qtk::ranking_options quick() {
    return {.weight_bits = 3,
            .input_bits = 3,
            .gamma = 5.0,
            .candidates = 12,
            .rounds = 2,
            .images = 6,
            .has_bias_correction = false};
}

}  // namespace

TEST_CASE("the loss per pair does not depend on the size of the map") {
    qtk::matrix before(2, 3), after(2, 3);
    for (std::size_t r = 0; r < 2; ++r) {
        before(r, 0) = 0.6f, before(r, 1) = 0.3f, before(r, 2) = 0.1f;
        after(r, 0) = 0.3f, after(r, 1) = 0.6f, after(r, 2) = 0.1f;
    }
    // One pair of three is inverted, by 0.3.
    CHECK(qtk::mean_ranking_loss(before.view(), after.view(), 0.0) == doctest::Approx(0.1));
    CHECK(qtk::mean_ranking_loss(before.view(), before.view(), 0.0) == 0.0);
    CHECK(qtk::mean_ranking_loss(qtk::matrix(3, 1).view(), qtk::matrix(3, 1).view(), 0.5) == 0.0);
}

TEST_CASE("four layers a block get steps, inside the candidates or at the start") {
    auto const model = loaded(qtk_test::tiny_vit());
    auto const images = random_images(6, {6, 6, 3}, 3);
    auto const result = qtk::search_steps(model, images, quick());
    std::vector<std::string> names;
    for (qtk::layer_steps const& s : result.layers) names.push_back(s.layer);
    CHECK(names == std::vector<std::string>{"blocks.0.attn.qkv", "blocks.0.attn.proj",
                                            "blocks.0.mlp.fc1", "blocks.0.mlp.fc2",
                                            "blocks.1.attn.qkv", "blocks.1.attn.proj",
                                            "blocks.1.mlp.fc1", "blocks.1.mlp.fc2"});
    REQUIRE(result.attentions.size() == 2);
    CHECK(result.attentions[1].attention == "blocks.1.attn");
    model.for_each_linear([&](qtk::linear const& layer) {
        auto const at = std::ranges::find(result.layers, layer.name(), &qtk::layer_steps::layer);
        if (at == result.layers.end()) return;
        float largest = 0.0f;
        for (float const w : layer.weight().view().flat())
            largest = std::max(largest, std::fabs(w));
        auto const tried = qtk::step_candidates(largest, 3, 12);
        CHECK((std::ranges::find(tried, at->weight_step) != tried.end() ||
               at->weight_step == qtk::weight_step(layer.weight().view(), 3)));
        CHECK(at->input.is_symmetric() == (layer.name().find("fc2") == std::string::npos));
    });
}

TEST_CASE("what the search reports of the first block is what the network does with its steps") {
    auto const model = loaded(qtk_test::tiny_vit());
    auto const images = random_images(6, {6, 6, 3}, 3);
    auto const result = qtk::search_steps(model, images, quick());
    auto quantized = model;
    qtk::set_steps(quantized, result.layers);
    auto const fit = measured(model, quantized, images);
    CHECK(fit.correlation == doctest::Approx(result.attentions[0].correlation).epsilon(1e-4));
    CHECK(fit.ranking_loss == doctest::Approx(result.attentions[0].ranking_loss).epsilon(1e-3));
}

TEST_CASE("a search is better than its start in what it makes large, and ranking keeps ranks") {
    auto const images = random_images(6, {6, 6, 3}, 3);
    double with = 0.0, without = 0.0;
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
        auto folder = qtk_test::tiny_vit();
        // Scores of a size that makes maps uneven.
        for (char const* block : {"blocks.0.", "blocks.1."})
            for (float& v : folder.tensors.at(std::string(block) + "attn.qkv.weight").values)
                v *= 1.5f + 0.3f * static_cast<float>(seed);
        auto const model = loaded(folder);
        auto options = quick();
        options.rounds = 0;
        auto const start = qtk::search_steps(model, images, options);
        options.rounds = 3;
        options.gamma = 20.0;
        auto const ranked = qtk::search_steps(model, images, options);
        options.gamma = 0.0;
        auto const control = qtk::search_steps(model, images, options);
        for (std::size_t b = 0; b < 2; ++b) {
            CHECK(objective(ranked.attentions[b], 20.0) > objective(start.attentions[b], 20.0));
            CHECK(control.attentions[b].correlation > start.attentions[b].correlation);
            with += ranked.attentions[b].ranking_loss;
            without += control.attentions[b].ranking_loss;
        }
        CHECK(steps_of(ranked) != steps_of(start));
    }
    CHECK(with < 0.95 * without);
}

TEST_CASE("images beyond those asked for change nothing, and rows may be drawn") {
    auto const model = loaded(qtk_test::tiny_vit());
    auto const images = random_images(9, {6, 6, 3}, 3);
    auto options = quick();
    options.rounds = 1;
    auto const some = qtk::search_steps(model, images.view().slice(0, 6), options);
    CHECK(steps_of(qtk::search_steps(model, images, options)) == steps_of(some));
    options.map_rows = 7;
    auto const drawn = qtk::search_steps(model, images, options);
    CHECK(drawn.attentions[0].ranking_loss != some.attentions[0].ranking_loss);
}

TEST_CASE("the search does not depend on the number of threads") {
    auto const model = loaded(qtk_test::tiny_vit());
    auto const images = random_images(6, {6, 6, 3}, 3);
    auto options = quick();
    options.rounds = 1;
    qtk_test::same_for_any_threads(
        [&] { return steps_of(qtk::search_steps(model, images, options)); });
}

TEST_CASE("weights of zeros keep their step") {
    auto folder = qtk_test::tiny_vit();
    for (float& v : folder.tensors.at("blocks.0.mlp.fc1.weight").values) v = 0.0f;
    auto const result = qtk::search_steps(loaded(folder), random_images(3, {6, 6, 3}, 3), quick());
    CHECK(result.layers[2].weight_step == 1.0f);
}

TEST_CASE("other networks and options that make no sense are refused") {
    auto const images = random_images(1, {6, 6, 3}, 1);
    auto const vit = loaded(qtk_test::tiny_vit());
    auto const refuses = [&](qtk::ranking_options const& how) {
        CHECK_THROWS_AS((void)qtk::search_steps(vit, images, how), qtk::value_error);
    };
    refuses({.weight_bits = 1});
    refuses({.input_bits = 9});
    refuses({.gamma = -1.0});
    refuses({.candidates = 0});
    refuses({.rounds = -1});
    refuses({.images = 0});
    refuses({.map_rows = 0});
    CHECK_THROWS_AS((void)qtk::search_steps(vit, qtk::image_batch(0, {6, 6, 3})), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::search_steps(loaded(qtk_test::tiny_resnet()), images),
                    qtk::value_error);
}
