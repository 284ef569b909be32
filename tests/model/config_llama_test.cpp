// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/config.hpp>
#include <qtk/model/config_llama.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

nlohmann::json config_of(char const* type) {
    return {{"model_type", type},
            {"num_hidden_layers", 3},
            {"hidden_size", 12},
            {"num_attention_heads", 6},
            {"num_key_value_heads", 2},
            {"intermediate_size", 20},
            {"max_position_embeddings", 16},
            {"rms_norm_eps", 1e-6},
            {"vocab_size", 10}};
}
nlohmann::json with(nlohmann::json config, char const* field, nlohmann::json value) {
    config[field] = std::move(value);
    return config;
}
qtk::decoder_config parsed(nlohmann::json const& config) {
    return qtk::parse_config(config.dump(), "config.json");
}
std::string refusal(nlohmann::json const& config) {
    try {
        (void)parsed(config);
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}
using kind = qtk::rope_scaling::kind;

nlohmann::json llama3() {
    return {{"rope_type", "llama3"},
            {"factor", 8.0},
            {"low_freq_factor", 1.5},
            {"high_freq_factor", 3.0},
            {"original_max_position_embeddings", 12}};
}

}  // namespace

TEST_CASE("Mistral is Llama with a window") {
    auto const published = parsed(config_of("mistral"));
    CHECK(published.family == qtk::architecture::llama);
    CHECK(published.window == 4096);
    CHECK(published.full_layers == 0);
    CHECK_FALSE(published.has_attention_bias);
    CHECK_FALSE(published.has_output_bias);
    CHECK_FALSE(published.has_mlp_bias);
    CHECK(parsed(with(config_of("mistral"), "sliding_window", nullptr)).window == 0);
    CHECK(parsed(with(config_of("mistral"), "sliding_window", 7)).window == 7);
    CHECK(parsed(with(config_of("mistral"), "head_dim", 4)).head_dim == 4);
    for (nlohmann::json const& bad :
         {nlohmann::json(0), nlohmann::json(-1), nlohmann::json(1.5), nlohmann::json("all")})
        CHECK(refusal(with(config_of("mistral"), "sliding_window", bad))
                  .starts_with("config.json: sliding_window: expected a whole number from 1"));
}

TEST_CASE("Qwen2 is Llama with three biases, and with a window in upper layers where it says so") {
    auto const c = parsed(with(config_of("qwen2"), "sliding_window", 8));
    CHECK(c.family == qtk::architecture::llama);
    CHECK(c.has_attention_bias);
    CHECK_FALSE(c.has_output_bias);
    CHECK_FALSE(c.has_mlp_bias);
    CHECK(c.window == 0);
    auto windowed = with(with(config_of("qwen2"), "sliding_window", 8), "use_sliding_window", true);
    CHECK(parsed(windowed).window == 8);
    CHECK(parsed(windowed).full_layers == 28);
    windowed["max_window_layers"] = 1;
    CHECK(parsed(windowed).window_of(0) == 0);
    CHECK(parsed(windowed).window_of(1) == 8);
    CHECK(parsed(windowed).window_of(2) == 8);
    windowed["max_window_layers"] = 0;
    CHECK(parsed(windowed).window_of(0) == 8);
    windowed["max_window_layers"] = -1;
    CHECK(refusal(windowed) ==
          "config.json: max_window_layers: expected a whole number from 0 to 4096, found -1");
}

TEST_CASE("layer types are what the other fields say, or refused") {
    nlohmann::json const full = "full_attention", slides = "sliding_attention";
    auto plain = with(config_of("qwen2"), "layer_types", {full, full, full});
    CHECK(refusal(plain) == "accepted");
    plain["layer_types"][2] = slides;
    CHECK(refusal(plain) ==
          "config.json: layer_types: expected \"full_attention\" for layer 2, as the other fields "
          "say, found \"sliding_attention\"");
    auto windowed =
        with(with(with(config_of("qwen2"), "sliding_window", 8), "use_sliding_window", true),
             "max_window_layers", 1);
    CHECK(refusal(with(windowed, "layer_types", {full, slides, slides})) == "accepted");
    CHECK(refusal(with(windowed, "layer_types", {slides, full, full})) != "accepted");
    CHECK(refusal(with(windowed, "layer_types", {full, slides})) != "accepted");
    CHECK(refusal(with(windowed, "layer_types", "full_attention")) != "accepted");
    CHECK(refusal(with(config_of("llama"), "layer_types", {full, full, slides})) != "accepted");
}

