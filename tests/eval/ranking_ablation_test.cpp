// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/ranking_ablation.hpp>
// The header under test comes first, so that it is seen to need nothing else.

#include <doctest/doctest.h>

#include "threads.hpp"
#include "tiny_vision.hpp"
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

using qtk_test::digits, qtk_test::random_images, qtk_test::temporary_folder;

qtk::vision_model tiny() {
    temporary_folder const folder;
    qtk_test::tiny_vit().write(folder.path());
    return qtk::load_vision_model(folder.path(), {.heads = 2});
}

qtk::ranking_ablation_options quick(std::vector<int> bits) {
    return {.bits = std::move(bits), .search = {.candidates = 4, .rounds = 1, .images = 4}};
}

}  // namespace

TEST_CASE("a network agrees with itself, and less with fewer bits") {
    auto const model = tiny();
    auto const images = random_images(20, {6, 6, 3}, 3);
    auto const same = qtk::compare_attention(model, model, images);
    qtk::pixel_rows const all = images;
    // In parts of 16, and the order of a BLAS's sums may depend on how many images there are.
    for (std::size_t first : {0u, 16u}) {
        auto const part = model.logits(all.slice(first, first == 0 ? 16 : 4));
        for (std::size_t i = 0; i < part.view().size(); ++i)
            CHECK(same.logits.view().row(first).data()[i] == part.data()[i]);
    }
    REQUIRE(same.fits.size() == 2);
    CHECK(same.fits[1].attention == "blocks.1.attn");
    CHECK(same.mean().correlation == doctest::Approx(1.0));
    CHECK(same.mean().ranking_loss == 0.0);
    qtk::attention_fit last = same.mean();
    for (int const bits : {8, 5, 3}) {
        auto quantized = model;
        qtk::set_steps(quantized, qtk::steps_by_method(model, images, qtk::step_method::minmax,
                                                       {.weight_bits = bits, .input_bits = bits}));
        auto const found = qtk::compare_attention(model, quantized, images).mean();
        CHECK(found.correlation < last.correlation);
        CHECK(found.ranking_loss > last.ranking_loss);
        last = found;
    }
}

TEST_CASE("images in several parts have the loss and the correlation of all of them") {
    auto const model = tiny();
    auto const images = random_images(21, {6, 6, 3}, 3);  // 16 and 5
    auto quantized = model;
    qtk::set_steps(quantized, qtk::steps_by_method(model, images, qtk::step_method::minmax));
    auto const all = qtk::compare_attention(model, quantized, images, 0.01);
    qtk::detail::attention_watch const before, after;
    (void)model.logits(images, before);
    (void)quantized.logits(images, after);
    for (std::size_t b = 0; b < 2; ++b) {
        CHECK(all.fits[b].ranking_loss == doctest::Approx(qtk::mean_ranking_loss(
                                              before.maps[b].view(), after.maps[b].view(), 0.01)));
        CHECK(all.fits[b].correlation == doctest::Approx(qtk::output_correlation(
                                             before.outputs[b].view(), after.outputs[b].view())));
    }
}

TEST_CASE("methods differ as they say: gamma alone separates the search from its control") {
    auto const model = tiny();
    auto const images = random_images(6, {6, 6, 3}, 3);
    auto const steps = [&](qtk::step_method method, double gamma) {
        std::vector<float> all;
        for (auto const& s : qtk::steps_by_method(
                 model, images, method, {.weight_bits = 3, .input_bits = 3, .gamma = gamma})) {
            all.push_back(s.weight_step);
            all.push_back(s.input.scale);
        }
        return all;
    };
    using enum qtk::step_method;
    CHECK(steps(search, 50.0) == steps(ranking, 0.0));
    CHECK(steps(search, 50.0) != steps(ranking, 50.0));
    CHECK(steps(minmax, 0.0) != steps(mse, 0.0));
    CHECK(steps(minmax, 0.0) != steps(search, 0.0));
}

