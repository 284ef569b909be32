// SPDX-License-Identifier: Apache-2.0
//
// What does a folder say about its quantized layers? `quantization_config` of config.json (older folders:
// quantize_config.json, quant_config.json) for quant_method gptq, awq, bitsandbytes and compressed-tensors. A
// configuration that would change a weight in a way that is not implemented is refused, and what touches
// activations alone is told as a note.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/io/json_fields.hpp>
#include <qtk/io/layer_targets.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/quantization_config.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

namespace detail {

/// Reads one configuration; every fault is an io_error with file and field.
class quantization_config_reader {
  public:
    using json = nlohmann::json;

    quantization_config_reader(json const& object, std::string const& file)
        : object_(object), fields_(file) {}

    quantization_config read(std::string_view method) {
        for (auto const& [layout, name] : weight_layouts)
            if (name == method) c_.layout = layout;
        switch (c_.layout) {
            case weight_layout::gptq:
                read_gptq();
                break;
            case weight_layout::awq:
                read_awq();
                break;
            case weight_layout::bitsandbytes:
                read_bitsandbytes();
                break;
            case weight_layout::compressed_tensors:
                read_compressed();
                break;
        }
        return std::move(c_);
    }

  private:
    static json const& at(json const& object, char const* key) {
        return json_fields::member(object, key);
    }
    [[nodiscard]] std::string text(json const& object, char const* key,
                                   char const* otherwise) const {
        return at(object, key).is_null() ? std::string(otherwise) : fields_.text(object, key);
    }
    void require_text(json const& object, char const* key, std::string_view only) const {
        if (!at(object, key).is_null() && !json_fields::is(object, key, only))
            fields_.refuse_kind(key, qtk::quoted(only), at(object, key));
    }
    /// -1 is the whole row.
    [[nodiscard]] granularity group(json const& object, char const* key) const {
        std::int64_t const size = fields_.whole(object, key, -1, 1 << 20, 128);
        if (size == 0) fields_.refuse_kind(key, "-1 or a positive number", at(object, key));
        return {.rows = 1, .cols = size < 0 ? 0 : static_cast<int>(size)};
    }
    [[nodiscard]] int bits(json const& object, char const* key,
                           std::initializer_list<int> known) const {
        auto const found = static_cast<int>(fields_.whole(object, key, 1, 32));
        if (std::ranges::find(known, found) == known.end())
            fields_.refuse_kind(key, "a number of bits that is supported", at(object, key));
        return found;
    }
    void read_ignored(char const* key) {
        if (at(object_, key).is_null()) return;
        for (json const& name : fields_.array(object_, key)) {
            if (!name.is_string()) fields_.refuse_kind(key, "names", name);
            c_.ignored.push_back(name.get<std::string>());
        }
    }

    void read_gptq() {
        c_.scheme.element = {.bits = bits(object_, "bits", {2, 3, 4, 8})};
        c_.scheme.grain = group(object_, "group_size");
        c_.scheme.zero = fields_.flag(object_, "sym", true) ? origin::fixed : origin::floating;
        c_.has_order = fields_.flag(object_, "desc_act", false);
        char const* const key =
            at(object_, "checkpoint_format").is_null() ? "format" : "checkpoint_format";
        std::string const kind = text(object_, key, "gptq");
        if (kind != "gptq" && kind != "gptq_v2")
            fields_.refuse_kind(key, "gptq or gptq_v2", at(object_, key));
        c_.version = kind == "gptq" ? gptq_version::v1 : gptq_version::v2;
        require_text(object_, "pack_dtype", "int32");
        if (fields_.flag(object_, "is_marlin_format", false))
            fields_.refuse("is_marlin_format: expected false, found true");
        json const& rules = at(object_, "dynamic");
        if (rules.is_null()) return;
        if (!rules.is_object()) fields_.refuse_kind("dynamic", "an object", rules);
        for (auto const& [rule, values] : rules.items()) {
            // Layers that stay floats show by their tensors.
            if (rule.starts_with("-:"))
                c_.ignored.push_back(rule.substr(2));
            else
                read_gptq_rule(rule, values);
        }
    }
    /// A rule of GPTQModel for layers whose names begin with an expression: what it does not say holds as for all.
    void read_gptq_rule(std::string const& rule, json const& values) {
        if (!values.is_object()) fields_.refuse_kind("dynamic", "objects", values);
        for (auto const& [key, value] : values.items())
            if (key != "bits" && key != "group_size" && key != "sym" && key != "desc_act")
                fields_.refuse("dynamic: " + qtk::quoted(rule) + ": " + qtk::quoted(key) +
                               " is not supported");
        scheme_group group{targets({"re:" + rule.substr(rule.starts_with("+:") ? 2 : 0)}),
                           c_.scheme, c_.has_order};
        if (values.contains("bits")) group.scheme.element.bits = bits(values, "bits", {2, 3, 4, 8});
        if (values.contains("group_size")) group.scheme.grain = this->group(values, "group_size");
        if (values.contains("sym"))
            group.scheme.zero =
                fields_.flag(values, "sym", true) ? origin::fixed : origin::floating;
        if (values.contains("desc_act")) group.has_order = fields_.flag(values, "desc_act", false);
        c_.groups.push_back(std::move(group));
    }
    [[nodiscard]] layer_targets targets(std::vector<std::string> texts) const {
        try {
            return layer_targets(std::move(texts));
        } catch (value_error const& fault) {
            fields_.refuse(fault.what());
        }
    }