TEST_CASE("how many heads share a key is never guessed for Mistral and Qwen2") {
    for (char const* type : {"mistral", "qwen2"}) {
        auto less = config_of(type);
        less.erase("num_key_value_heads");
        CHECK(refusal(less) == "config.json: the field num_key_value_heads is missing");
    }
}

TEST_CASE("scaled angles are read in the older and in the newer form") {
    auto const old =
        parsed(with(config_of("llama"), "rope_scaling", {{"type", "linear"}, {"factor", 2.5}}));
    CHECK(old.scaling.type == kind::linear);
    CHECK(old.scaling.factor == 2.5);
    CHECK(old.rope_theta == 10000.0);
    auto const c =
        parsed(with(config_of("llama"), "rope_parameters", with(llama3(), "rope_theta", 5e5)));
    CHECK(c.rope_theta == 5e5);
    CHECK(c.scaling.type == kind::llama3);
    CHECK(c.scaling.factor == 8.0);
    CHECK(c.scaling.low == 1.5);
    CHECK(c.scaling.high == 3.0);
    CHECK(c.scaling.original_context == 12);
    auto without = llama3();
    without.erase("original_max_position_embeddings");
    CHECK(parsed(with(config_of("llama"), "rope_scaling", without)).scaling.original_context == 16);
    // Both names, as Llama 3.1's first files had them, and both objects.
    auto const both =
        with(with(config_of("llama"), "rope_scaling", with(llama3(), "type", "llama3")),
             "rope_parameters", llama3());
    CHECK(parsed(both).scaling == c.scaling);
}

TEST_CASE("scaled angles that contradict themselves, or are not implemented, are refused by name") {
    auto const scaled = [](nlohmann::json rope) {
        return refusal(with(config_of("llama"), "rope_scaling", std::move(rope)));
    };
    for (char const* type : {"dynamic", "yarn", "longrope", "su"})
        CHECK(scaled({{"type", type}, {"factor", 2.0}}) ==
              std::string("config.json: rope_scaling: type: expected default, linear or llama3, "
                          "all that is supported, found \"") +
                  type + "\"");
    CHECK(scaled({{"type", "linear"}}) == "config.json: rope_scaling: the field factor is missing");
    for (nlohmann::json const& bad :
         {nlohmann::json(0.5), nlohmann::json(-2), nlohmann::json("2"), nlohmann::json(1e9)})
        CHECK(scaled({{"type", "linear"}, {"factor", bad}})
                  .starts_with("config.json: rope_scaling: factor: expected a number from 1.0"));
    for (char const* field : {"factor", "low_freq_factor", "high_freq_factor"}) {
        auto less = llama3();
        less.erase(field);
        CHECK(scaled(less) ==
              std::string("config.json: rope_scaling: the field ") + field + " is missing");
        CHECK(scaled(with(llama3(), field, 0)) != "accepted");
    }
    CHECK(scaled(with(llama3(), "high_freq_factor", 1.5)) ==
          "config.json: rope_scaling: high_freq_factor: expected more than low_freq_factor, found "
          "1.5");
    CHECK(scaled(with(llama3(), "original_max_position_embeddings", 0)) != "accepted");
    CHECK(scaled(with(llama3(), "type", "linear")) ==
          "config.json: rope_scaling: rope_type: expected the same as in type, found \"llama3\"");
    CHECK(scaled(with(llama3(), "attention_factor", 1.2)) ==
          "config.json: rope_scaling: the field \"attention_factor\" is not known");
    CHECK(scaled("linear") != "accepted");
    auto const both = with(with(config_of("llama"), "rope_scaling", llama3()), "rope_parameters",
                           {{"rope_type", "default"}});
    CHECK(refusal(both).starts_with(
        "config.json: rope_scaling: expected the same as in rope_parameters"));
    CHECK(refusal(with(config_of("llama"), "partial_rotary_factor", 0.5)) ==
          "config.json: partial_rotary_factor: expected 1, all that is supported, found 0.5");
}
