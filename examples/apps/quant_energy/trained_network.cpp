// SPDX-License-Identifier: Apache-2.0
#include "trained_network.hpp"

#include <qtk/core/error.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/qmatrix_file.hpp>
#include <qtk/io/safetensors_writer.hpp>
#include <qtk/io/staged_folder.hpp>
#include <qtk/method/lsq.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/rounded_activations.hpp>
#include <qtk/model/vision_model.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <deque>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

namespace app {
namespace {

constexpr char const* codes_file = "quantized.safetensors";

/// From [out, pixels of the window, channels] to [out, channels, pixels] as PyTorch has filters.
[[nodiscard]] std::vector<float> filters_of(qtk::matrix const& rows, std::size_t channels) {
    std::size_t const seen = rows.cols() / channels;
    std::vector<float> filters(rows.view().size());
    for (std::size_t o = 0; o < rows.rows(); ++o)
        for (std::size_t p = 0; p < seen; ++p)
            for (std::size_t c = 0; c < channels; ++c)
                filters[(o * channels + c) * seen + p] = rows(o, p * channels + c);
    return filters;
}

/// The name of the batch norm after a convolution of torchvision's ResNet.
[[nodiscard]] std::string norm_of(std::string const& convolution) {
    std::string name = convolution;
    if (std::size_t const at = name.rfind("conv"); at != name.npos)
        return name.replace(at, 4, "bn");
    return name.substr(0, name.size() - 1) + "1";  // downsample.0
}

/// A batch norm that leaves everything as it is: 1 / sqrt(variance + epsilon) is so near to 1 that no float changes.
constexpr float idle_variance = static_cast<float>(1.0 - 1e-5);

/// Channels of the images that a convolution sees.
[[nodiscard]] std::size_t channels_of(trained_network const& network, std::string const& name) {
    if (name == "conv1" || name == "patch_embed.proj") return network.channels;
    // The layer before the last point: "layer2.0." for "layer2.0.conv1".
    std::size_t const point = name.rfind('.');
    std::string const block = name.substr(0, name.find('.', name.find('.') + 1) + 1);
    if (name.substr(point + 1) != "conv1" && name.find("downsample") == name.npos) {
        char const number = static_cast<char>(name.back() - 1);
        return network.layer(block + "conv" + number).weight.rows();
    }
    // What the block before this one ends with, or the stem.
    std::size_t channels = network.layers.front().weight.rows();
    std::string last;
    for (network_layer const& layer : network.layers) {
        if (layer.name.starts_with(block)) return channels;
        if (layer.name.find("conv") != layer.name.npos) channels = layer.weight.rows();
    }
    throw qtk::value_error(name + ": no layer of that name");
}

[[nodiscard]] bool is_convolution(trained_network const& network, std::string const& name) {
    return network.is_transformer ? name == "patch_embed.proj" : name != "fc";
}

[[nodiscard]] std::string to_text(qtk::activation_grid const& grid) {
    char digits[32];
    auto const end = std::to_chars(std::begin(digits), std::end(digits), grid.scale).ptr;
    return std::string(digits, end) + " " + std::to_string(grid.lowest) + " " +
           std::to_string(grid.highest);
}

/// Throws io_error for what to_text() does not write.
[[nodiscard]] qtk::activation_grid grid_from(std::string const& text, std::string const& where) {
    qtk::activation_grid grid;
    char const* at = text.data();
    char const* const end = at + text.size();
    auto const next = [&](auto& value) {
        auto const [stop, failure] = std::from_chars(at, end, value);
        at = stop < end ? stop + 1 : stop;
        return failure == std::errc{};
    };
    bool const is_read = next(grid.scale) && next(grid.lowest) && next(grid.highest) && at == end;
    if (!is_read || !(grid.scale > 0.0f) || !std::isfinite(grid.scale) || grid.lowest > 0 ||
        grid.highest < 0 || grid.highest - grid.lowest > 254)
        throw qtk::io_error(
            where,
            "the metadata expects a grid \"SCALE LOWEST HIGHEST\" with lowest <= 0 <= "
            "highest and at most 255 codes, found \"" +
                text + "\"");
    return grid;
}

}  // namespace

qtk::matrix network_layer::rounded_weight() const {
    if (!scheme) return weight;
    qtk::matrix rounded(weight.rows(), weight.cols());
    qtk::lsq_forward(weight.view(), steps, qtk::lsq_levels_of(scheme->element), rounded.view());
    return rounded;
}

qtk::layer_activations input_activations(network_layer const& layer) {
    if (!layer.input) return {};
    return {.type = qtk::activation_type::a8_static, .grid = *layer.input};
}

network_layer const& trained_network::layer(std::string const& name) const {
    for (network_layer const& layer : layers)
        if (layer.name == name) return layer;
    throw qtk::value_error("the network has no layer " + name);
}
network_tensor const& trained_network::other(std::string const& name) const {
    for (network_tensor const& tensor : others)
        if (tensor.name == name) return tensor;
    throw qtk::value_error("the network has no tensor " + name);
}

trained_network read_for_training(std::filesystem::path const& path, qtk::pixel_rows calibration) {
    qtk::vision_model const model = qtk::load_vision_model(path);
    trained_network network;
    network.channels = model.channels();
    if (auto const* const vit = std::get_if<qtk::vision_transformer>(&model.what()))
        network.is_transformer = true, network.heads = vit->heads();
    std::map<std::string, value_range> seen;
    static_cast<void>(
        model.logits(calibration, [&](qtk::linear const& layer, qtk::matrix_view<float const> x) {
            value_range& range = seen[layer.name()];
            for (std::size_t r = 0; r < x.rows; ++r)
                for (float const v : x.row(r)) {
                    range.lowest = std::min(range.lowest, v);
                    range.highest = std::max(range.highest, v);
                    range.sum_of_magnitudes += std::fabs(static_cast<double>(v));
                }
            range.count += x.size();
        }));
    model.for_each_linear([&](qtk::linear const& layer) {
        network.layers.push_back({.name = layer.name(),
                                  .weight = layer.form().floats(),
                                  .bias = {layer.bias().begin(), layer.bias().end()},
                                  .scheme = {},
                                  .steps = {},
                                  .input = {},
                                  .seen = seen[layer.name()]});
    });
    if (!network.is_transformer) return network;
    auto const file = qtk::checkpoint::open(path);
    for (auto const& shard : file.shards())
        for (auto const& info : shard.tensors()) {
            std::string const& name = info.name;
            bool const is_norm = name.find("norm") != name.npos;
            if (is_norm || name == "cls_token" || name == "pos_embed")
                network.others.push_back(
                    {name, {info.shape.begin(), info.shape.end()}, shard.floats(info)});
        }
    return network;
}

void plan_layers(trained_network& network, layer_plan const& plan) {
    for (std::size_t i = 0; i < network.layers.size(); ++i) {
        network_layer& layer = network.layers[i];
        bool const is_edge = plan.edge_bits > 0 && (i == 0 || i + 1 == network.layers.size());
        qtk::scheme scheme = plan.scheme;
        if (is_edge) scheme.element.bits = plan.edge_bits;
        if (!scheme.element.is_integer() || scheme.has_zero_point() ||
            scheme != qtk::lsq_scheme(scheme.element, scheme.grain) ||
            (scheme.grain != qtk::per_tensor && scheme.grain != qtk::per_channel))
            throw qtk::value_error(
                "train: steps of " + qtk::to_string(plan.scheme) +
                " are not learned; expected i2 to i8, by tensor or channel, symmetric, with "
                "scales of f32: i2/tensor, i3/channel");
        layer.scheme = scheme;
        layer.steps = qtk::ste_steps(layer.weight.view(),
                                     scheme.grain == qtk::per_tensor ? 1 : layer.weight.rows(),
                                     qtk::lsq_levels_of(scheme.element));
        layer.input.reset();
        if (plan.activation_bits == 0) continue;
        layer.input = qtk::fit_activation_grid(
            {layer.seen.lowest, layer.seen.highest},
            qtk::activation_codes(is_edge ? plan.edge_bits : plan.activation_bits, false));
    }
}

void write_trained(trained_network const& network, std::filesystem::path const& target) {
    std::deque<std::vector<float>> kept;  // the writers borrow
    std::deque<qtk::any_qmatrix> codes;
    qtk::safetensors_writer floats, quantized;
    auto const add = [&](std::string const& name, std::vector<std::uint64_t> const& shape,
                         std::vector<float> values) {
        kept.push_back(std::move(values));
        floats.add(name, qtk::dtype::f32, shape, std::as_bytes(std::span(kept.back())));
    };
    for (network_layer const& layer : network.layers) {
        qtk::matrix const rounded = layer.rounded_weight();
        std::uint64_t const out = rounded.rows();
        if (is_convolution(network, layer.name)) {
            std::size_t const channels = channels_of(network, layer.name);
            std::uint64_t side = 1;
            while (side * side * channels < rounded.cols()) ++side;
            add(layer.name + ".weight", {out, channels, side, side}, filters_of(rounded, channels));
        } else {
            add(layer.name + ".weight", {out, rounded.cols()},
                {rounded.data(), rounded.data() + rounded.view().size()});
        }
        if (!network.is_transformer && layer.name != "fc") {
            std::string const norm = norm_of(layer.name);
            add(norm + ".weight", {out}, std::vector<float>(out, 1.0f));
            add(norm + ".bias", {out}, layer.bias);
            add(norm + ".running_mean", {out}, std::vector<float>(out));
            add(norm + ".running_var", {out}, std::vector<float>(out, idle_variance));
        } else if (!layer.bias.empty()) {
            add(layer.name + ".bias", {out}, layer.bias);
        }
        if (layer.scheme) {
            codes.push_back(qtk::lsq_export(*layer.scheme, layer.weight.view(), layer.steps));
            qtk::add_qmatrix(quantized, layer.name, codes.back());
        }
        if (layer.input) quantized.set_metadata("input." + layer.name, to_text(*layer.input));
    }
    for (network_tensor const& tensor : network.others)
        add(tensor.name, tensor.shape, tensor.values);
    if (network.is_transformer) floats.set_metadata("num_heads", std::to_string(network.heads));
    qtk::staged_folder folder(target);
    floats.write(folder.path() / "model.safetensors");
    quantized.write(folder.path() / codes_file);
    folder.commit();
}

bool is_trained_folder(std::filesystem::path const& folder) {
    std::error_code ignored;
    return std::filesystem::exists(folder / codes_file, ignored);
}

qtk::vision_model load_trained(std::filesystem::path const& folder) {
    qtk::vision_model model = qtk::load_vision_model(folder);
    auto const file = qtk::safetensors_file::open(folder / codes_file);
    std::size_t layers = 0;
    model.for_each_linear([&](qtk::linear& layer) {
        if (!qtk::has_qmatrix(file, layer.name())) return;
        ++layers;
        layer.set_weight(qtk::read_qmatrix(file, layer.name()));
        qtk::layer_activations how;
        if (auto const grid = file.metadata().find("input." + layer.name());
            grid != file.metadata().end())
            how = {.type = qtk::activation_type::a8_static,
                   .grid = grid_from(grid->second, file.path())};
        layer.pack(how);
    });
    if (layers == 0) throw qtk::io_error(file.path(), "there are no codes of the network's layers");
    return model;
}

}  // namespace app
