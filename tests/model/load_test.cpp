// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace {

using qtk_test::model_folder, qtk_test::temporary_folder, qtk_test::tiny_gpt2, qtk_test::tiny_llama,
    qtk_test::tiny_opt;

qtk::decoder loaded(model_folder const& model, qtk::load_options const& options = {}) {
    temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_decoder(folder.path(), options);
}

// The message of the error without the folder's name, which changes from run to run.
std::string refusal(model_folder const& model) {
    temporary_folder const folder;
    model.write(folder.path());
    try {
        (void)qtk::load_decoder(folder.path());
    } catch (qtk::error const& fault) {
        std::string text = fault.what();
        std::string const name = folder.path().string();
        for (std::size_t at; (at = text.find(name)) != std::string::npos;)
            text.replace(at, name.size(), "DIR");
        return text;
    }
    return "accepted";
}

std::vector<std::string> names_of(qtk::decoder const& model) {
    std::vector<std::string> names;
    model.for_each_linear([&](qtk::linear const& layer) { names.push_back(layer.name()); });
    return names;
}

std::vector<std::int32_t> const some_tokens{3, 0, 10, 7};

}  // namespace

TEST_CASE("a GPT-2 folder is read, and its matrices are transposed") {
    auto const folder = tiny_gpt2();
    auto const model = loaded(folder);
    CHECK(model.block_count() == 2);
    CHECK(model.head().rows() == 11);
    CHECK(names_of(model) ==
          std::vector<std::string>{"transformer.h.0.attn.c_attn", "transformer.h.0.attn.c_proj",
                                   "transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.c_proj",
                                   "transformer.h.1.attn.c_attn", "transformer.h.1.attn.c_proj",
                                   "transformer.h.1.mlp.c_fc", "transformer.h.1.mlp.c_proj"});
    model.for_each_linear([&](qtk::linear const& layer) {
        auto const& stored = folder.tensors.at(layer.name() + ".weight");
        CHECK(stored.shape == std::vector<std::uint64_t>{layer.in(), layer.out()});
        for (std::size_t r = 0; r < layer.out(); ++r)
            for (std::size_t c = 0; c < layer.in(); ++c)
                CHECK(layer.weight()(r, c) == stored.values[c * layer.out() + r]);
    });
}

TEST_CASE("a Llama folder is read as it lies") {
    auto const folder = tiny_llama();
    auto const model = loaded(folder);
    auto const names = names_of(model);
    REQUIRE(names.size() == 14);
    CHECK(names[0] == "model.layers.0.self_attn.q_proj");
    CHECK(names[13] == "model.layers.1.mlp.down_proj");
    model.for_each_linear([&](qtk::linear const& layer) {
        auto const& stored = folder.tensors.at(layer.name() + ".weight");
        CHECK(stored.values ==
              std::vector<float>(layer.weight().data(),
                                 layer.weight().data() + layer.weight().view().size()));
        CHECK(layer.bias().empty());
    });
    CHECK(model.head().floats()(10, 7) == folder.tensors.at("lm_head.weight").values[87]);
}

TEST_CASE("the bare GPT-2, without its wrapper's name, is the same model") {
    auto wrapped = tiny_gpt2(), bare = wrapped;
    bare.tensors.clear();
    for (auto const& [name, tensor] : wrapped.tensors)
        bare.tensors[name.substr(std::string("transformer.").size())] = tensor;
    CHECK(loaded(wrapped).forward(some_tokens) == loaded(bare).forward(some_tokens));
    CHECK(names_of(loaded(bare))[0] == "h.0.attn.c_attn");
}

TEST_CASE("stored masks and copies of a tied head are skipped") {
    auto plain = tiny_gpt2(), extended = plain;
    extended.add("transformer.h.0.attn.bias", {1, 1, 6, 6});
    extended.add("transformer.h.1.attn.masked_bias", {});
    extended.add("lm_head.weight", {11, 8});
    CHECK(loaded(plain).forward(some_tokens) == loaded(extended).forward(some_tokens));
}

TEST_CASE("a head of its own is used where the configuration says so") {
    auto tied = tiny_gpt2(), untied = tied;
    untied.config["tie_word_embeddings"] = false;
    CHECK(refusal(untied).find("the tensor \"lm_head.weight\" is missing") != std::string::npos);
    untied.add("lm_head.weight", {11, 8});
    CHECK(loaded(tied).forward(some_tokens) != loaded(untied).forward(some_tokens));
    auto llama = tiny_llama();
    llama.config["tie_word_embeddings"] = true;
    CHECK(loaded(llama).head().floats()(0, 0) ==
          llama.tensors.at("model.embed_tokens.weight").values[0]);
}