TEST_CASE("rows come by bits and methods, and their accuracy is that of the quantized network") {
    auto const model = tiny();
    auto const images = random_images(12, {6, 6, 3}, 3);
    std::vector<std::uint16_t> labels;
    for (std::size_t const c : qtk::likeliest_classes(model.logits(images).view()))
        labels.push_back(static_cast<std::uint16_t>(c));
    auto const how = quick({8, 2});
    auto const rows = qtk::ranking_ablation(model, images, images, labels, how);
    REQUIRE(rows.size() == 8);
    for (std::size_t i = 0; i < 8; ++i) {
        CHECK(rows[i].bits == (i < 4 ? 8 : 2));
        CHECK(rows[i].method == qtk::all_step_methods[i % 4]);
        std::size_t correct = 0;
        for (auto const is_correct : rows[i].is_correct) correct += is_correct;
        CHECK(rows[i].is_correct.size() == 12);
        CHECK(rows[i].accuracy == doctest::Approx(static_cast<double>(correct) / 12.0));
    }
    auto options = how.search;
    options.weight_bits = options.input_bits = 2;
    auto quantized = model;
    qtk::set_steps(quantized,
                   qtk::steps_by_method(model, images, qtk::step_method::ranking, options));
    auto const classes = qtk::likeliest_classes(quantized.logits(images).view());
    for (std::size_t i = 0; i < 12; ++i)
        CHECK((rows[7].is_correct[i] == 1) == (classes[i] == labels[i]));
    CHECK(rows[0].agreement.correlation > rows[4].agreement.correlation);
}

TEST_CASE("the comparison does not depend on the number of threads") {
    auto const model = tiny();
    auto const images = random_images(40, {6, 6, 3}, 3);
    auto quantized = model;
    qtk::set_steps(quantized, qtk::steps_by_method(model, images, qtk::step_method::mse));
    qtk_test::same_for_any_threads([&] {
        auto const found = qtk::compare_attention(model, quantized, images);
        std::vector<double> all;
        for (auto const& fit : found.fits) {
            all.push_back(fit.correlation);
            all.push_back(fit.ranking_loss);
        }
        return all;
    });
}

TEST_CASE("at 4 bits the digits' DeiT is better off with the search than with min-max") {
    digits const data;
    auto const model = qtk::load_vision_model(digits::path("deit_digits.safetensors"));
    auto const calibration = data.images.view().slice(digits::first_calibration, 32);
    auto const test = data.images.view().slice(digits::first_test, 200);
    std::vector<std::uint16_t> const labels(data.labels.begin() + digits::first_test,
                                            data.labels.begin() + digits::first_test + 200);
    qtk::ranking_ablation_options how = quick({4});
    how.search.candidates = 8;
    how.search.images = 16;
    how.methods = {qtk::step_method::minmax, qtk::step_method::ranking};
    auto const rows = qtk::ranking_ablation(model, calibration, test, labels, how);
    CHECK(rows[1].agreement.correlation > rows[0].agreement.correlation);
    CHECK(rows[1].agreement.ranking_loss < rows[0].agreement.ranking_loss);
    CHECK(rows[1].accuracy > 0.9);
}

TEST_CASE("labels, images and networks that do not fit are refused") {
    auto const model = tiny();
    auto const images = random_images(3, {6, 6, 3}, 3);
    CHECK_THROWS_AS((void)qtk::ranking_ablation(model, images, images,
                                                std::vector<std::uint16_t>(2), quick({8})),
                    qtk::value_error);
    CHECK_THROWS_AS((void)qtk::compare_attention(model, model, qtk::image_batch(0, {6, 6, 3})),
                    qtk::value_error);
    temporary_folder const folder;
    qtk_test::tiny_resnet().write(folder.path());
    auto const resnet = qtk::load_vision_model(folder.path());
    CHECK_THROWS_AS((void)qtk::compare_attention(resnet, resnet, images), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::compare_attention(model, resnet, images), qtk::shape_error);
    for (qtk::step_method const method : qtk::all_step_methods)
        CHECK_THROWS_AS((void)qtk::steps_by_method(resnet, images, method), qtk::value_error);
}
