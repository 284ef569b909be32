// SPDX-License-Identifier: Apache-2.0
//
// How does a model become a folder of quantized weights that others can load? Everything that does not change
// is copied from the folder it came from: config.json with a quantization_config added, the tokenizer, the
// tensors that stay floats. Shapes come first, so that the size and every place of model.safetensors are
// known before a layer is quantized; then layers are given one at a time, in any order, and none is kept.
//
//   quantized_folder_writer writer(source, target, config);
//   writer.plan_layer("model.layers.0.mlp.up_proj", {out, in});   ... and plan_floats for what else changes
//   writer.start();
//   writer.write_layer("model.layers.0.mlp.up_proj", codes);      ... and write_floats
//   writer.finish();
//
// The folder appears as a whole in finish(), or not at all (io/staged_folder.hpp).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/layer_layout.hpp>
#include <qtk/io/quantization_config_writer.hpp>
#include <qtk/io/safetensors_writer.hpp>
#include <qtk/io/staged_file.hpp>
#include <qtk/io/staged_folder.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

namespace detail {

/// f(), whose refusals name the layer.
template <typename F>
auto naming_layer(std::string const& layer, F&& f) {
    try {
        return f();
    } catch (shape_error const& fault) {
        throw shape_error("layer " + qtk::quoted(layer) + ": " + fault.what());
    } catch (value_error const& fault) {
        throw value_error("layer " + qtk::quoted(layer) + ": " + fault.what());
    }
}

}  // namespace detail

/// What became of a layer: are its tensors the same floats, and by how much did a scale change at most?
struct layer_report {
    bool is_exact = true;
    double largest_scale_change = 0.0;
};

/// What became of the layers of a folder.
struct quantized_folder_report {
    std::size_t layers = 0, exact = 0;  ///< written, and of these without a rounded scale
    double largest_scale_change = 0.0;  ///< of all, see encoded_layer
    std::string worst;                  ///< the layer that has it; empty: none
    std::uint64_t file_bytes = 0;       ///< of model.safetensors
};

class quantized_folder_writer {
  public:
    /// `source` is a Hugging Face folder of floats. Throws system_error if its files are missing, io_error if
    /// they are malformed or quantized already, or if the target is there and not empty.
    quantized_folder_writer(std::filesystem::path source, std::filesystem::path const& target,
                            quantization_config config, io_limits const& limits = {})
        : source_(std::move(source)),
          limits_(limits),
          config_(std::move(config)),
          model_(read_json(source_ / "config.json")),
          file_(checkpoint::open(source_, limits)),
          folder_(target) {
        if (!model_.is_object())
            throw io_error((source_ / "config.json").string(), "expected a JSON object");
        if (model_.contains("quantization_config"))
            throw io_error((source_ / "config.json").string(),
                           "quantization_config: expected float weights, found a quantized model");
    }

    /// LAYER.weight of the source, [out, in] or, as GPT-2 has it, [in, out], becomes codes. Throws io_error
    /// if it is not there or has another shape, value_error or shape_error if the layout cannot hold it or
    /// it was planned before.
    void plan_layer(std::string const& name, layer_shape shape) {
        require_started(false);
        tensor_info const& weight = file_.at(name + ".weight");
        std::vector<std::uint64_t> const sides{shape.out, shape.in}, turned{shape.in, shape.out};
        if (weight.shape != sides && weight.shape != turned)
            throw io_error(file_.path(), "tensor " + qtk::quoted(weight.name) + ": expected " +
                                             to_string(sides) + ", found " +
                                             to_string(weight.shape));
        std::vector<tensor_plan> plan = detail::naming_layer(
            name, [&] { return qtk::plan_layer(shape, config_for(config_, name)); });
        for (tensor_plan const& tensor : plan)
            plan_tensor(name + "." + tensor.suffix, tensor.type, tensor.shape);
        replaced_.insert(weight.name);
        if (!layers_.emplace(name, std::move(plan)).second)
            throw value_error("the layer " + qtk::quoted(name) + " was planned twice");
    }
    /// A tensor of floats that changes or is new: a norm, a bias. F32, F16 or BF16. Throws value_error if it
    /// was planned before or has another type.
    void plan_floats(std::string const& name, std::vector<std::uint64_t> shape,
                     dtype type = dtype::f32) {
        require_started(false);
        if (type != dtype::f32 && type != dtype::f16 && type != dtype::bf16)
            throw value_error("tensor " + qtk::quoted(name) +
                              ": expected F32, F16 or BF16, found " + std::string(name_of(type)));
        plan_tensor(name, type, std::move(shape));
        replaced_.insert(name);
        floats_.emplace(name, type);
    }

    /// Reserves model.safetensors and copies what does not change into it. Throws system_error.
    void start() {
        require_started(false);
        std::vector<tensor_info const*> kept;
        for (safetensors_file const& shard : file_.shards())
            for (tensor_info const& info : shard.tensors())
                if (!replaced_.contains(info.name)) {
                    plan_.plan(info.name, info.type, info.shape);
                    kept.push_back(&info);
                }
        plan_.set_metadata("format", "pt");
        out_.emplace(folder_.path() / "model.safetensors", plan_.size_bytes());
        report_.file_bytes = out_->size();
        for (tensor_place& place : plan_.places())
            places_.emplace(std::move(place.name), std::pair(place.offset, place.bytes));
        out_->write(0, plan_.start());
        for (tensor_info const* const info : kept) write_tensor(info->name, file_.bytes(*info));
    }

