// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/vision_model.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/io/npy.hpp>
#include <qtk/io/safetensors_writer.hpp>
#include <qtk/model/layer_format.hpp>

#include <doctest/doctest.h>

#include "threads.hpp"
#include "tiny_vision.hpp"
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace {

using qtk::linear, qtk::matrix, qtk::vision_model;
using qtk_test::digits, qtk_test::model_folder, qtk_test::random_images, qtk_test::temporary_folder,
    qtk_test::tiny_resnet, qtk_test::tiny_vit;

vision_model loaded(model_folder const& model, qtk::vision_options const& options = {}) {
    temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_vision_model(folder.path(), options);
}

vision_model of_digits(std::string const& name) {
    return qtk::load_vision_model(digits::path(name + "_digits.safetensors"));
}

double accuracy(vision_model const& model, digits const& data) {
    auto const images = data.images.view().slice(digits::first_test, digits::tests);
    auto const found = qtk::likeliest_classes(model.logits(images).view());
    std::size_t right = 0;
    for (std::size_t i = 0; i < found.size(); ++i)
        right += found[i] == data.labels[digits::first_test + i] ? 1u : 0u;
    return static_cast<double>(right) / static_cast<double>(found.size());
}

void put(vision_model& model, char const* format) {
    model.for_each_linear([&](linear& layer) {
        qtk::apply_format(layer, qtk::weight_matrix(layer.form()), qtk::parse_layer_format(format));
    });
}

double farthest(matrix const& a, matrix const& b) {
    REQUIRE(a.shape() == b.shape());
    double most = 0.0;
    for (std::size_t i = 0; i < a.view().size(); ++i)
        most = std::max(
            most, std::fabs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
    return most;
}

std::size_t heads_of(vision_model const& model) {
    return std::get<qtk::vision_transformer>(model.what()).heads();
}

// Logits below 8 after at most 26 layers, each of which may move its result by a few dozen units in the last
// place: what PyTorch rounds in one order, a product here rounds in another.
constexpr double logit_tolerance = 8.0 * 26.0 * 8.0 * 0x1p-24;

}  // namespace

TEST_CASE("the embedded networks give the logits of their golden file") {
    digits const data;
    for (std::string const name : {"resnet", "deit"}) {
        CAPTURE(name);
        auto const model = of_digits(name);
        CHECK(model.classes() == 10);
        CHECK(model.channels() == 1);
        matrix const logits = model.logits(data.images.view().slice(digits::first_test, 100));
        auto const golden =
            qtk::npy_file::open(std::string(QTK_GOLDEN_DIR) + "/" + name + "_digits_logits.npy")
                .floats();
        REQUIRE(golden.size() == logits.view().size());
        for (std::size_t i = 0; i < golden.size(); ++i)
            CHECK(std::fabs(static_cast<double>(logits.data()[i]) -
                            static_cast<double>(golden[i])) <= logit_tolerance);
    }
}

TEST_CASE("the embedded networks know the digits of the test as well as they did in PyTorch") {
    digits const data;
    CHECK(accuracy(of_digits("resnet"), data) == 0.998);
    CHECK(accuracy(of_digits("deit"), data) == 0.954);
}

TEST_CASE("with 8-bit weights by channel, packed, no network loses a point") {
    digits const data;
    for (char const* format : {"i8/channel", "w8a8"}) {
        auto resnet = of_digits("resnet"), deit = of_digits("deit");
        put(resnet, format), put(deit, format);
        resnet.for_each_linear([](linear const& layer) { CHECK(layer.is_packed()); });
        CHECK(accuracy(resnet, data) >= 0.998 - 0.01);
        CHECK(accuracy(deit, data) >= 0.954 - 0.01);
    }
}

TEST_CASE("packed networks give what the floats of their codes give") {
    digits const data;
    auto const images = data.images.view().slice(digits::first_test, 40);
    for (std::string const name : {"resnet", "deit"})
        for (char const* format : {"i8/channel", "i4/g32/asym"}) {
            CAPTURE(name);
            CAPTURE(format);
            auto packed = of_digits(name);
            matrix const original = packed.logits(images);
            put(packed, format);
            auto floats = packed;
            floats.for_each_linear([](linear& layer) { layer.set_weight(layer.form().floats()); });
            CHECK(farthest(packed.logits(images), floats.logits(images)) <= logit_tolerance);
            // Otherwise nothing was quantized.
            CHECK(farthest(packed.logits(images), original) > 10.0 * logit_tolerance);
        }
}

TEST_CASE("an observer sees the input of every layer, and the logits stay the same") {
    digits const data;
    auto const images = data.images.view().slice(digits::first_test, 40);
    for (std::string const name : {"resnet", "deit"}) {
        auto const model = of_digits(name);
        std::map<linear const*, std::size_t> rows;
        matrix const logits =
            model.logits(images, [&](linear const& layer, qtk::matrix_view<float const> x) {
                CHECK(x.cols == layer.in());
                rows[&layer] += x.rows;
            });
        CHECK(farthest(logits, model.logits(images)) <= logit_tolerance);
        std::size_t layers = 0;
        model.for_each_linear([&](linear const& layer) {
            ++layers;
            CHECK(rows[&layer] > 0);
            CHECK(rows[&layer] % 40 == 0);
            if (layer.name() == "conv1" || layer.name() == "layer1.1.conv2")
                CHECK(rows[&layer] == 40 * 64);
            if (layer.name() == "layer3.0.conv1") CHECK(rows[&layer] == 40 * 4);
            if (layer.name() == "patch_embed.proj") CHECK(rows[&layer] == 40 * 16);
            if (layer.name() == "blocks.5.mlp.fc2") CHECK(rows[&layer] == 40 * 17);
        });
        CHECK(layers == (name == "resnet" ? 16u : 26u));
    }
}

TEST_CASE("an image has the same logits alone and among many") {
    auto const model = loaded(tiny_resnet());
    auto const images = random_images(70, {5, 6, 3}, 3);
    matrix const all = model.logits(images);
    CHECK(all.rows() == 70);
    for (std::size_t const n : {0u, 31u, 32u, 69u}) {
        matrix const one = model.logits(images.view().slice(n, 1));
        for (std::size_t c = 0; c < 5; ++c)
            CHECK(static_cast<double>(one(0, c)) ==
                  doctest::Approx(static_cast<double>(all(n, c))).epsilon(1e-4));
    }
    CHECK(model.logits(qtk::image_batch(0, {5, 6, 3})).rows() == 0);
}

TEST_CASE("int8 networks have the same logits for any number of threads") {
    digits const data;
    auto const images = data.images.view().slice(digits::first_test, 100);
    auto model = of_digits("resnet");
    put(model, "llm_int8");
    qtk_test::same_for_any_threads([&] { return model.logits(images); });
}

TEST_CASE("the number of heads comes from the options, the metadata, config.json or the width") {
    CHECK(heads_of(of_digits("deit")) == 3);
    auto model = tiny_vit();
    CHECK_THROWS_AS((void)loaded(model), qtk::value_error);
    CHECK(heads_of(loaded(model, {.heads = 4})) == 4);
    model.config = {{"num_heads", 2}};
    CHECK(heads_of(loaded(model)) == 2);
    CHECK(heads_of(loaded(model, {.heads = 4})) == 4);
    model.config = {{"num_attention_heads", 4}};
    CHECK(heads_of(loaded(model)) == 4);
    model.config = {{"architecture", "vit_nano"}, {"model_args", {{"num_heads", 8}}}};
    CHECK(heads_of(loaded(model)) == 8);
    model.config = {{"num_heads", "two"}};
    CHECK_THROWS_AS((void)loaded(model), qtk::io_error);
    model.config = nlohmann::json::array();
    CHECK_THROWS_AS((void)loaded(model), qtk::io_error);

    auto const with_metadata = [](std::string const& heads) {
        temporary_folder const folder;
        auto const tensors = tiny_vit().tensors;
        qtk::safetensors_writer file;
        file.set_metadata("num_heads", heads);
        for (auto const& [name, tensor] : tensors)
            file.add(name, qtk::dtype::f32, tensor.shape, std::as_bytes(std::span(tensor.values)));
        file.write(folder.path() / "vit.safetensors");
        return qtk::load_vision_model(folder.path() / "vit.safetensors");
    };
    CHECK(heads_of(with_metadata("2")) == 2);
    CHECK_THROWS_AS((void)with_metadata("2 heads"), qtk::io_error);
    CHECK_THROWS_AS((void)with_metadata("0"), qtk::io_error);
}

TEST_CASE("tensors of another network are refused by what is missing") {
    model_folder model;
    model.add("transformer.wte.weight", {3, 2});
    try {
        (void)loaded(model);
        FAIL("accepted");
    } catch (qtk::io_error const& fault) {
        CHECK(std::string(fault.what())
                  .find("expected a ResNet with torchvision's names "
                        "(conv1.weight) or a ViT with timm's "
                        "(patch_embed.proj.weight), found neither") != std::string::npos);
    }
    CHECK_THROWS_AS((void)qtk::load_vision_model("/nowhere"), qtk::system_error);
}

TEST_CASE("weights that are no numbers follow the policy") {
    auto model = tiny_resnet();
    model.tensors["layer1.0.conv1.weight"].values[5] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS((void)loaded(model), qtk::nonfinite_error);
    matrix const logits = loaded(model, {.on_nonfinite = qtk::nonfinite::zero})
                              .logits(random_images(1, {4, 4, 3}, 1));
    CHECK_FALSE(qtk::is_nonfinite(logits(0, 0)));
}

TEST_CASE("the likeliest class is the first of the largest") {
    matrix logits(3, 3);
    logits(0, 2) = 1.0f;
    logits(1, 1) = logits(1, 2) = 2.0f;
    logits(2, 0) = -1.0f;
    CHECK(qtk::likeliest_classes(logits.view()) == std::vector<std::size_t>{2, 1, 1});
}
