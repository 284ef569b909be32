// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/config.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace {

nlohmann::json gpt2() {
    return {{"model_type", "gpt2"}, {"n_layer", 2},      {"n_embd", 12},
            {"n_head", 3},          {"n_positions", 16}, {"vocab_size", 10}};
}
nlohmann::json llama() {
    return {{"model_type", "llama"},         {"num_hidden_layers", 2},   {"hidden_size", 12},
            {"num_attention_heads", 6},      {"num_key_value_heads", 2}, {"intermediate_size", 20},
            {"max_position_embeddings", 16}, {"rms_norm_eps", 1e-6},     {"vocab_size", 10}};
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

}  // namespace

TEST_CASE("an empty file, an array and an object without fields are refused") {
    CHECK_THROWS_AS((void)qtk::parse_config("", "c"), qtk::io_error);
    CHECK_THROWS_WITH_AS((void)qtk::parse_config("[]", "c"), "c: expected a JSON object",
                         qtk::io_error);
    CHECK_THROWS_WITH_AS((void)qtk::parse_config("{}", "c"), "c: the field model_type is missing",
                         qtk::io_error);
}

TEST_CASE("a GPT-2 configuration takes its defaults") {
    auto const c = parsed(gpt2());
    CHECK(c.family == qtk::architecture::gpt2);
    CHECK(c.layers == 2);
    CHECK(c.heads == 3);
    CHECK(c.kv_heads == 3);
    CHECK(c.head_dim == 4);
    CHECK(c.inner == 48);
    CHECK(c.context == 16);
    CHECK(c.norm_epsilon == 1e-5f);
    CHECK(c.act == qtk::activation::gelu_tanh);
    CHECK(c.has_tied_head);
    CHECK_FALSE(c.bos.has_value());
    CHECK(parsed(with(gpt2(), "n_inner", nullptr)).inner == 48);
    CHECK(parsed(with(gpt2(), "n_inner", 7)).inner == 7);
}

TEST_CASE("a Llama configuration takes its defaults") {
    auto const c = parsed(llama());
    CHECK(c.family == qtk::architecture::llama);
    CHECK(c.kv_heads == 2);
    CHECK(c.head_dim == 2);
    CHECK(c.rope_theta == 10000.0);
    CHECK(c.act == qtk::activation::silu);
    CHECK_FALSE(c.has_tied_head);
    CHECK_FALSE(c.has_attention_bias);
    CHECK(parsed(with(llama(), "head_dim", 8)).head_dim == 8);
    auto no_groups = llama();
    no_groups.erase("num_key_value_heads");
    CHECK(parsed(no_groups).kv_heads == 6);
}

TEST_CASE("rope_theta is read from all the places where it is written") {
    CHECK(parsed(with(llama(), "rope_theta", 500000.0)).rope_theta == 500000.0);
    CHECK(parsed(with(llama(), "rope_parameters", {{"rope_theta", 5e5}, {"rope_type", "default"}}))
              .rope_theta == 500000.0);
    CHECK(parsed(with(llama(), "rope_scaling", nullptr)).rope_theta == 10000.0);
    auto const both = with(llama(), "rope_theta", 1e4);
    CHECK(parsed(with(both, "rope_parameters", {{"rope_theta", 1e4}})).rope_theta == 10000.0);
    CHECK(refusal(with(both, "rope_parameters", {{"rope_theta", 2e4}})) ==
          "config.json: rope_parameters: rope_theta: expected the same as at the top level, found "
          "20000.0");
}

TEST_CASE("rotary embeddings that are not implemented are refused") {
    for (char const* kind : {"yarn", "dynamic", "longrope"})
        CHECK(refusal(with(llama(), "rope_parameters", {{"rope_type", kind}}))
                  .starts_with("config.json: rope_parameters: rope_type: "));
    CHECK(refusal(with(llama(), "rope_parameters", {{"partial_rotary_factor", 0.5}})) !=
          "accepted");
    CHECK(refusal(with(llama(), "rope_scaling", "linear")) != "accepted");
}

TEST_CASE("the tokens that end a text are one or several") {
    CHECK(parsed(gpt2()).eos.empty());
    CHECK(parsed(with(gpt2(), "eos_token_id", 9)).eos == std::vector<std::int32_t>{9});
    CHECK(parsed(with(llama(), "eos_token_id", {8, 9})).eos == std::vector<std::int32_t>{8, 9});
    CHECK(refusal(with(llama(), "eos_token_id", {8, 10})) ==
          "config.json: eos_token_id: expected a token from 0 to 9, found 10");
    CHECK(refusal(with(llama(), "bos_token_id", {1, 2})) ==
          "config.json: bos_token_id: expected one token, found [1,2]");
}

