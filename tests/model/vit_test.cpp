// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/vit.hpp>

#include <doctest/doctest.h>

#include "naive_vision.hpp"
#include "tiny_vision.hpp"
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace {

using qtk_test::model_folder, qtk_test::random_images, qtk_test::temporary_folder,
    qtk_test::tiny_vit;

qtk::vision_transformer loaded(model_folder const& model, std::size_t heads = 2) {
    temporary_folder const folder;
    model.write(folder.path());
    qtk::vision_reader file(
        std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(folder.path())));
    return qtk::vision_transformer::load(file, heads);
}

// The message of the error without the folder's name, which changes from run to run.
std::string refusal(model_folder const& model, std::size_t heads = 2) {
    try {
        (void)loaded(model, heads);
    } catch (qtk::error const& fault) {
        std::string const text = fault.what();
        std::size_t const at = text.find("tensor \"");
        return at == text.npos ? text.substr(text.find(": ") + 2) : text.substr(at);
    }
    return "accepted";
}

// Sees attentions beside layers.
struct attention_watcher {
    void operator()(qtk::linear const&, qtk::matrix_view<float const>) const {}
    void attention(qtk::vit_attention const& attention, qtk::matrix_view<float const> qkv) const {
        seen.push_back(attention.name());
        CHECK(qkv.rows == 2 * 10);
        CHECK(qkv.cols == 3 * 8);
        qtk::matrix const maps = attention.maps(qkv);
        CHECK(maps.rows() == 2 * 2 * 10);
        for (std::size_t r = 0; r < maps.rows(); ++r) {
            double sum = 0.0;
            for (float const v : maps.view().row(r)) sum += static_cast<double>(v);
            CHECK(sum == doctest::Approx(1.0));
        }
    }
    mutable std::vector<std::string> seen;
};

void check_logits(model_folder const& model, std::size_t heads) {
    auto const images = random_images(3, {6, 6, 3}, 9);
    qtk::matrix const logits = loaded(model, heads).forward(images);
    for (std::size_t n = 0; n < 3; ++n) {
        auto const expected = qtk_test::vit_logits(model, qtk_test::planes_of(images, n), heads);
        double size = 1.0;
        for (double const v : expected) size = std::max(size, std::fabs(v));
        // Nine layers of sums of up to 24 terms, each of which may lose the last bit; twice that for the
        // scores of attention, whose errors pass on to its weights.
        for (std::size_t c = 0; c < 5; ++c)
            CHECK(std::fabs(static_cast<double>(logits(n, c)) - expected[c]) <=
                  2 * 9 * 24 * 0x1p-24 * size);
    }
}

}  // namespace

TEST_CASE("no images have no logits") {
    CHECK(loaded(tiny_vit()).forward(qtk::image_batch(0, {6, 6, 3})).rows() == 0);
}

TEST_CASE("logits are those of plain loops, for any number of heads") {
    auto model = tiny_vit();
    for (std::size_t const heads : {1u, 2u, 4u}) {
        for (bool const has_bias : {true, false}) {
            if (!has_bias)
                for (char const* block : {"blocks.0.", "blocks.1."})
                    model.tensors.erase(std::string(block) + "attn.qkv.bias");
            check_logits(model, heads);
        }
        model = tiny_vit();
    }
}

TEST_CASE("layer norms of tokens whose variance is near 1e-6 have that epsilon") {
    auto model = tiny_vit();
    for (char const* name :
         {"patch_embed.proj.weight", "patch_embed.proj.bias", "cls_token", "pos_embed",
          "blocks.0.attn.proj.weight", "blocks.0.attn.proj.bias", "blocks.0.mlp.fc2.weight",
          "blocks.0.mlp.fc2.bias", "blocks.1.attn.proj.weight", "blocks.1.attn.proj.bias",
          "blocks.1.mlp.fc2.weight", "blocks.1.mlp.fc2.bias"})
        for (float& v : model.tensors.at(name).values) v *= 2e-4f;
    check_logits(model, 2);
}

TEST_CASE("the exact GELU, not its tanh form") {
    // Inner values between 2 and 3, where the two differ by up to 4e-4, and little else in the stream.
    auto model = tiny_vit();
    for (std::string const block : {"blocks.0.", "blocks.1."}) {
        for (float& v : model.tensors.at(block + "mlp.fc1.weight").values) v *= 0.01f;
        for (float& v : model.tensors.at(block + "mlp.fc1.bias").values) v = 2.5f;
    }
    check_logits(model, 2);
}

TEST_CASE("layers come in the order of computation, under the tensors' names") {
    std::vector<std::string> const expected{"patch_embed.proj",   "blocks.0.attn.qkv",
                                            "blocks.0.attn.proj", "blocks.0.mlp.fc1",
                                            "blocks.0.mlp.fc2",   "blocks.1.attn.qkv",
                                            "blocks.1.attn.proj", "blocks.1.mlp.fc1",
                                            "blocks.1.mlp.fc2",   "head"};
    auto const network = loaded(tiny_vit());
    std::vector<std::string> names, seen;
    network.for_each_linear([&](qtk::linear const& layer) { names.push_back(layer.name()); });
    CHECK(names == expected);
    (void)network.forward(random_images(1, {6, 6, 3}, 1),
                          [&](qtk::linear const& layer, qtk::matrix_view<float const> x) {
                              CHECK(x.cols == layer.in());
                              seen.push_back(layer.name());
                          });
    CHECK(seen == expected);
    CHECK(network.block_count() == 2);
    CHECK(network.heads() == 2);
    CHECK(network.classes() == 5);
    CHECK(network.channels() == 3);
}

