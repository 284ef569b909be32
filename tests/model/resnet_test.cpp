// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/resnet.hpp>

#include <doctest/doctest.h>

#include "naive_vision.hpp"
#include "tiny_vision.hpp"
#include <memory>
#include <string>
#include <vector>

namespace {

using qtk_test::model_folder, qtk_test::random_images, qtk_test::temporary_folder,
    qtk_test::tiny_bottlenecks, qtk_test::tiny_resnet;

qtk::resnet loaded(model_folder const& model) {
    temporary_folder const folder;
    model.write(folder.path());
    qtk::vision_reader file(
        std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(folder.path())));
    return qtk::resnet::load(file);
}

// The message of the error without the folder's name, which changes from run to run.
std::string refusal(model_folder const& model) {
    try {
        (void)loaded(model);
    } catch (qtk::error const& fault) {
        std::string const text = fault.what();
        std::size_t const at = text.find("tensor \"");
        return at == text.npos ? text : text.substr(at);
    }
    return "accepted";
}

void check_logits(model_folder const& model, qtk::image_shape shape) {
    auto const network = loaded(model);
    auto const images = random_images(3, shape, 9);
    qtk::matrix const logits = network.forward(images);
    REQUIRE(logits.rows() == 3);
    REQUIRE(logits.cols() == 5);
    for (std::size_t n = 0; n < 3; ++n) {
        auto const expected = qtk_test::resnet_logits(model, qtk_test::planes_of(images, n));
        double size = 0.0;
        for (double const v : expected) size = std::max(size, std::fabs(v));
        // Up to ten layers of sums of about a hundred terms, each of which may lose the last bit.
        for (std::size_t c = 0; c < 5; ++c)
            CHECK(std::fabs(static_cast<double>(logits(n, c)) - expected[c]) <=
                  1000 * 0x1p-24 * (size + 1.0));
    }
}

std::vector<std::string> names_of(qtk::resnet const& network) {
    std::vector<std::string> names;
    network.for_each_linear([&](qtk::linear const& layer) { names.push_back(layer.name()); });
    return names;
}

}  // namespace

TEST_CASE("no images have no logits") {
    auto const network = loaded(tiny_resnet());
    CHECK(network.forward(qtk::image_batch(0, {8, 8, 3})).rows() == 0);
}

TEST_CASE("a small stem sees small images of any size") {
    check_logits(tiny_resnet(3), {8, 8, 3});
    check_logits(tiny_resnet(3), {7, 5, 3});
    check_logits(tiny_resnet(3), {1, 1, 3});
}

TEST_CASE("a large stem halves the image twice") {
    check_logits(tiny_resnet(7), {32, 32, 3});
    check_logits(tiny_resnet(7), {17, 23, 3});
}

TEST_CASE("bottlenecks stride in their second convolution") {
    check_logits(tiny_bottlenecks(), {32, 32, 3});
    check_logits(tiny_bottlenecks(), {19, 21, 3});
}

TEST_CASE("layers come in the order of computation, under the tensors' names") {
    std::vector<std::string> const expected{"conv1",
                                            "layer1.0.conv1",
                                            "layer1.0.conv2",
                                            "layer1.1.conv1",
                                            "layer1.1.conv2",
                                            "layer2.0.conv1",
                                            "layer2.0.downsample.0",
                                            "layer2.0.conv2",
                                            "layer2.1.conv1",
                                            "layer2.1.conv2",
                                            "fc"};
    auto const network = loaded(tiny_resnet());
    CHECK(names_of(network) == expected);
    CHECK(network.block_count() == 4);
    CHECK(network.classes() == 5);
    CHECK(network.channels() == 3);
    std::vector<std::string> seen;
    (void)network.forward(random_images(1, {4, 4, 3}, 1),
                          [&](qtk::linear const& layer, qtk::matrix_view<float const> x) {
                              CHECK(x.cols == layer.in());
                              seen.push_back(layer.name());
                          });
    CHECK(seen == expected);
}

TEST_CASE("a layer that is changed changes the logits") {
    auto const images = random_images(1, {8, 8, 3}, 1);
    auto const names = names_of(loaded(tiny_resnet()));
    qtk::matrix const before = loaded(tiny_resnet()).forward(images);
    for (std::string const& name : names) {
        auto network = loaded(tiny_resnet());
        network.for_each_linear([&](qtk::linear& layer) {
            if (layer.name() == name) layer.set_weight(qtk::matrix(layer.out(), layer.in()));
        });
        CAPTURE(name);
        CHECK(network.forward(images) != before);
    }
}

TEST_CASE("counts of batches have a place, other tensors do not") {
    auto model = tiny_resnet();
    model.tensors["bn1.num_batches_tracked"] = {{}, {1.0f}};
    model.tensors["layer2.0.downsample.1.num_batches_tracked"] = {{}, {1.0f}};
    CHECK(refusal(model) == "accepted");
    model.add("conv1.bias", {4});
    CHECK(refusal(model) ==
          "tensor \"conv1.bias\" has no place in a ResNet of 4 blocks with "
          "torchvision's names");
    model.tensors.erase("conv1.bias");
    model.add("layer4.0.conv1.weight", {6, 6, 3, 3});
    CHECK(refusal(model).find("\"layer4.0.conv1.weight\" has no place") != std::string::npos);
}

TEST_CASE("what is missing is named") {
    for (char const* name :
         {"conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer1.1.conv2.weight",
          "layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias", "fc.weight", "fc.bias"}) {
        auto model = tiny_resnet();
        model.tensors.erase(name);
        CHECK(refusal(model).starts_with("tensor \"" + std::string(name) + "\" is missing"));
    }
}

TEST_CASE("shapes that make no residual network are refused") {
    auto const changed = [](char const* name, std::vector<std::uint64_t> const& shape) {
        auto model = tiny_resnet();
        model.add(name, shape);
        return refusal(model);
    };
    CHECK(changed("conv1.weight", {4, 3, 5, 5}) ==
          "tensor \"conv1.weight\": expected a stem of 7 x 7 or 3 x 3, found 5 x 5");
    CHECK(changed("conv1.weight", {4, 3}) ==
          "tensor \"conv1.weight\": expected 4 axes of at least 1, found [4, 3]");
    CHECK(
        changed("layer1.1.conv1.weight", {4, 5, 3, 3}) ==
        "tensor \"layer1.1.conv1.weight\": expected [out, 4, k, k] with an odd k, found [4, 5, 3, "
        "3]");
    CHECK(changed("layer1.1.conv1.weight", {4, 4, 2, 2}).find("an odd k") != std::string::npos);
    CHECK(changed("layer1.1.conv1.weight", {4, 4, 3, 1}).find("an odd k") != std::string::npos);
    CHECK(changed("layer1.0.bn1.weight", {5}) ==
          "tensor \"layer1.0.bn1.weight\": expected [4], found [5]");
    CHECK(changed("fc.weight", {5, 7}) == "tensor \"fc.weight\": expected [5, 6], found [5, 7]");
    auto model = tiny_resnet();
    qtk_test::add_normed(model, "layer2.0.downsample.0", "layer2.0.downsample.1", 7, 4, 1);
    CHECK(refusal(model) == "tensor \"layer2.0.downsample.0.weight\": expected 6 filters, found 7");
}

TEST_CASE("images of other channels are refused") {
    CHECK_THROWS_WITH_AS((void)loaded(tiny_resnet()).forward(random_images(1, {8, 8, 1}, 1)),
                         "conv1: expected images of 3 channels, found 8 x 8 x 1", qtk::shape_error);
}
