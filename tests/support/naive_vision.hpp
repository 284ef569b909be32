// SPDX-License-Identifier: Apache-2.0
//
// Vision models the way textbooks write them: one value at a time, in double precision, from the tensors
// as files hold them, channel by channel (NCHW), with batch norms where they stand.
#pragma once

#include <qtk/model/image.hpp>

#include "naive.hpp"
#include "tiny_model.hpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace qtk_test {

/// One image: plane[c][y][x].
using planes = std::vector<std::vector<std::vector<double>>>;

inline planes empty_planes(std::size_t channels, std::size_t height, std::size_t width) {
    return planes(channels, std::vector(height, std::vector<double>(width)));
}

inline planes planes_of(qtk::pixel_rows images, std::size_t n) {
    auto const& s = images.shape();
    planes x = empty_planes(s.channels, s.height, s.width);
    for (std::size_t i = 0; i < s.pixels(); ++i)
        for (std::size_t c = 0; c < s.channels; ++c)
            x[c][i / s.width][i % s.width] =
                static_cast<double>(images.pixels()(n * s.pixels() + i, c));
    return x;
}

/// filters [out, in, side, side], without bias.
inline planes convolution(float_tensor const& w, planes const& x, std::size_t stride,
                          std::size_t padding) {
    std::size_t const side = w.shape[2];
    std::size_t const height = (x[0].size() + 2 * padding - side) / stride + 1;
    std::size_t const width = (x[0][0].size() + 2 * padding - side) / stride + 1;
    planes y = empty_planes(w.shape[0], height, width);
    for (std::size_t o = 0; o < y.size(); ++o)
        for (std::size_t r = 0; r < height; ++r)
            for (std::size_t s = 0; s < width; ++s)
                for (std::size_t c = 0; c < x.size(); ++c)
                    for (std::size_t i = 0; i < side; ++i)
                        for (std::size_t j = 0; j < side; ++j) {
                            std::size_t const row = r * stride + i, col = s * stride + j;
                            if (row < padding || row - padding >= x[0].size() || col < padding ||
                                col - padding >= x[0][0].size())
                                continue;
                            y[o][r][s] += x[c][row - padding][col - padding] *
                                          static_cast<double>(
                                              w.values[((o * x.size() + c) * side + i) * side + j]);
                        }
    return y;
}

inline planes batch_norm(model_folder const& m, std::string const& name, planes x) {
    auto const value = [&](char const* part, std::size_t c) {
        return static_cast<double>(m.tensors.at(name + part).values[c]);
    };
    for (std::size_t c = 0; c < x.size(); ++c)
        for (auto& row : x[c])
            for (double& v : row)
                v = (v - value(".running_mean", c)) / std::sqrt(value(".running_var", c) + 1e-5) *
                        value(".weight", c) +
                    value(".bias", c);
    return x;
}

inline planes relu(planes x) {
    for (auto& plane : x)
        for (auto& row : plane)
            for (double& v : row) v = std::max(v, 0.0);
    return x;
}

inline planes max_pool(planes const& x, std::size_t side, std::size_t stride, std::size_t padding) {
    planes y = empty_planes(x.size(), (x[0].size() + 2 * padding - side) / stride + 1,
                            (x[0][0].size() + 2 * padding - side) / stride + 1);
    for (std::size_t c = 0; c < x.size(); ++c)
        for (std::size_t r = 0; r < y[0].size(); ++r)
            for (std::size_t s = 0; s < y[0][0].size(); ++s) {
                double largest = -HUGE_VAL;
                for (std::size_t i = r * stride; i < r * stride + side; ++i)
                    for (std::size_t j = s * stride; j < s * stride + side; ++j)
                        if (i >= padding && i - padding < x[c].size() && j >= padding &&
                            j - padding < x[c][0].size())
                            largest = std::max(largest, x[c][i - padding][j - padding]);
                y[c][r][s] = largest;
            }
    return y;
}