    void read_awq() {
        bool const is_old = at(object_, "bits").is_null();
        c_.scheme.element = {.bits = bits(object_, is_old ? "w_bit" : "bits", {4})};
        c_.scheme.grain = group(object_, is_old ? "q_group_size" : "group_size");
        c_.scheme.zero = origin::floating;
        std::string version = text(object_, "version", "gemm");
        for (char& letter : version)
            if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
        if (version != "gemm") fields_.refuse_kind("version", "gemm", at(object_, "version"));
        require_text(object_, "backend", "autoawq");
        read_ignored("modules_to_not_convert");
    }

    void read_bitsandbytes() {
        bool const is_four = fields_.flag(object_, "load_in_4bit", false),
                   is_eight = fields_.flag(object_, "load_in_8bit", false);
        if (is_four == is_eight)
            fields_.refuse("load_in_4bit, load_in_8bit: expected one of them to be true");
        c_.scheme = {.element = i8, .grain = per_channel};
        if (is_four) {
            std::string const type = text(object_, "bnb_4bit_quant_type", "fp4");
            if (type != "nf4" && type != "fp4")
                fields_.refuse_kind("bnb_4bit_quant_type", "nf4 or fp4",
                                    at(object_, "bnb_4bit_quant_type"));
            c_.scheme = {.element = type == "nf4" ? nf4 : fp4, .grain = per_group(64)};
            c_.is_nested = fields_.flag(object_, "bnb_4bit_use_double_quant", false);
            require_text(object_, "bnb_4bit_quant_storage", "uint8");
        } else {
            c_.notes.emplace_back("LLM.int8(): the weights are read, activations stay floats");
        }
        read_ignored("llm_int8_skip_modules");
    }

    void read_compressed() {
        require_text(object_, "quantization_status", "compressed");
        json const& groups = at(object_, "config_groups");
        if (!groups.is_object() || groups.empty())
            fields_.refuse_kind("config_groups", "an object with a group", groups);
        json const& first = *groups.begin();
        bool const is_one = std::ranges::all_of(groups, [&](json const& other) {
            return at(other, "weights") == at(first, "weights") &&
                   at(other, "format") == at(first, "format");
        });
        if (is_one)
            read_group(first);
        else
            for (json const& group : groups) read_targets(group);
        if (!at(object_, "kv_cache_scheme").is_null())
            c_.notes.emplace_back("kv_cache_scheme: quantized by the configuration, here floats");
        json const& sparsity = at(object_, "sparsity_config");
        if (!sparsity.empty() && !json_fields::is(sparsity, "format", "dense"))
            fields_.refuse_kind("sparsity_config", "none", sparsity);
        if (!at(object_, "transform_config").empty())
            fields_.refuse_kind("transform_config", "none", at(object_, "transform_config"));
        read_ignored("ignore");
    }

    void read_group(json const& group) {
        std::string const kind =
            text(at(group, "format").is_null() ? object_ : group, "format", "pack-quantized");
        read_compressed_weights(at(group, "weights"), kind);
        for (char const* const side : {"input_activations", "output_activations"})
            if (std::string note =
                    std::string(side) + ": quantized by the configuration, here floats";
                !at(group, side).is_null() && std::ranges::find(c_.notes, note) == c_.notes.end())
                c_.notes.push_back(std::move(note));
    }
    void read_targets(json const& group) {
        read_group(group);
        std::vector<std::string> texts;
        for (json const& target : fields_.array(group, "targets")) {
            if (!target.is_string()) fields_.refuse_kind("targets", "names", target);
            texts.push_back(target.get<std::string>());
        }
        c_.covers_all = false;
        c_.groups.push_back({targets(std::move(texts)), c_.scheme, c_.has_order, c_.is_packed});
    }

