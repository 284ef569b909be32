// SPDX-License-Identifier: Apache-2.0
//
// Vision models that a test can bend, and images for them.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/model/image.hpp>

#include "tiny_model.hpp"
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace qtk_test {

inline qtk::image_batch random_images(std::size_t count, qtk::image_shape shape,
                                      std::uint64_t seed) {
    qtk::image_batch images(count, shape);
    auto const values = qtk::gaussian_vector(images.pixels().size(), seed);
    std::ranges::copy(values, images.pixels().data);
    return images;
}

/// A convolution NAME of out filters [in, side, side] and the batch norm after it.
inline void add_normed(model_folder& m, std::string const& name, std::string const& norm,
                       std::uint64_t out, std::uint64_t in, std::uint64_t side) {
    m.add(name + ".weight", {out, in, side, side});
    for (char const* part : {".weight", ".bias", ".running_mean", ".running_var"})
        m.add(norm + part, {out});
    for (float& v : m.tensors[norm + ".running_var"].values) v = 0.5f + v * v;
}

/// Two stages of two blocks of 4 and 6 channels, 3 channels in and 5 classes; the stem is of 7 x 7 or 3 x 3.
inline model_folder tiny_resnet(std::uint64_t stem = 3) {
    model_folder m;
    add_normed(m, "conv1", "bn1", 4, 3, stem);
    for (std::uint64_t stage = 1; stage <= 2; ++stage)
        for (std::uint64_t i = 0; i < 2; ++i) {
            std::string const block =
                "layer" + std::to_string(stage) + "." + std::to_string(i) + ".";
            std::uint64_t const out = stage == 1 ? 4 : 6, in = stage == 2 && i == 0 ? 4 : out;
            add_normed(m, block + "conv1", block + "bn1", out, in, 3);
            add_normed(m, block + "conv2", block + "bn2", out, out, 3);
            if (in != out)
                add_normed(m, block + "downsample.0", block + "downsample.1", out, in, 1);
        }
    m.add("fc.weight", {5, 6});
    m.add("fc.bias", {5});
    return m;
}

/// Two stages of one bottleneck each, of 2 and 3 channels inside and four times as many outside.
inline model_folder tiny_bottlenecks() {
    model_folder m;
    add_normed(m, "conv1", "bn1", 4, 3, 7);
    for (std::uint64_t stage = 1; stage <= 2; ++stage) {
        std::string const block = "layer" + std::to_string(stage) + ".0.";
        std::uint64_t const inner = 1 + stage, in = stage == 1 ? 4 : 8;
        add_normed(m, block + "conv1", block + "bn1", inner, in, 1);
        add_normed(m, block + "conv2", block + "bn2", inner, inner, 3);
        add_normed(m, block + "conv3", block + "bn3", 4 * inner, inner, 1);
        add_normed(m, block + "downsample.0", block + "downsample.1", 4 * inner, in, 1);
    }
    m.add("fc.weight", {5, 12});
    m.add("fc.bias", {5});
    return m;
}

/// Two blocks of width 8 on 3 x 3 patches of 2 x 2 pixels with 3 channels, an inner width of 12, 5 classes. The
/// width does not say the number of heads.
inline model_folder tiny_vit() {
    model_folder m;
    m.config = nlohmann::json::object();
    m.add("patch_embed.proj.weight", {8, 3, 2, 2});
    m.add("patch_embed.proj.bias", {8});
    m.add("cls_token", {1, 1, 8});
    m.add("pos_embed", {1, 10, 8});
    auto const layer = [&](std::string const& name, std::uint64_t out, std::uint64_t in) {
        m.add(name + ".weight", {out, in});
        m.add(name + ".bias", {out});
    };
    auto const norm = [&](std::string const& name) {
        m.add(name + ".weight", {8});
        m.add(name + ".bias", {8});
    };
    for (int i = 0; i < 2; ++i) {
        std::string const block = "blocks." + std::to_string(i) + ".";
        norm(block + "norm1"), norm(block + "norm2");
        layer(block + "attn.qkv", 24, 8), layer(block + "attn.proj", 8, 8);
        layer(block + "mlp.fc1", 12, 8), layer(block + "mlp.fc2", 8, 12);
    }
    norm("norm");
    layer("head", 5, 8);
    return m;
}

/// The embedded digits: 1797 images of 8 x 8, pixel / 16, and what they show.
struct digits {
    digits()
        : images(qtk::image_batch::from_bytes(bytes("digits_images.u8"), {8, 8, 1},
                                              {.divisor = 16.0f})),
          labels(bytes("digits_labels.u8")) {}

    static std::string path(std::string const& name) {
        return std::string(QTK_DATA_DIR) + "/digits/" + name;
    }

    static constexpr std::size_t first_calibration = 1097, first_test = 1297, tests = 500;
    qtk::image_batch images;
    std::vector<std::uint8_t> labels;

  private:
    static std::vector<std::uint8_t> bytes(std::string const& name) {
        std::ifstream file(path(name), std::ios::binary);
        if (!file) throw std::runtime_error("no " + path(name));
        return {std::istreambuf_iterator<char>(file), {}};
    }
};

}  // namespace qtk_test
