// SPDX-License-Identifier: Apache-2.0
//
// How does a network run in LibTorch so that it can be trained as it will run packed? The computations of
// model/resnet.hpp and model/vit.hpp, with each layer's weight and input rounded to its grid on the way, by nodes
// that gradients pass (qtk/torch/lsq.hpp).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/torch/lsq.hpp>

#include "trained_network.hpp"
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace app {

[[nodiscard]] inline at::Tensor to_tensor(float const* values,
                                          std::vector<std::int64_t> const& shape) {
    at::Tensor t = torch::empty(shape, torch::kFloat);
    std::memcpy(t.data_ptr<float>(), values, static_cast<std::size_t>(t.numel()) * sizeof(float));
    return t;
}
[[nodiscard]] inline at::Tensor to_tensor(std::vector<float> const& values) {
    return to_tensor(values.data(), {static_cast<std::int64_t>(values.size())});
}
inline void copy_to(at::Tensor const& from, float* to) {
    at::Tensor const flat = from.detach().contiguous();
    std::memcpy(to, flat.data_ptr<float>(), static_cast<std::size_t>(flat.numel()) * sizeof(float));
}

/// Images as [count, channels, height, width].
[[nodiscard]] inline at::Tensor to_images(qtk::pixel_rows images) {
    qtk::image_shape const& shape = images.shape();
    auto const size = [](std::size_t n) { return static_cast<std::int64_t>(n); };
    return to_tensor(images.pixels().data, {size(images.count()), size(shape.height),
                                            size(shape.width), size(shape.channels)})
        .permute({0, 3, 1, 2})
        .contiguous();
}

/// What gradients do where something is rounded.
enum class passage : std::uint8_t {
    learned,  ///< LSQ: steps get gradients, clipped values none
    plain,  ///< straight-through estimator: every gradient passes; steps of weights follow their extremes
    attack  ///< as learned, but all of it passes to the images: black pixels lie at the end of the grid
};

class torch_network {
  public:
    torch_network(trained_network const& from, passage gradients)
        : is_transformer_(from.is_transformer),
          gradients_(gradients),
          heads_(static_cast<std::int64_t>(from.heads)) {
        for (network_layer const& layer : from.layers) {
            auto const out = static_cast<std::int64_t>(layer.weight.rows());
            auto const in = static_cast<std::int64_t>(layer.weight.cols());
            parts& to = layers_[layer.name];
            to.weight = to_tensor(layer.weight.data(), {out, in});
            if (!layer.bias.empty()) to.bias = to_tensor(layer.bias);
            if (layer.scheme) {
                to.weight_levels = qtk::lsq_levels_of(layer.scheme->element);
                to.steps = to_tensor(layer.steps);
            }
            if (layer.input) {
                to.input_levels = {-static_cast<float>(layer.input->lowest),
                                   static_cast<float>(layer.input->highest)};
                to.input_step = to_tensor({layer.input->scale});
            }
            names_.push_back(layer.name);
        }
        for (network_tensor const& tensor : from.others) {
            std::vector<std::int64_t> const shape(tensor.shape.begin(), tensor.shape.end());
            others_[tensor.name] = to_tensor(tensor.values.data(), shape);
        }
    }

    /// What training changes: weights, biases and everything else that is no step.
    [[nodiscard]] std::vector<at::Tensor> weights() const {
        std::vector<at::Tensor> all;
        for (std::string const& name : names_) {
            parts const& layer = layers_.at(name);
            all.push_back(layer.weight);
            if (layer.bias.defined()) all.push_back(layer.bias);
        }
        for (auto const& [name, tensor] : others_) all.push_back(tensor);
        return all;
    }
    [[nodiscard]] std::vector<at::Tensor> steps() const {
        std::vector<at::Tensor> all;
        for (std::string const& name : names_)
            for (at::Tensor const& steps : {layers_.at(name).steps, layers_.at(name).input_step})
                if (steps.defined()) all.push_back(steps);
        return all;
    }

    /// Steps at 2 mean|v| / sqrt(Qp), of weights and of what calibration has seen of inputs.
    void start_steps(trained_network const& from) {
        for (network_layer const& layer : from.layers) {
            parts& to = layers_.at(layer.name);
            if (to.steps.defined())
                copy_into(to.steps, qtk::lsq_start(layer.weight.view(), layer.steps.size(),
                                                   to.weight_levels));
            if (!to.input_step.defined() || to.input_levels.above <= 0.0f || layer.seen.count == 0)
                continue;
            double const mean =
                layer.seen.sum_of_magnitudes / static_cast<double>(layer.seen.count);
            auto const step = static_cast<float>(
                2.0 * mean / std::sqrt(static_cast<double>(to.input_levels.above)));
            if (step > 0.0f) copy_into(to.input_step, {step});
        }
    }

    /// Steps of weights that clip nothing, for weights that have moved.
    void follow_extremes() {
        for (std::string const& name : names_) {
            parts& layer = layers_.at(name);
            if (!layer.steps.defined()) continue;
            at::Tensor const flat = layer.weight.detach().contiguous();
            qtk::matrix_view<float const> const rows(flat.data_ptr<float>(),
                                                     static_cast<std::size_t>(flat.size(0)),
                                                     static_cast<std::size_t>(flat.size(1)));
            copy_into(layer.steps,
                      qtk::ste_steps(rows, static_cast<std::size_t>(layer.steps.numel()),
                                     layer.weight_levels));
        }
    }

    /// Everything that was trained, back into the network that this one was made from.
    void write_to(trained_network& to) const {
        for (network_layer& layer : to.layers) {
            parts const& from = layers_.at(layer.name);
            copy_to(from.weight, layer.weight.data());
            if (from.bias.defined()) copy_to(from.bias, layer.bias.data());
            if (from.steps.defined()) copy_to(from.steps, layer.steps.data());
            if (from.input_step.defined()) copy_to(from.input_step, &layer.input->scale);
        }
        for (network_tensor& tensor : to.others)
            copy_to(others_.at(tensor.name), tensor.values.data());
    }

    /// Logits [count, classes] of images [count, channels, height, width].
    [[nodiscard]] at::Tensor forward(at::Tensor const& images) const {
        return is_transformer_ ? transformer(images) : residual(images);
    }

  private:
    struct parts {
        at::Tensor weight, bias, steps, input_step;
        qtk::lsq_levels weight_levels, input_levels;
    };

    static void copy_into(at::Tensor& to, std::vector<float> const& values) {
        torch::NoGradGuard const no_gradient;
        to.copy_(to_tensor(values));
    }
    [[nodiscard]] at::Tensor weight_of(parts const& layer) const {
        if (!layer.steps.defined()) return layer.weight;
        return gradients_ == passage::plain
                   ? qtk::ste_fake_quantize(layer.weight, layer.steps, layer.weight_levels)
                   : qtk::lsq_fake_quantize(layer.weight, layer.steps, layer.weight_levels);
    }
    [[nodiscard]] at::Tensor input_of(parts const& layer, at::Tensor const& x) const {
        if (!layer.input_step.defined()) return x;
        bool const is_first = &layer == &layers_.at(names_.front());
        if (gradients_ == passage::plain || (gradients_ == passage::attack && is_first))
            return qtk::ste_fake_quantize(x, layer.input_step, layer.input_levels);
        // The features of one image share the step.
        auto const features = static_cast<std::size_t>(x.numel() / x.size(0));
        return qtk::lsq_fake_quantize(x, layer.input_step, layer.input_levels, features);
    }
    [[nodiscard]] at::Tensor linear(std::string const& name, at::Tensor const& x) const {
        parts const& layer = layers_.at(name);
        return torch::nn::functional::linear(input_of(layer, x), weight_of(layer), layer.bias);
    }
    [[nodiscard]] std::int64_t side_of(parts const& layer, std::int64_t channels) const {
        return std::llround(std::sqrt(static_cast<double>(layer.weight.size(1) / channels)));
    }
    [[nodiscard]] at::Tensor convolution(std::string const& name, at::Tensor const& x,
                                         std::int64_t stride, std::int64_t padding) const {
        parts const& layer = layers_.at(name);
        std::int64_t const side = side_of(layer, x.size(1));
        // Rows hold pixels of the window with their channels side by side.
        at::Tensor const filters = weight_of(layer)
                                       .reshape({layer.weight.size(0), side, side, x.size(1)})
                                       .permute({0, 3, 1, 2});
        return torch::conv2d(input_of(layer, x), filters, layer.bias, stride,
                             padding < 0 ? side / 2 : padding);
    }
    [[nodiscard]] bool has(std::string const& name) const { return layers_.contains(name); }

    [[nodiscard]] at::Tensor residual(at::Tensor const& images) const {
        constexpr std::int64_t as_wide = -1;  // padded so that a stride of 1 keeps the size
        bool const pools = side_of(layers_.at("conv1"), images.size(1)) == 7;
        at::Tensor x = convolution("conv1", images, pools ? 2 : 1, as_wide).relu();
        if (pools) x = torch::max_pool2d(x, 3, 2, 1);
        for (int stage = 1;; ++stage) {
            int block = 0;
            for (;; ++block) {
                std::string const prefix =
                    "layer" + std::to_string(stage) + "." + std::to_string(block) + ".";
                if (!has(prefix + "conv1")) break;
                std::int64_t const stride = stage > 1 && block == 0 ? 2 : 1;
                bool const is_bottleneck = has(prefix + "conv3");
                at::Tensor inner =
                    convolution(prefix + "conv1", x, is_bottleneck ? 1 : stride, as_wide).relu();
                inner = convolution(prefix + "conv2", inner, is_bottleneck ? stride : 1, as_wide);
                if (is_bottleneck) inner = convolution(prefix + "conv3", inner.relu(), 1, as_wide);
                if (has(prefix + "downsample.0"))
                    x = convolution(prefix + "downsample.0", x, stride, 0);
                x = (inner + x).relu();
            }
            if (block == 0) break;
        }
        return linear("fc", x.mean({2, 3}));
    }

    [[nodiscard]] at::Tensor norm(std::string const& name, at::Tensor const& x) const {
        return torch::layer_norm(x, {x.size(-1)}, others_.at(name + ".weight"),
                                 others_.at(name + ".bias"), 1e-6);
    }
    [[nodiscard]] at::Tensor transformer(at::Tensor const& images) const {
        parts const& patches = layers_.at("patch_embed.proj");
        at::Tensor x = convolution("patch_embed.proj", images, side_of(patches, images.size(1)), 0)
                           .flatten(2)
                           .transpose(1, 2);
        std::int64_t const count = x.size(0), width = x.size(2), depth = width / heads_;
        x = torch::cat({others_.at("cls_token").expand({count, 1, width}), x}, 1) +
            others_.at("pos_embed");
        for (int block = 0; has("blocks." + std::to_string(block) + ".attn.qkv"); ++block) {
            std::string const prefix = "blocks." + std::to_string(block) + ".";
            at::Tensor const qkv = linear(prefix + "attn.qkv", norm(prefix + "norm1", x))
                                       .reshape({count, -1, 3, heads_, depth})
                                       .permute({2, 0, 3, 1, 4});
            at::Tensor const shares =
                (qkv[0].matmul(qkv[1].transpose(-2, -1)) / std::sqrt(static_cast<double>(depth)))
                    .softmax(-1);
            at::Tensor const attended =
                shares.matmul(qkv[2]).transpose(1, 2).reshape({count, -1, width});
            x = x + linear(prefix + "attn.proj", attended);
            at::Tensor const inner =
                torch::gelu(linear(prefix + "mlp.fc1", norm(prefix + "norm2", x)));
            x = x + linear(prefix + "mlp.fc2", inner);
        }
        return linear("head", norm("norm", x.select(1, 0)));
    }

    bool is_transformer_;
    passage gradients_;
    std::int64_t heads_;
    std::vector<std::string> names_;  // in the order of computation
    std::map<std::string, parts> layers_;
    std::map<std::string, at::Tensor> others_;
};

}  // namespace app