TEST_CASE("known networks of other kinds are refused by name") {
    CHECK(refusal(with(llama(), "model_type", "mixtral")) ==
          "config.json: model_type: mixtral is a decoder with a choice of experts in each block, "
          "which qtk does not run; it runs gpt2, llama, mistral, qwen2 and opt");
    for (char const* type : {"gemma", "gemma2", "gemma3", "bloom", "gpt_neox", "falcon", "phi",
                             "mamba", "qwen2_moe", "qwen3", "t5", "bert"})
        CHECK(refusal(with(llama(), "model_type", type))
                  .starts_with(std::string("config.json: model_type: ") + type + " is a"));
}

TEST_CASE("every missing field is named") {
    for (auto const& config : {gpt2(), llama()})
        for (auto const& [field, value] : config.items()) {
            if (field == "num_key_value_heads") continue;  // has a default
            auto less = config;
            less.erase(field);
            CHECK(refusal(less) == "config.json: the field " + field + " is missing");
        }
}

TEST_CASE("absurd values are refused with what was expected and found") {
    CHECK(refusal(with(gpt2(), "n_layer", 0)) ==
          "config.json: n_layer: expected a whole number from 1 to 4096, found 0");
    for (char const* field :
         {"n_layer", "n_embd", "n_head", "n_positions", "vocab_size", "n_inner"})
        for (nlohmann::json const& value :
             {nlohmann::json(0), nlohmann::json(-4), nlohmann::json(1.5), nlohmann::json("12"),
              nlohmann::json(std::uint64_t{1} << 63)})
            CHECK(refusal(with(gpt2(), field, value))
                      .starts_with(std::string("config.json: ") + field + ": expected"));
    CHECK(refusal(with(gpt2(), "n_head", 5)).find("a divisor of n_embd = 12") != std::string::npos);
    CHECK(refusal(with(gpt2(), "layer_norm_epsilon", 0)) != "accepted");
    CHECK(refusal(with(gpt2(), "bos_token_id", 10)) ==
          "config.json: bos_token_id: expected a token from 0 to 9, found 10");
    CHECK(refusal(with(gpt2(), "bos_token_id", -1)) != "accepted");
    CHECK(refusal(with(llama(), "num_key_value_heads", 4)) != "accepted");
    CHECK(refusal(with(llama(), "head_dim", 3)) != "accepted");
    CHECK(refusal(with(llama(), "num_attention_heads", 5)) != "accepted");
    CHECK(refusal(with(llama(), "rope_theta", 0.0)) != "accepted");
    CHECK(refusal(with(llama(), "attention_bias", 1)) != "accepted");
}

TEST_CASE("what would change the computation and is not implemented is refused") {
    CHECK(refusal(with(gpt2(), "model_type", "qwen9")) ==
          "config.json: model_type: expected gpt2, llama, mistral, qwen2 or opt, found \"qwen9\"");
    CHECK(refusal(with(gpt2(), "activation_function", "mish")) != "accepted");
    CHECK(refusal(with(gpt2(), "scale_attn_weights", false)) != "accepted");
    CHECK(refusal(with(gpt2(), "scale_attn_by_inverse_layer_idx", true)) != "accepted");
    CHECK(refusal(with(gpt2(), "add_cross_attention", true)) != "accepted");
    CHECK(refusal(with(llama(), "quantization_config", {{"bits", 4}}))
              .starts_with("config.json: quantization_config: expected float weights"));
}

TEST_CASE("the embedded models are read") {
    std::filesystem::path const data = QTK_DATA_DIR;
    auto const gpt = qtk::read_config(data / "polyglot-gpt2");
    CHECK(gpt.layers == 12);
    CHECK(gpt.width == 192);
    CHECK(gpt.inner == 768);
    CHECK(gpt.vocabulary == 4096);
    CHECK(gpt.context == 256);
    CHECK(gpt.bos == 0);
    auto const llm = qtk::read_config(data / "polyglot-llama");
    CHECK(llm.kv_heads == 2);
    CHECK(llm.head_dim == 32);
    CHECK(llm.inner == 512);
    CHECK(llm.norm_epsilon == 1e-6f);
    CHECK(llm.has_tied_head);
    CHECK_THROWS_AS((void)qtk::read_config(data / "corpus"), qtk::system_error);
}
