// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/network_product.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/energy/hierarchy.hpp>
#include <qtk/model/vision_model.hpp>

#include <doctest/doctest.h>

#include "tiny_vision.hpp"
#include <map>
#include <string>
#include <vector>

namespace {

using qtk::linear, qtk::network_product, qtk::vision_model;
using qtk_test::digits, qtk_test::model_folder, qtk_test::random_images, qtk_test::temporary_folder;

vision_model loaded(model_folder const& model, qtk::vision_options const& options = {}) {
    temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_vision_model(folder.path(), options);
}
std::vector<network_product> products_of(vision_model const& model, qtk::image_shape const& image) {
    std::vector<network_product> all;
    model.for_each_product(image, [&](network_product const& p) { all.push_back(p); });
    return all;
}
/// Every layer in order, with as many rows as it is given when the network runs.
void require_what_runs(vision_model const& model, qtk::image_shape const& image) {
    std::vector<linear const*> order;
    std::map<linear const*, std::size_t> rows;
    auto const seen = [&](linear const& layer, qtk::matrix_view<float const> x) {
        if (rows.insert({&layer, 0}).second) order.push_back(&layer);
        rows[&layer] += x.rows;
    };
    (void)model.logits(random_images(1, image, 1), seen);
    std::size_t at = 0;
    for (network_product const& p : products_of(model, image)) {
        if (p.layer == nullptr) continue;
        CAPTURE(p.name);
        REQUIRE(at < order.size());
        CHECK(p.layer == order[at++]);
        CHECK(p.name == p.layer->name());
        CHECK(p.m == rows[p.layer]);
        CHECK(p.n == p.layer->out());
        CHECK(p.k == p.layer->in());
        CHECK(p.times == 1);
        CHECK(p.attention == nullptr);
    }
    CHECK(at == order.size());
}

}  // namespace

TEST_CASE("layers are those that run, with their rows") {
    require_what_runs(loaded(qtk_test::tiny_resnet(3)), {8, 8, 3});
    require_what_runs(loaded(qtk_test::tiny_resnet(7)), {33, 20, 3});
    require_what_runs(loaded(qtk_test::tiny_bottlenecks()), {16, 16, 3});
    require_what_runs(loaded(qtk_test::tiny_vit(), {.heads = 2}), {6, 6, 3});
}

TEST_CASE("attention is two products of activations for each head") {
    auto const model = loaded(qtk_test::tiny_vit(), {.heads = 2});
    auto const all = products_of(model, {6, 6, 3});
    std::vector<std::string> names;
    for (auto const& p : all) names.push_back(p.name);
    REQUIRE(names == std::vector<std::string>{
                         "patch_embed.proj", "blocks.0.attn.qkv", "blocks.0.attn.scores",
                         "blocks.0.attn.values", "blocks.0.attn.proj", "blocks.0.mlp.fc1",
                         "blocks.0.mlp.fc2", "blocks.1.attn.qkv", "blocks.1.attn.scores",
                         "blocks.1.attn.values", "blocks.1.attn.proj", "blocks.1.mlp.fc1",
                         "blocks.1.mlp.fc2", "head"});
    // 9 patches and the class token, 2 heads of 4.
    network_product const &scores = all[2], &values = all[3];
    CHECK(scores.m == 10);
    CHECK(scores.n == 10);
    CHECK(scores.k == 4);
    CHECK(scores.times == 2);
    CHECK(scores.distinct_inputs == 40);
    CHECK(scores.is_scores);
    CHECK(values.m == 10);
    CHECK(values.n == 4);
    CHECK(values.k == 10);
    CHECK(values.times == 2);
    CHECK(values.distinct_inputs == 100);
    CHECK(!values.is_scores);
    for (network_product const* const p : {&scores, &values}) {
        CHECK(p->layer == nullptr);
        REQUIRE(p->attention != nullptr);
        CHECK(p->attention->name() == "blocks.0.attn");
        CHECK(p->macs() == 2 * 10 * 10 * 4);
    }
}

TEST_CASE("windows that overlap fetch each pixel once, windows that leave pixels out fetch fewer") {
    auto const model = loaded(qtk_test::tiny_resnet(3));
    std::map<std::string, network_product> named;
    for (auto const& p : products_of(model, {8, 8, 3})) named[p.name] = p;
    CHECK(named["conv1"].distinct_inputs == 8 * 8 * 3);
    CHECK(named["layer2.0.conv1"].distinct_inputs == 8 * 8 * 4);
    CHECK(named["layer2.0.conv2"].distinct_inputs == 4 * 4 * 6);
    // 1 x 1 at stride 2: a quarter of the pixels.
    CHECK(named["layer2.0.downsample.0"].distinct_inputs == 4 * 4 * 4);
    CHECK(named["fc"].distinct_inputs == 6);

    // The same as the energy room says of the sizes.
    for (auto const& [name, channels, out, kernel, stride] :
         {std::tuple{"layer2.0.conv1", 4u, 6u, 3u, 2u},
          {"layer2.0.downsample.0", 4u, 6u, 1u, 2u}}) {
        CAPTURE(name);
        auto const p = qtk::product_of(qtk::convolution_size{.height = 8,
                                                             .width = 8,
                                                             .in_channels = channels,
                                                             .out_channels = out,
                                                             .kernel_height = kernel,
                                                             .kernel_width = kernel,
                                                             .stride = stride,
                                                             .padding = kernel / 2},
                                       qtk::operand::integer(8), qtk::operand::integer(8));
        CHECK(p.m == named[name].m);
        CHECK(p.n == named[name].n);
        CHECK(p.k == named[name].k);
        CHECK(p.distinct_inputs == static_cast<double>(named[name].distinct_inputs));
    }
}

TEST_CASE("the embedded networks do as many multiplications as their tensors say") {
    auto const macs = [](char const* name) {
        std::size_t all = 0;
        for (auto const& p : products_of(qtk::load_vision_model(digits::path(name)), {8, 8, 1}))
            all += p.macs();
        return all;
    };
    // Pixels x filters x window, stage by stage; stages two and three begin with a 1 x 1 convolution more.
    std::size_t const stages =
        64 * 4 * 16 * 144 + 16 * 32 * (144 + 3 * 288 + 16) + 4 * 64 * (288 + 3 * 576 + 32);
    CHECK(macs("resnet_digits.safetensors") == 64 * 16 * 9 + stages + 10 * 64);
    // 16 patches and the class token; qkv, proj, fc1 and fc2, and two products of 17 x 17 x 96.
    std::size_t const block = 17 * 96 * (3 * 96 + 96 + 384 + 384) + 2 * 17 * 17 * 96;
    CHECK(macs("deit_digits.safetensors") == 16 * 96 * 4 + 6 * block + 10 * 96);
}

TEST_CASE("images of another size are refused") {
    auto const vit = loaded(qtk_test::tiny_vit(), {.heads = 2});
    CHECK_THROWS_AS((void)products_of(vit, {8, 8, 3}), qtk::shape_error);
    CHECK_THROWS_AS((void)products_of(loaded(qtk_test::tiny_resnet()), {8, 8, 1}),
                    qtk::shape_error);
}