TEST_CASE("biases of Llama layers are read where the configuration has them") {
    auto model = tiny_llama();
    model.config["attention_bias"] = true;
    CHECK(refusal(model).find("\"model.layers.0.self_attn.q_proj.bias\" is missing") !=
          std::string::npos);
    for (std::string const block : {"model.layers.0.", "model.layers.1."}) {
        model.add(block + "self_attn.q_proj.bias", {16});
        model.add(block + "self_attn.k_proj.bias", {8});
        model.add(block + "self_attn.v_proj.bias", {8});
        model.add(block + "self_attn.o_proj.bias", {8});
    }
    loaded(model).for_each_linear([](qtk::linear const& layer) {
        CHECK(layer.bias().empty() == (layer.name().find("mlp") != std::string::npos));
    });
}

TEST_CASE("an OPT folder is read, with and without its wrapper's name") {
    auto const wrapped = tiny_opt();
    auto const model = loaded(wrapped);
    auto const names = names_of(model);
    REQUIRE(names.size() == 12);
    CHECK(names[0] == "model.decoder.layers.0.self_attn.q_proj");
    CHECK(names[3] == "model.decoder.layers.0.self_attn.out_proj");
    CHECK(names[11] == "model.decoder.layers.1.fc2");
    auto bare = wrapped;
    bare.tensors.clear();
    for (auto const& [name, tensor] : wrapped.tensors)
        bare.tensors[name.substr(std::string("model.").size())] = tensor;
    CHECK(model.forward(some_tokens) == loaded(bare).forward(some_tokens));
}

TEST_CASE("OPT's first two positions stand for padding and are not used") {
    auto plain = tiny_opt(), other = plain;
    auto& rows = other.tensors["model.decoder.embed_positions.weight"].values;
    std::fill_n(rows.begin(), 16, 9.0f);
    CHECK(loaded(plain).forward(some_tokens) == loaded(other).forward(some_tokens));
    rows[16] += 1.0f;
    CHECK(loaded(plain).forward(some_tokens) != loaded(other).forward(some_tokens));
    other.tensors["model.decoder.embed_positions.weight"].shape = {6, 8};
    rows.resize(48);
    CHECK(refusal(other).find("config.json wants [8, 8], found [6, 8]") != std::string::npos);
}

TEST_CASE("narrow tokens are projected, through a tied head and through one of its own") {
    auto model = tiny_opt();
    model.config["word_embed_proj_dim"] = 4;
    model.add("model.decoder.embed_tokens.weight", {11, 4});
    CHECK(refusal(model).find("project_in.weight\" is missing") != std::string::npos);
    model.add("model.decoder.project_in.weight", {8, 4});
    model.add("model.decoder.project_out.weight", {4, 8});
    auto const tied = loaded(model);
    CHECK(tied.head().cols() == 8);
    model.config["tie_word_embeddings"] = false;
    model.add("lm_head.weight", {11, 4});
    auto const untied = loaded(model);
    // The head's rows are those of the file times project_out.
    auto const& narrow = model.tensors.at("lm_head.weight").values;
    auto const& out = model.tensors.at("model.decoder.project_out.weight").values;
    double expected = 0.0;
    for (std::size_t i = 0; i < 4; ++i)
        expected += static_cast<double>(narrow[3 * 4 + i]) * static_cast<double>(out[i * 8 + 5]);
    CHECK(static_cast<double>(untied.head().floats()(3, 5)) ==
          doctest::Approx(expected).epsilon(1e-5));
    CHECK(tied.forward(some_tokens) != untied.forward(some_tokens));
}

TEST_CASE("a Qwen2 folder has biases for queries, keys and values alone") {
    auto model = tiny_llama();
    model.config["model_type"] = "qwen2";
    CHECK(refusal(model).find("\"model.layers.0.self_attn.q_proj.bias\" is missing") !=
          std::string::npos);
    for (std::string const block : {"model.layers.0.", "model.layers.1."}) {
        model.add(block + "self_attn.q_proj.bias", {16});
        model.add(block + "self_attn.k_proj.bias", {8});
        model.add(block + "self_attn.v_proj.bias", {8});
    }
    CHECK(refusal(model) == "accepted");
    model.add("model.layers.0.self_attn.o_proj.bias", {8});
    CHECK(refusal(model).find("has no place") != std::string::npos);
}