TEST_CASE(
    "attentions are found by name, seen with their input, and rounded where that is asked for") {
    auto network = loaded(tiny_vit());
    auto const images = random_images(2, {6, 6, 3}, 1);
    attention_watcher const watcher;
    qtk::matrix const before = network.forward(images, watcher);
    CHECK(watcher.seen == std::vector<std::string>{"blocks.0.attn", "blocks.1.attn"});
    std::vector<std::string> names;
    network.for_each_attention([&](qtk::vit_attention& attention) {
        names.push_back(attention.name());
        CHECK(attention.heads() == 2);
        CHECK(attention.tokens() == 10);
        if (attention.name() == "blocks.1.attn") {
            CHECK_THROWS_AS(attention.set_rounding({.v = qtk::activation_codes(3)}),
                            qtk::value_error);
            attention.set_rounding({.v = qtk::activation_grid{0.1f, -3, 3}});
        }
    });
    CHECK(names == watcher.seen);
    CHECK(network.forward(images) != before);
}

TEST_CASE("a layer that is changed changes the logits") {
    auto const images = random_images(1, {6, 6, 3}, 1);
    qtk::matrix const before = loaded(tiny_vit()).forward(images);
    for (char const* name : {"patch_embed.proj", "blocks.1.attn.qkv", "blocks.0.attn.proj",
                             "blocks.1.mlp.fc1", "blocks.0.mlp.fc2", "head"}) {
        auto network = loaded(tiny_vit());
        network.for_each_linear([&](qtk::linear& layer) {
            if (layer.name() == name) layer.set_weight(qtk::matrix(layer.out(), layer.in()));
        });
        CAPTURE(name);
        CHECK(network.forward(images) != before);
    }
}

TEST_CASE("heads have 64 values, or 32, or somebody says it") {
    CHECK(qtk::heads_of_width(1024) == 16);
    CHECK(refusal(tiny_vit(), 0) ==
          "expected a number of heads that divides the width 8, found none. Hint: state it in the "
          "options");
    CHECK(refusal(tiny_vit(), 3).find("divides the width 8, found 3") != std::string::npos);
    CHECK(refusal(tiny_vit(), 8) == "accepted");
}

TEST_CASE("positions are for images of one size") {
    auto const network = loaded(tiny_vit());
    auto const refused = [&](qtk::image_shape const& shape) -> std::string {
        try {
            (void)network.forward(random_images(1, shape, 1));
        } catch (qtk::shape_error const& fault) {
            return fault.what();
        }
        return "accepted";
    };
    CHECK(refused({6, 6, 3}) == "accepted");
    CHECK(
        refused({8, 6, 3}) ==
        "the network's positions are for images of 6 x 6 pixels, found 8 x 6 x 3. Hint: scale the "
        "images");
    CHECK(refused({2, 18, 3}).find("6 x 6 pixels") != std::string::npos);
    CHECK(refused({7, 6, 3}).find("6 x 6 pixels") != std::string::npos);
    CHECK(refused({6, 6, 1}) == "patch_embed.proj: expected images of 3 channels, found 6 x 6 x 1");
    // Six patches are no square: they may be 2 x 3 or 3 x 2.
    auto model = tiny_vit();
    model.add("pos_embed", {1, 7, 8});
    auto const oblong = loaded(model);
    CHECK(oblong.forward(random_images(1, {4, 6, 3}, 1)).rows() == 1);
    CHECK_THROWS_WITH_AS((void)oblong.forward(random_images(1, {4, 4, 3}, 1)),
                         "the network's positions are for images of 6 patches of 2 x 2, found 4 x "
                         "4 x 3. Hint: scale the images",
                         qtk::shape_error);
}

TEST_CASE("what is missing is named, and what is left over has no place") {
    for (char const* name : {"patch_embed.proj.weight", "patch_embed.proj.bias", "cls_token",
                             "pos_embed", "blocks.0.norm1.weight", "blocks.1.attn.proj.bias",
                             "blocks.1.mlp.fc1.weight", "norm.bias", "head.weight"}) {
        auto model = tiny_vit();
        model.tensors.erase(name);
        CHECK(refusal(model).starts_with("tensor \"" + std::string(name) + "\" is missing"));
    }
    auto model = tiny_vit();
    model.add("dist_token", {1, 1, 8});
    CHECK(refusal(model) ==
          "tensor \"dist_token\" has no place in a ViT of 2 blocks with timm's names");
}

TEST_CASE("shapes that do not fit are refused") {
    auto const changed = [](char const* name, std::vector<std::uint64_t> const& shape) {
        auto model = tiny_vit();
        model.add(name, shape);
        return refusal(model);
    };
    CHECK(changed("patch_embed.proj.weight", {8, 3, 2, 1}) ==
          "tensor \"patch_embed.proj.weight\": expected square patches, found 2 x 1");
    CHECK(changed("cls_token", {1, 8}) == "tensor \"cls_token\": expected [1, 1, 8], found [1, 8]");
    CHECK(changed("pos_embed", {1, 10, 9}) ==
          "tensor \"pos_embed\": expected [1, 10, 8], found [1, 10, 9]");
    CHECK(changed("blocks.0.attn.qkv.weight", {16, 8}) ==
          "tensor \"blocks.0.attn.qkv.weight\": expected [24, 8], found [16, 8]");
    CHECK(changed("blocks.1.mlp.fc2.weight", {8, 13}) ==
          "tensor \"blocks.1.mlp.fc2.weight\": expected [8, 12], found [8, 13]");
}
