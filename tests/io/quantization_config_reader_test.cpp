// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/spelling.hpp>
#include <qtk/io/quantization_config_reader.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <string>

namespace {

using qtk::weight_layout;

qtk::quantization_config parsed(std::string const& text) {
    return qtk::parse_quantization_config(qtk::parse_strict_json(text, "c"), "c");
}
std::string refusal(std::string const& text) {
    try {
        static_cast<void>(parsed(text));
    } catch (qtk::io_error const& fault) {
        std::string const what = fault.what(), start = "c: quantization_config: ";
        return what.starts_with(start) ? what.substr(start.size()) : what;
    }
    return "accepted";
}
std::string scheme_of(std::string const& text) {
    return qtk::to_string(parsed(text).scheme);
}
std::string compressed(std::string const& weights, std::string const& more = "") {
    return R"({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"targets": ["Linear"],
               "weights": )" +
           weights + "}}" + more + "}";
}

}  // namespace

TEST_CASE("a GPTQ configuration says bits, group, symmetry, order and version") {
    auto const c = parsed(R"({"quant_method": "gptq", "bits": 3, "group_size": 64, "sym": false,
        "desc_act": true, "checkpoint_format": "gptq_v2", "damp_percent": 0.01, "meta": {"x": []},
        "dynamic": {"-:^a\\.b$": {}}})");
    CHECK(c.layout == weight_layout::gptq);
    CHECK(qtk::to_string(c.scheme) == "i3/g64/asym/f16");
    CHECK(c.version == qtk::gptq_version::v2);
    CHECK(c.has_order);
    CHECK(c.ignored == std::vector<std::string>{"^a\\.b$"});
    CHECK(scheme_of(R"({"quant_method": "gptq", "bits": 4, "group_size": -1})") ==
          "i4/channel/sym/f16");
    CHECK(parsed(R"({"quant_method": "gptq", "bits": 4, "format": "gptq"})").version ==
          qtk::gptq_version::v1);
}

TEST_CASE("an AWQ configuration has newer and older names") {
    CHECK(scheme_of(R"({"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": true,
                        "version": "gemm"})") == "i4/g32/asym/f16");
    CHECK(scheme_of(
              R"({"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "version": "GEMM"})") ==
          "i4/g64/asym/f16");
}

TEST_CASE("a configuration of bitsandbytes says four bits or eight") {
    auto const c = parsed(R"({"quant_method": "bitsandbytes", "load_in_4bit": true,
        "load_in_8bit": false, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true,
        "llm_int8_skip_modules": ["lm_head"]})");
    CHECK(c.scheme.element == qtk::nf4);
    CHECK(c.is_nested);
    CHECK(c.ignored == std::vector<std::string>{"lm_head"});
    CHECK(c.notes.empty());
    CHECK(parsed(R"({"quant_method": "bitsandbytes", "load_in_4bit": true})").scheme.element ==
          qtk::fp4);
    auto const eight = parsed(R"({"quant_method": "bitsandbytes", "load_in_8bit": true})");
    CHECK(qtk::to_string(eight.scheme) == "i8/channel/sym/f32");
    CHECK(eight.notes.size() == 1);
}

TEST_CASE("a configuration of compressed-tensors says strategy and format") {
    CHECK(scheme_of(compressed(R"({"num_bits": 4, "type": "int", "symmetric": false,
        "strategy": "group", "group_size": 32})")) == "i4/g32/asym/f16");
    CHECK(scheme_of(compressed(R"({"num_bits": 8, "strategy": "channel"})")) ==
          "i8/channel/sym/f16");
    CHECK(scheme_of(compressed(R"({"num_bits": 8})", R"(, "format": "int-quantized")")) ==
          "i8/tensor/sym/f16");
    CHECK_FALSE(
        parsed(compressed(R"({"num_bits": 8})", R"(, "format": "int-quantized")")).is_packed);
    CHECK(scheme_of(compressed(R"({"num_bits": 8, "type": "float", "strategy": "channel"})",
                               R"(, "format": "float-quantized")")) == "e4m3/channel/sym/f16");
    CHECK(parsed(compressed(R"({"num_bits": 4, "type": "float", "strategy": "tensor_group",
                                "group_size": 16})",
                            R"(, "format": "nvfp4-pack-quantized")"))
              .scheme == qtk::nvfp4);
    CHECK(parsed(compressed(R"({"num_bits": 4, "type": "float", "strategy": "group",
                                "group_size": 32})",
                            R"(, "format": "mxfp4-pack-quantized")"))
              .scheme == qtk::mxfp4);
    auto const ordered = parsed(
        compressed(R"({"num_bits": 4, "strategy": "group", "group_size": 8, "actorder": "group"})",
                   R"(, "kv_cache_scheme": {"num_bits": 8}, "ignore": ["lm_head"])"));
    CHECK(ordered.has_order);
    CHECK(ordered.ignored.size() == 1);
    CHECK(ordered.notes ==
          std::vector<std::string>{"kv_cache_scheme: quantized by the configuration, here floats"});
}