    void read_compressed_weights(json const& weights, std::string const& kind) {
        if (!weights.is_object()) fields_.refuse_kind("weights", "an object", weights);
        bool const is_float = json_fields::is(weights, "type", "float");
        if (!is_float) require_text(weights, "type", "int");
        int const width = bits(weights, "num_bits", {2, 3, 4, 5, 6, 7, 8});
        bool const is_symmetric = fields_.flag(weights, "symmetric", true);
        if (fields_.flag(weights, "dynamic", false))
            fields_.refuse("weights: dynamic: expected false, found true");
        std::string const strategy = text(weights, "strategy", "tensor");
        granularity grain = per_tensor;
        if (strategy == "channel")
            grain = per_channel;
        else if (strategy == "group" || strategy == "tensor_group")
            grain = group(weights, "group_size");
        else if (strategy != "tensor")
            fields_.refuse_kind("strategy", "tensor, channel, group or tensor_group",
                                at(weights, "strategy"));
        json const& order = at(weights, "actorder");
        c_.has_order = order == json(true) || order == "group" || order == "dynamic";
        c_.scheme = {.element = {.bits = width},
                     .grain = grain,
                     .zero = is_symmetric ? origin::fixed : origin::floating,
                     .scale = scale_type::f16};
        c_.is_packed = kind.ends_with("pack-quantized");
        bool const is_plain = kind == "naive-quantized";
        bool fits = !is_float && (kind == "pack-quantized" ||
                                  ((kind == "int-quantized" || is_plain) && width == 8));
        if (is_float && (kind == "float-quantized" || is_plain))
            c_.scheme.element = e4m3, fits = width == 8 && is_symmetric;
        for (auto const& [name, scheme] :
             {std::pair("nvfp4-pack-quantized", nvfp4), std::pair("mxfp4-pack-quantized", mxfp4)})
            if (is_float && kind == name)
                c_.scheme = scheme, fits = width == 4 && is_symmetric && grain == scheme.grain;
        if (!fits)
            fields_.refuse("the format " + qtk::quoted(kind) + " of " +
                           json_fields::shown(weights) + " is not supported");
    }

    json const& object_;
    json_fields fields_;
    quantization_config c_;
};

}  // namespace detail

/// Reads the object that `quantization_config` is; `file` serves in messages. quant_method may be missing
/// where `method` says what it is. Throws io_error for another method and for what is not supported.
[[nodiscard]] inline quantization_config parse_quantization_config(nlohmann::json const& object,
                                                                   std::string const& file,
                                                                   std::string_view method = {}) {
    json_fields const fields(file + ": quantization_config");
    nlohmann::json const& named = json_fields::member(object, "quant_method");
    std::string const found =
        named.is_null() ? std::string(method) : fields.text(object, "quant_method");
    for (auto const& [layout, name] : weight_layouts)
        if (name == found)
            return detail::quantization_config_reader(object, fields.file()).read(name);
    fields.refuse_kind("quant_method", "gptq, awq, bitsandbytes or compressed-tensors", named);
}

/// What the files of a folder say; nothing for a model of floats. Throws io_error, system_error if
/// config.json is not there.
[[nodiscard]] inline std::optional<quantization_config> read_quantization_config(
    std::filesystem::path const& folder, io_limits const& limits = {}) {
    auto const read = [&](std::filesystem::path const& path) {
        mapped_file const file = mapped_file::open(path, io_mode::read, limits.json_bytes);
        return parse_strict_json(file.text(), file.path(), limits);
    };
    nlohmann::json const config = read(folder / "config.json");
    nlohmann::json const& own = json_fields::member(config, "quantization_config");
    if (!own.is_null()) return parse_quantization_config(own, (folder / "config.json").string());
    for (auto const& [name, method] :
         {std::pair("quantize_config.json", "gptq"), std::pair("quant_config.json", "awq")})
        if (std::filesystem::path const path = folder / name; std::filesystem::exists(path))
            return parse_quantization_config(read(path), path.string(), method);
    return std::nullopt;
}

}  // namespace qtk