    /// Throws value_error if the layer was not planned, was written before or cannot be held by the layout.
    layer_report write_layer(std::string const& name, ordered_qmatrix const& q) {
        require_started(true);
        auto const planned = layers_.find(name);
        if (planned == layers_.end())
            throw value_error("the layer " + qtk::quoted(name) + " was not planned");
        encoded_layer const layer =
            detail::naming_layer(name, [&] { return encode_layer(q, config_for(config_, name)); });
        for (std::size_t i = 0; i < planned->second.size(); ++i)
            if (layer.tensors[i].plan.shape != planned->second[i].shape)
                throw value_error("layer " + qtk::quoted(name) + ": " + planned->second[i].suffix +
                                  ": planned as " + to_string(planned->second[i].shape) +
                                  ", found " + to_string(layer.tensors[i].plan.shape));
        for (layer_tensor const& tensor : layer.tensors)
            write_tensor(name + "." + tensor.plan.suffix, tensor.bytes);
        ++report_.layers;
        report_.exact += layer.is_exact ? 1 : 0;
        if (layer.largest_scale_change > report_.largest_scale_change) {
            report_.largest_scale_change = layer.largest_scale_change;
            report_.worst = name;
        }
        return {layer.is_exact, layer.largest_scale_change};
    }
    /// Rounds the values to the planned type. Throws value_error if the tensor was not planned, was written
    /// before or has another size, nonfinite_error for values that its type cannot hold.
    void write_floats(std::string const& name, std::span<float const> values) {
        require_started(true);
        auto const planned = floats_.find(name);
        if (planned == floats_.end())
            throw value_error("the tensor " + qtk::quoted(name) + " was not planned");
        std::size_t const size = bits_of(planned->second) / 8;
        std::vector<std::byte> bytes(checked_mul(values.size(), size));
        std::vector<float> stored(values.begin(), values.end());
        for (std::size_t i = 0; i < values.size(); ++i) {
            std::byte* const to = bytes.data() + i * size;
            if (planned->second == dtype::f32) {
                store_little_endian(values[i], to);
                continue;
            }
            bool const is_half = planned->second == dtype::f16;
            std::uint16_t const half = is_half ? float_to_f16(values[i]) : float_to_bf16(values[i]);
            stored[i] = is_half ? f16_to_float(half) : bf16_to_float(half);
            store_little_endian(half, to);
        }
        require_finite(find_nonfinite(stored), "tensor " + qtk::quoted(name), 0);
        write_tensor(name, bytes);
    }

    /// Gives the folder its name. Throws value_error if something that was planned was not written.
    quantized_folder_report finish() {
        require_started(true);
        if (!places_.empty())
            throw value_error("the tensor " + qtk::quoted(places_.begin()->first) +
                              " was planned and never written");
        out_->commit();
        if (!layers_.contains("lm_head")) config_.ignored.emplace_back("lm_head");
        model_["quantization_config"] = to_json(config_);
        write_text(folder_.path() / "config.json", model_.dump(2) + "\n");
        // Programs that are older than the field in config.json look here.
        if (config_.layout == weight_layout::gptq)
            write_text(folder_.path() / "quantize_config.json", to_json(config_).dump(2) + "\n");
        for (std::string_view const name : companions)
            if (std::filesystem::path const from = source_ / name; std::filesystem::exists(from))
                write_text(folder_.path() / name,
                           mapped_file::open(from, io_mode::read, limits_.json_bytes).text());
        folder_.commit();
        return report_;
    }

    [[nodiscard]] quantized_folder_report const& report() const noexcept { return report_; }
    [[nodiscard]] checkpoint const& source() const noexcept { return file_; }

  private:
    /// What belongs to a model besides its weights.
    static constexpr std::array<std::string_view, 11> companions{"tokenizer.json",
                                                                 "tokenizer_config.json",
                                                                 "tokenizer.model",
                                                                 "special_tokens_map.json",
                                                                 "added_tokens.json",
                                                                 "vocab.json",
                                                                 "merges.txt",
                                                                 "generation_config.json",
                                                                 "chat_template.json",
                                                                 "chat_template.jinja",
                                                                 "LICENSE"};

    [[nodiscard]] nlohmann::json read_json(std::filesystem::path const& path) const {
        mapped_file const file = mapped_file::open(path, io_mode::read, limits_.json_bytes);
        return parse_strict_json(file.text(), file.path(), limits_);
    }
    void require_started(bool is_expected) const {
        if (out_.has_value() != is_expected)
            throw value_error(is_expected ? "quantized folder: write before start()"
                                          : "quantized folder: plan after start()");
    }
    void plan_tensor(std::string const& name, dtype type, std::vector<std::uint64_t> shape) {
        plan_.plan(name, type, std::move(shape));
    }
    void write_tensor(std::string const& name, std::span<std::byte const> bytes) {
        auto const place = places_.find(name);
        if (place == places_.end())
            throw value_error("the tensor " + qtk::quoted(name) + " was written twice");
        if (place->second.second != bytes.size())
            throw value_error("the tensor " + qtk::quoted(name) + ": expected " +
                              std::to_string(place->second.second) + " bytes, found " +
                              std::to_string(bytes.size()));
        out_->write(place->second.first, bytes);
        places_.erase(place);
    }

    std::filesystem::path source_;
    io_limits limits_;
    quantization_config config_;
    nlohmann::json model_;
    checkpoint file_;
    staged_folder folder_;
    safetensors_writer plan_;
    std::set<std::string> replaced_;
    std::map<std::string, std::vector<tensor_plan>> layers_;
    std::map<std::string, dtype> floats_;
    std::optional<staged_file> out_;
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> places_;  // not written yet
    quantized_folder_report report_;
};

}  // namespace qtk