TEST_CASE("what would change weights and is not implemented is refused") {
    CHECK(refusal("{}") ==
          "quant_method: expected gptq, awq, bitsandbytes or compressed-tensors, found null");
    CHECK(refusal("[]").starts_with("quant_method: expected gptq"));
    CHECK(refusal(R"({"quant_method": "hqq"})").ends_with("found \"hqq\""));
    auto const gptq = [](std::string const& more) {
        return refusal(R"({"quant_method": "gptq")" + more + "}");
    };
    CHECK(gptq("") == "bits: expected a whole number from 1 to 32, found null");
    CHECK(gptq(R"(, "bits": 5)") == "bits: expected a number of bits that is supported, found 5");
    CHECK(gptq(R"(, "bits": 4, "group_size": 0)") ==
          "group_size: expected -1 or a positive number, found 0");
    CHECK(gptq(R"(, "bits": 4, "group_size": 99999999)") ==
          "group_size: expected a whole number from -1 to 1048576, found 99999999");
    CHECK(gptq(R"(, "bits": 4, "sym": 1)") == "sym: expected true or false, found 1");
    CHECK(gptq(R"(, "bits": 4, "checkpoint_format": "marlin")") ==
          "checkpoint_format: expected gptq or gptq_v2, found \"marlin\"");
    CHECK(gptq(R"(, "bits": 4, "pack_dtype": "int8")") ==
          "pack_dtype: expected \"int32\", found \"int8\"");
    CHECK(gptq(R"(, "bits": 4, "dynamic": {"+:x": {"bits": 5}})")
              .starts_with("bits: expected a number of bits that is supported"));
    CHECK(gptq(R"(, "bits": 4, "dynamic": {"+:x": {"adapter": 1}})") ==
          "dynamic: \"+:x\": \"adapter\" is not supported");
    CHECK(gptq(R"(, "bits": 4, "dynamic": {"x(": {"bits": 8}})")
              .starts_with("the expression \"x(\" is faulty"));
    CHECK(refusal(R"({"quant_method": "awq", "bits": 4, "version": "gemv"})") ==
          "version: expected gemm, found \"gemv\"");
    CHECK(refusal(R"({"quant_method": "awq", "bits": 4, "backend": "llm-awq"})") ==
          "backend: expected \"autoawq\", found \"llm-awq\"");
    CHECK(refusal(R"({"quant_method": "bitsandbytes"})") ==
          "load_in_4bit, load_in_8bit: expected one of them to be true");
    CHECK(refusal(R"({"quant_method": "bitsandbytes", "load_in_4bit": true,
                      "bnb_4bit_quant_storage": "bfloat16"})") ==
          "bnb_4bit_quant_storage: expected \"uint8\", found \"bfloat16\"");
    CHECK(refusal(R"({"quant_method": "bitsandbytes", "load_in_4bit": true,
                      "bnb_4bit_quant_type": "int4"})") ==
          "bnb_4bit_quant_type: expected nf4 or fp4, found \"int4\"");
    CHECK(refusal(compressed(R"({"num_bits": 4, "strategy": "block"})")) ==
          "strategy: expected tensor, channel, group or tensor_group, found \"block\"");
    CHECK(refusal(compressed(R"({"num_bits": 4})", R"(, "format": "marlin-24")"))
              .starts_with("the format \"marlin-24\" of {\"num_bits\":4} is not supported"));
    CHECK(refusal(compressed(R"({"num_bits": 4})", R"(, "sparsity_config": {"format": "2:4"})"))
              .starts_with("sparsity_config: expected none"));
    CHECK(refusal(compressed(R"({"num_bits": 4})", R"(, "transform_config": {"a": 1})"))
              .starts_with("transform_config: expected none"));
    CHECK(refusal(compressed(R"({"num_bits": 4})", R"(, "quantization_status": "frozen")"))
              .starts_with("quantization_status: expected \"compressed\""));
    CHECK(refusal(R"({"quant_method": "compressed-tensors", "config_groups": {
        "a": {"weights": {"num_bits": 4}, "targets": ["Linear"]}, "b": {"weights": {"num_bits": 8}}}})")
              .starts_with("targets: expected"));
    CHECK(refusal(R"({"quant_method": "compressed-tensors", "config_groups": {}})")
              .starts_with("config_groups: expected an object with a group"));
    CHECK(refusal(R"({"quant_method": "awq", "bits": 4, "modules_to_not_convert": [1]})") ==
          "modules_to_not_convert: expected names, found 1");
}

