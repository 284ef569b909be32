// SPDX-License-Identifier: Apache-2.0
//
// How does config.json tell others in which layout the layers lie? The object `quantization_config`, with the
// fields that transformers, vLLM and the authors of the layouts look for; parse_quantization_config reads it
// back. Layers that stay floats are named where the method has a list of them.
#pragma once

#include <qtk/io/quantization_config.hpp>

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace qtk {

namespace detail {

/// A regular expression for one name.
[[nodiscard]] inline std::string exact_pattern(std::string_view name) {
    std::string pattern = "^";
    for (char const letter : name) {
        if (letter == '.') pattern += '\\';
        pattern += letter;
    }
    return pattern + "$";
}

/// The expression of a target, which is one behind re:, or else a name.
[[nodiscard]] inline std::string gptq_pattern(std::string const& target) {
    return target.starts_with("re:") ? target.substr(3) : exact_pattern(target);
}

[[nodiscard]] inline nlohmann::json gptq_json(quantization_config const& c) {
    nlohmann::json json{{"bits", c.scheme.element.bits},
                        {"group_size", c.scheme.grain.cols == 0 ? -1 : c.scheme.grain.cols},
                        {"sym", !c.scheme.has_zero_point()},
                        {"desc_act", c.has_order},
                        {"checkpoint_format", c.version == gptq_version::v1 ? "gptq" : "gptq_v2"},
                        {"pack_dtype", "int32"},
                        {"lm_head", false}};
    for (std::string const& name : c.ignored)
        if (name != "lm_head")
            json["dynamic"]["-:" + exact_pattern(name)] = nlohmann::json::object();
    for (scheme_group const& group : c.groups)
        for (std::string const& target : group.targets.texts())
            json["dynamic"]["+:" + gptq_pattern(target)] = {
                {"bits", group.scheme.element.bits},
                {"group_size", group.scheme.grain.cols == 0 ? -1 : group.scheme.grain.cols},
                {"sym", !group.scheme.has_zero_point()},
                {"desc_act", group.has_order}};
    return json;
}
[[nodiscard]] inline nlohmann::json awq_json(quantization_config const& c) {
    return {{"bits", 4},
            {"group_size", c.scheme.grain.cols == 0 ? -1 : c.scheme.grain.cols},
            {"zero_point", true},
            {"version", "gemm"},
            {"modules_to_not_convert", c.ignored}};
}
[[nodiscard]] inline nlohmann::json bitsandbytes_json(quantization_config const& c) {
    bool const is_eight = c.scheme.element.is_integer();
    nlohmann::json json{{"load_in_4bit", !is_eight},
                        {"load_in_8bit", is_eight},
                        {"llm_int8_threshold", 6.0},
                        {"llm_int8_skip_modules", c.ignored}};
    if (is_eight) return json;
    json["bnb_4bit_quant_type"] = name_of(c.scheme.element);
    json["bnb_4bit_use_double_quant"] = c.is_nested;
    json["bnb_4bit_quant_storage"] = "uint8";
    json["bnb_4bit_compute_dtype"] = "float16";
    return json;
}
[[nodiscard]] inline nlohmann::json compressed_group(scheme_group const& c) {
    scheme const& s = c.scheme;
    char const* const format = s == nvfp4          ? "nvfp4-pack-quantized"
                               : s == mxfp4        ? "mxfp4-pack-quantized"
                               : s.element == e4m3 ? "float-quantized"
                               : c.is_packed       ? "pack-quantized"
                                                   : "int-quantized";
    char const* const strategy = s == nvfp4          ? "tensor_group"
                                 : s.grain.cols == 0 ? "channel"
                                                     : "group";
    nlohmann::json weights{{"num_bits", s.element.bits},
                           {"type", s.element.is_integer() ? "int" : "float"},
                           {"symmetric", !s.has_zero_point()},
                           {"strategy", strategy},
                           {"group_size", nullptr},
                           {"actorder", nullptr},
                           {"dynamic", false}};
    if (s.grain.cols != 0) weights["group_size"] = s.grain.cols;
    if (c.has_order) weights["actorder"] = "group";
    return {{"targets", c.targets.texts()},
            {"format", format},
            {"weights", weights},
            {"input_activations", nullptr},
            {"output_activations", nullptr}};
}
[[nodiscard]] inline nlohmann::json compressed_json(quantization_config const& c) {
    nlohmann::json groups;
    auto const add = [&](scheme_group const& group) {
        groups["group_" + std::to_string(groups.size())] = compressed_group(group);
    };
    if (c.covers_all) add({layer_targets({"Linear"}), c.scheme, c.has_order, c.is_packed});
    for (scheme_group const& group : c.groups) add(group);
    nlohmann::json format = groups.at("group_0").at("format");
    for (nlohmann::json const& group : groups)
        if (group.at("format") != format) format = "mixed-precision";
    return {{"format", format},
            {"quantization_status", "compressed"},
            {"config_groups", groups},
            {"ignore", c.ignored},
            {"kv_cache_scheme", nullptr}};
}

}  // namespace detail

/// What `quantization_config` of config.json is to say.
[[nodiscard]] inline nlohmann::json to_json(quantization_config const& c) {
    nlohmann::json json;
    switch (c.layout) {
        case weight_layout::gptq:
            json = detail::gptq_json(c);
            break;
        case weight_layout::awq:
            json = detail::awq_json(c);
            break;
        case weight_layout::bitsandbytes:
            json = detail::bitsandbytes_json(c);
            break;
        case weight_layout::compressed_tensors:
            json = detail::compressed_json(c);
            break;
    }
    json["quant_method"] = name_of(c.layout);
    return json;
}

}  // namespace qtk