TEST_CASE("a window of two tokens changes the third token, and one as long as the text nothing") {
    auto model = tiny_llama();
    model.config["model_type"] = "mistral";
    model.config["sliding_window"] = 2;
    auto const all = loaded(tiny_llama()).forward(some_tokens);
    auto const windowed = loaded(model).forward(some_tokens);
    for (std::size_t i = 0; i < 11; ++i) CHECK(windowed(1, i) == all(1, i));
    CHECK(windowed(2, 0) != all(2, 0));
    model.config["sliding_window"] = 4;
    CHECK(loaded(model).forward(some_tokens) == all);
}

TEST_CASE("every tensor is missed by name") {
    for (auto const& whole : {tiny_gpt2(), tiny_llama(), tiny_opt()})
        for (auto const& [name, tensor] : whole.tensors) {
            auto less = whole;
            less.tensors.erase(name);
            std::string const text = refusal(less);
            CAPTURE(text);
            // The first tensor also decides between the two ways to name all others.
            if (name == "transformer.wte.weight" || name == "model.embed_tokens.weight" ||
                name == "model.decoder.embed_tokens.weight")
                CHECK(text.find("is missing") != std::string::npos);
            else
                CHECK(text.find("the tensor \"" + name + "\" is missing") != std::string::npos);
        }
}

TEST_CASE("a tensor of another shape is refused with both shapes") {
    auto model = tiny_gpt2();
    model.tensors["transformer.h.1.mlp.c_fc.weight"].shape = {12, 8};
    CHECK(refusal(model) ==
          "DIR: tensor \"transformer.h.1.mlp.c_fc.weight\": config.json wants [8, 12], found [12, "
          "8]");
    for (auto const& whole : {tiny_gpt2(), tiny_llama(), tiny_opt()})
        for (auto const& [name, tensor] : whole.tensors) {
            auto bent = whole;
            bent.tensors[name].shape.push_back(1);
            std::string const text = refusal(bent);
            CAPTURE(text);
            CHECK(text.find("tensor \"" + name + "\"") != std::string::npos);
        }
    auto longer = tiny_gpt2();
    longer.config["n_positions"] = 7;
    CHECK(refusal(longer).find("wpe.weight\": config.json wants [7, 8], found [6, 8]") !=
          std::string::npos);
}

TEST_CASE("a configuration with fewer layers leaves tensors over, which is refused") {
    auto model = tiny_gpt2();
    model.config["n_layer"] = 1;
    CHECK(refusal(model).find("has no place in the network that config.json describes") !=
          std::string::npos);
    auto extra = tiny_llama();
    extra.add("model.layers.0.self_attn.q_norm.weight", {4});
    CHECK(refusal(extra).find("\"model.layers.0.self_attn.q_norm.weight\" has no place") !=
          std::string::npos);
    model.config["n_layer"] = 4096;
    CHECK(refusal(model).find("\"transformer.h.2.ln_1.weight\" is missing") != std::string::npos);
}

TEST_CASE("NaN and infinite weights are refused by name, count and place") {
    auto model = tiny_gpt2();
    auto& values = model.tensors["transformer.h.0.mlp.c_fc.weight"].values;
    values[13] = std::numeric_limits<float>::quiet_NaN();
    values[40] = std::numeric_limits<float>::infinity();
    temporary_folder const folder;
    model.write(folder.path());
    try {
        (void)qtk::load_decoder(folder.path());
        FAIL("accepted");
    } catch (qtk::nonfinite_error const& fault) {
        std::string const text = fault.what();
        CHECK(text.find("tensor \"transformer.h.0.mlp.c_fc.weight\"") != std::string::npos);
        CHECK(fault.count == 2);
        CHECK(fault.first == 13);
    }
    auto const zeroed = qtk::load_decoder(folder.path(), {.on_nonfinite = qtk::nonfinite::zero});
    zeroed.for_each_linear([](qtk::linear const& layer) {
        if (layer.name() != "transformer.h.0.mlp.c_fc") return;
        CHECK(layer.weight()(1, 1) == 0.0f);  // value 13 of [8, 12]
        CHECK(layer.weight()(4, 3) == 0.0f);  // value 40
    });
    auto const kept = qtk::load_decoder(folder.path(), {.on_nonfinite = qtk::nonfinite::propagate});
    CHECK(kept.forward(some_tokens)(3, 0) != kept.forward(some_tokens)(3, 0));
}

TEST_CASE("a folder without configuration or weights says which file is missing") {
    temporary_folder const folder;
    CHECK_THROWS_AS((void)qtk::load_decoder(folder.path()), qtk::system_error);
    std::ofstream(folder.path() / "config.json") << tiny_gpt2().config;
    try {
        (void)qtk::load_decoder(folder.path());
        FAIL("accepted");
    } catch (qtk::system_error const& fault) {
        CHECK(std::string(fault.what()).find("model.safetensors") != std::string::npos);
    }
}