/// The logits of a ResNet for one image.
inline std::vector<double> resnet_logits(model_folder const& m, planes x) {
    auto const normed = [&](std::string const& layer, std::string const& norm, planes const& in,
                            std::size_t stride) {
        auto const& w = m.tensors.at(layer + ".weight");
        return batch_norm(m, norm, convolution(w, in, stride, w.shape[2] / 2));
    };
    bool const is_large = m.tensors.at("conv1.weight").shape[2] == 7;
    x = relu(normed("conv1", "bn1", x, is_large ? 2 : 1));
    if (is_large) x = max_pool(x, 3, 2, 1);
    for (int stage = 1; stage <= 4; ++stage)
        for (int i = 0; i < 8; ++i) {
            std::string const block =
                "layer" + std::to_string(stage) + "." + std::to_string(i) + ".";
            if (!m.tensors.contains(block + "conv1.weight")) break;
            std::size_t const stride = stage > 1 && i == 0 ? 2 : 1;
            bool const is_bottleneck = m.tensors.contains(block + "conv3.weight");
            planes y = relu(normed(block + "conv1", block + "bn1", x, is_bottleneck ? 1 : stride));
            y = normed(block + "conv2", block + "bn2", y, is_bottleneck ? stride : 1);
            if (is_bottleneck) y = normed(block + "conv3", block + "bn3", relu(y), 1);
            if (m.tensors.contains(block + "downsample.0.weight"))
                x = normed(block + "downsample.0", block + "downsample.1", x, stride);
            for (std::size_t c = 0; c < y.size(); ++c)
                for (std::size_t r = 0; r < y[c].size(); ++r)
                    for (std::size_t s = 0; s < y[c][r].size(); ++s) y[c][r][s] += x[c][r][s];
            x = relu(y);
        }
    rows means(1);
    for (auto const& plane : x) {
        double sum = 0.0;
        for (auto const& row : plane)
            for (double const v : row) sum += v;
        means[0].push_back(sum / static_cast<double>(plane.size() * plane[0].size()));
    }
    return linear(m, "fc", means, false)[0];
}

/// Attention without a mask, of one image.
inline rows full_attention(rows const& q, rows const& k, rows const& v, std::size_t heads) {
    rows y(q.size(), std::vector<double>(q[0].size()));
    std::size_t const d = q[0].size() / heads;
    for (std::size_t t = 0; t < q.size(); ++t)
        for (std::size_t h = 0; h < heads; ++h) {
            double total = 0.0;
            for (std::size_t s = 0; s < k.size(); ++s) {
                double score = 0.0;
                for (std::size_t i = h * d; i < (h + 1) * d; ++i) score += q[t][i] * k[s][i];
                double const weight = std::exp(score / std::sqrt(static_cast<double>(d)));
                total += weight;
                for (std::size_t i = h * d; i < (h + 1) * d; ++i) y[t][i] += weight * v[s][i];
            }
            for (std::size_t i = h * d; i < (h + 1) * d; ++i) y[t][i] /= total;
        }
    return y;
}

/// The logits of a ViT for one image.
inline std::vector<double> vit_logits(model_folder const& m, planes const& image,
                                      std::size_t heads) {
    auto const& filters = m.tensors.at("patch_embed.proj.weight");
    planes const patches = convolution(filters, image, filters.shape[2], 0);
    auto const value = [&](char const* name, std::size_t i) {
        return static_cast<double>(m.tensors.at(name).values[i]);
    };
    std::size_t const width = patches.size(), across = patches[0][0].size();
    rows x(1 + patches[0].size() * across, std::vector<double>(width));
    for (std::size_t t = 0; t < x.size(); ++t)
        for (std::size_t i = 0; i < width; ++i)
            x[t][i] = value("pos_embed", t * width + i) +
                      (t == 0 ? value("cls_token", i)
                              : patches[i][(t - 1) / across][(t - 1) % across] +
                                    value("patch_embed.proj.bias", i));
    auto const add = [&](rows const& y) {
        for (std::size_t t = 0; t < x.size(); ++t)
            for (std::size_t i = 0; i < width; ++i) x[t][i] += y[t][i];
    };
    for (int b = 0; m.tensors.contains("blocks." + std::to_string(b) + ".norm1.weight"); ++b) {
        std::string const block = "blocks." + std::to_string(b) + ".";
        rows const qkv = linear(m, block + "attn.qkv", norm(m, block + "norm1", x, 1e-6), false);
        add(linear(m, block + "attn.proj",
                   full_attention(columns(qkv, 0, width), columns(qkv, width, width),
                                  columns(qkv, 2 * width, width), heads),
                   false));
        rows inner = linear(m, block + "mlp.fc1", norm(m, block + "norm2", x, 1e-6), false);
        for (auto& row : inner)
            for (double& v : row) v = 0.5 * v * (1.0 + std::erf(v / std::sqrt(2.0)));
        add(linear(m, block + "mlp.fc2", inner, false));
    }
    return linear(m, "head", {norm(m, "norm", x, 1e-6)[0]}, false)[0];
}

}  // namespace qtk_test
