// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/config.hpp>
#include <qtk/model/config_gpt.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

nlohmann::json opt() {
    return {{"model_type", "opt"},      {"num_hidden_layers", 2}, {"hidden_size", 12},
            {"num_attention_heads", 3}, {"ffn_dim", 20},          {"max_position_embeddings", 16},
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

}  // namespace

TEST_CASE("an OPT configuration takes its defaults") {
    auto const c = parsed(opt());
    CHECK(c.family == qtk::architecture::opt);
    CHECK(c.layers == 2);
    CHECK(c.heads == 3);
    CHECK(c.kv_heads == 3);
    CHECK(c.head_dim == 4);
    CHECK(c.inner == 20);
    CHECK(c.context == 16);
    CHECK(c.token_width == 12);
    CHECK(c.norm_epsilon == 1e-5f);
    CHECK(c.rope_theta == 0.0);
    CHECK(c.act == qtk::activation::relu);
    CHECK(c.has_tied_head);
    CHECK(c.has_attention_bias);
    CHECK(c.has_output_bias);
    CHECK(c.has_mlp_bias);
    CHECK(c.normalizes_first);
    CHECK(c.has_last_norm);
    CHECK(c.window == 0);
}

TEST_CASE("OPT-350m normalizes last, has no last normalization and narrow tokens") {
    auto const c =
        parsed(with(with(opt(), "do_layer_norm_before", false), "word_embed_proj_dim", 6));
    CHECK_FALSE(c.normalizes_first);
    CHECK_FALSE(c.has_last_norm);
    CHECK(c.token_width == 6);
    auto const tuned = parsed(with(opt(), "_remove_final_layer_norm", true));
    CHECK(tuned.normalizes_first);
    CHECK_FALSE(tuned.has_last_norm);
    auto const bare = parsed(with(opt(), "enable_bias", false));
    CHECK_FALSE(bare.has_attention_bias);
    CHECK_FALSE(bare.has_output_bias);
    CHECK_FALSE(bare.has_mlp_bias);
}

TEST_CASE("every missing field of OPT is named, every absurd one refused") {
    auto const whole = opt();
    for (auto const& [field, value] : whole.items()) {
        auto less = whole;
        less.erase(field);
        CHECK(refusal(less) == "config.json: the field " + field + " is missing");
        for (nlohmann::json const& bad :
             {nlohmann::json(0), nlohmann::json(-4), nlohmann::json(1.5), nlohmann::json::array(),
              nlohmann::json(std::uint64_t{1} << 63)})
            CHECK(refusal(with(whole, field.c_str(), bad))
                      .starts_with("config.json: " + field + ": expected"));
    }
    CHECK(refusal(with(opt(), "num_attention_heads", 5)) ==
          "config.json: num_attention_heads: expected a divisor of hidden_size = 12, found 5");
    CHECK(refusal(with(opt(), "word_embed_proj_dim", 0)) != "accepted");
    CHECK(refusal(with(opt(), "layer_norm_elementwise_affine", false)) ==
          "config.json: layer_norm_elementwise_affine: expected true, all that is supported, found "
          "false");
    CHECK(refusal(with(opt(), "activation_function", "tanh")) != "accepted");
}