TEST_CASE("groups of layers have schemes of their own, and the closest target decides") {
    auto const c = parsed(R"({"quant_method": "compressed-tensors", "config_groups": {
        "a": {"targets": ["Linear"],
              "weights": {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": false}},
        "b": {"targets": ["re:.*down_proj"], "weights": {"num_bits": 8, "strategy": "channel"}},
        "c": {"targets": ["x.down_proj"], "weights": {"num_bits": 3, "strategy": "channel"}}}})");
    auto const of = [&](char const* layer) { return qtk::config_for(c, layer).scheme; };
    CHECK(of("x.up_proj") == qtk::parse_scheme("i4/g32/asym/f16"));
    CHECK(of("y.down_proj") == qtk::parse_scheme("i8/channel/sym/f16"));
    CHECK(of("x.down_proj") == qtk::parse_scheme("i3/channel/sym/f16"));
    CHECK(qtk::config_for(c, "x").groups.empty());
    auto const some = parsed(R"({"quant_method": "compressed-tensors", "config_groups": {
        "a": {"targets": ["x"], "weights": {"num_bits": 4, "strategy": "channel"}},
        "b": {"targets": ["y"], "weights": {"num_bits": 8, "strategy": "channel"}}}})");
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::config_for(some, "z")),
                         "config_groups: the layer \"z\" is no target of any group",
                         qtk::value_error);
    auto const g = parsed(R"({"quant_method": "gptq", "bits": 4, "group_size": 64, "sym": false,
        "dynamic": {"+:.*down": {"bits": 8, "group_size": -1, "sym": true}, "-:.*head": {}}})");
    CHECK(qtk::config_for(g, "a.down").scheme == qtk::parse_scheme("i8/channel/sym/f16"));
    CHECK(qtk::config_for(g, "a.up").scheme == qtk::parse_scheme("i4/g64/asym/f16"));
    CHECK(g.ignored == std::vector<std::string>{".*head"});
}

TEST_CASE("a folder says it in config.json, and older ones beside it") {
    test::scratch_folder const folder;
    test::write_file(folder / "config.json", "{}");
    CHECK_FALSE(qtk::read_quantization_config(folder.path()));
    test::write_file(folder / "quant_config.json", R"({"w_bit": 4, "q_group_size": 32})");
    CHECK(qtk::read_quantization_config(folder.path())->layout == weight_layout::awq);
    test::write_file(folder / "quantize_config.json", R"({"bits": 8, "group_size": 32})");
    CHECK(qtk::read_quantization_config(folder.path())->scheme.element == qtk::i8);
    test::write_file(folder / "config.json",
                     R"({"quantization_config": {"quant_method": "gptq", "bits": 2}})");
    CHECK(qtk::read_quantization_config(folder.path())->scheme.element == qtk::i2);
    std::filesystem::remove(folder / "config.json");
    CHECK_THROWS_AS(static_cast<void>(qtk::read_quantization_config(folder.path())),
                    qtk::system_error);
}
