// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/quantization_config_reader.hpp>
#include <qtk/io/quantized_folder.hpp>
#include <qtk/model/load.hpp>
#include <qtk/model/quantized_reader.hpp>

#include <doctest/doctest.h>

#include "random_layer.hpp"
#include "scratch.hpp"
#include "tiny_model.hpp"
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace {

using qtk::weight_layout;

std::vector<std::int32_t> const some_tokens{3, 0, 10, 7};

/// A model whose layers of one shape are codes, and the same model as floats that these stand for.
struct twin_models {
    twin_models(qtk_test::model_folder model, weight_layout layout, std::string const& text,
                qtk::layer_shape shape, bool has_order = false, bool is_turned = false) {
        qtk::scheme const s = qtk::parse_scheme(text);
        auto config = qtk::quantization_config_for(layout, s);
        config.has_order = has_order;
        std::filesystem::create_directory(place / "floats");
        model.write(place / "floats");
        qtk::quantized_folder_writer writer(place / "floats", place / "codes", config);
        std::map<std::string, qtk::ordered_qmatrix> layers;
        std::vector<std::uint64_t> sides{shape.out, shape.in};
        if (is_turned) std::swap(sides[0], sides[1]);
        for (auto& [name, tensor] : model.tensors) {
            std::string const layer = name.substr(0, name.rfind('.'));
            if (tensor.shape != sides || name.find("attn") == name.npos) continue;
            auto const q =
                has_order ? test::dealt_layer(s, shape.out, shape.in)
                          : qtk::ordered_qmatrix{test::random_layer(s, shape.out, shape.in), {}};
            auto const floats = qtk::decode_in_order(q);
            for (std::size_t r = 0; r < shape.out; ++r)
                for (std::size_t c = 0; c < shape.in; ++c)
                    tensor.values[is_turned ? c * shape.out + r : r * shape.in + c] = floats(r, c);
            writer.plan_layer(layer, shape);
            layers.emplace(layer, q);
        }
        writer.start();
        for (auto const& [name, q] : layers) writer.write_layer(name, q);
        writer.finish();
        model.write(place / "floats");
        count = layers.size();
    }

    test::scratch_folder place;
    std::size_t count = 0;
};

void check_same(twin_models const& twins) {
    REQUIRE(twins.count >= 2);
    auto const codes = qtk::load_decoder(twins.place / "codes");
    auto const found = codes.forward(some_tokens),
               expected = qtk::load_decoder(twins.place / "floats").forward(some_tokens);
    for (std::size_t i = 0; i < expected.size(); ++i)
        CHECK(found.data()[i] == doctest::Approx(expected.data()[i]).epsilon(1e-5));
    std::size_t quantized = 0;
    codes.for_each_linear(
        [&](qtk::linear const& layer) { quantized += layer.is_quantized() ? 1u : 0u; });
    CHECK(quantized == twins.count);
}

std::string refusal(std::filesystem::path const& folder) {
    try {
        static_cast<void>(qtk::load_decoder(folder));
    } catch (qtk::io_error const& fault) {
        std::string const text = fault.what(), start = folder.string();
        return text.starts_with(start) ? text.substr(start.size()) : text;
    }
    return "accepted";
}

}  // namespace

TEST_CASE("a quantized folder computes what the floats of its codes compute, in every layout") {
    for (auto const& [layout, text] :
         {std::pair(weight_layout::gptq, "i4/g8/asym"), std::pair(weight_layout::gptq, "i8/g4"),
          std::pair(weight_layout::awq, "i4/g4/asym"),
          std::pair(weight_layout::bitsandbytes, "nf4/b4x8"),
          std::pair(weight_layout::bitsandbytes, "i8/channel"),
          std::pair(weight_layout::compressed_tensors, "i4/g4/asym/bf16"),
          std::pair(weight_layout::compressed_tensors, "i3/channel"),
          std::pair(weight_layout::compressed_tensors, "e4m3/channel")}) {
        CAPTURE(std::string(text));
        check_same({qtk_test::tiny_llama(), layout, text, {16, 8}});
    }
}

TEST_CASE("columns in an order stay in it, behind a change of the input") {
    for (auto const layout : {weight_layout::gptq, weight_layout::compressed_tensors}) {
        twin_models const twins(qtk_test::tiny_llama(), layout, "i4/g4/asym", {16, 8}, true);
        check_same(twins);
        std::size_t changed = 0;
        qtk::load_decoder(twins.place / "codes").for_each_linear([&](qtk::linear const& layer) {
            changed += layer.input() != nullptr ? 1u : 0u;
        });
        CHECK(changed == twins.count);
        auto const file =
            std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(twins.place / "codes"));
        qtk::quantized_reader reader(file, *qtk::read_quantization_config(twins.place / "codes"));
        // Who asks for a weight without its order gets floats.
        std::string const name = "model.layers.0.self_attn.q_proj.weight";
        auto const floats = reader.weight(name, 16, 8);
        auto const expected = qtk::checkpoint::open(twins.place / "floats");
        CHECK(floats.find<qtk::matrix>() != nullptr);
        auto const all = floats.floats();
        CHECK(std::vector<float>(all.data(), all.data() + 128) ==
              expected.floats(expected.at(name)));
    }
}

TEST_CASE("GPT-2's layers are turned in files of floats and not in files of codes") {
    check_same({qtk_test::tiny_gpt2(), weight_layout::gptq, "i4/g8/asym", {24, 8}, false, true});
    check_same(
        {qtk_test::tiny_gpt2(), weight_layout::compressed_tensors, "i8/g8", {24, 8}, false, true});
    check_same({qtk_test::tiny_opt(), weight_layout::awq, "i4/g8/asym", {8, 8}});
}

TEST_CASE("a quantized head is read, and one that is tied is ignored") {
    auto model = qtk_test::tiny_llama();
    test::scratch_folder const place;
    std::filesystem::create_directory(place / "floats");
    model.write(place / "floats");
    auto const s = qtk::parse_scheme("i8/channel/sym/f32");
    auto const config = qtk::quantization_config_for(weight_layout::compressed_tensors, s);
    qtk::quantized_folder_writer writer(place / "floats", place / "codes", config);
    writer.plan_layer("lm_head", {11, 8});
    writer.start();
    writer.write_layer("lm_head", {test::random_layer(s, 11, 8), {}});
    writer.finish();
    auto const head = qtk::load_decoder(place / "codes").head();
    CHECK(head.find<qtk::any_qmatrix>() != nullptr);
    auto json = qtk::parse_strict_json(test::read_file(place / "codes/config.json"), "c");
    json["tie_word_embeddings"] = true;
    test::write_file(place / "codes/config.json", json.dump());
    CHECK(refusal(place / "codes") == "accepted");
}

TEST_CASE("what does not belong to the network, or to the layout, is refused") {
    twin_models const twins(qtk_test::tiny_llama(), weight_layout::gptq, "i4/g8/asym", {16, 8});
    auto const folder = twins.place / "codes";
    auto const config = qtk::parse_strict_json(test::read_file(folder / "config.json"), "c");
    auto const with = [&](char const* field, nlohmann::json const& value) {
        auto bent = config;
        bent["quantization_config"][field] = value;
        test::write_file(folder / "config.json", bent.dump());
        return refusal(folder);
    };
    CHECK(with("bits", 4) == "accepted");
    CHECK(with("group_size", 4) ==
          ": layer \"model.layers.0.self_attn.q_proj\": qzeros: expected I32 [2, 2], found I32 [1, "
          "2]");
    CHECK(with("bits", 8).starts_with(": layer \"model.layers.0.self_attn.q_proj\": "));
    CHECK(
        with("quant_method", "hqq").starts_with("/config.json: quantization_config: quant_method"));
    auto bent = config;
    bent["quantization_config"] = {
        {"quant_method", "bitsandbytes"}, {"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}};
    test::write_file(folder / "config.json", bent.dump());
    CHECK(
        refusal(folder).starts_with(": the tensor \"model.layers.0.self_attn.q_proj.weight\" is "
                                    "missing"));
    // Floats, though the configuration says otherwise.
    auto plain = qtk_test::tiny_llama();
    plain.config["quantization_config"] = config["quantization_config"];
    plain.write(twins.place / "floats");
    CHECK(refusal(twins.place / "floats") ==
          ": quantization_config says gptq, but no layer of the network has the tensor qweight");
}

TEST_CASE("what the files say and is not done is told once") {
    twin_models const twins(qtk_test::tiny_llama(), weight_layout::gptq, "i4/g8/sym", {16, 8});
    auto const folder = twins.place / "codes";
    auto config = qtk::parse_strict_json(test::read_file(folder / "config.json"), "c");
    config["quantization_config"]["checkpoint_format"] = "gptq_v2";
    test::write_file(folder / "config.json", config.dump());
    std::vector<std::string> notes;
    qtk::load_options options;
    options.note = [&](std::string const& text) { notes.push_back(text); };
    static_cast<void>(qtk::load_decoder(folder, options));
    REQUIRE(notes.size() == 1);
    CHECK(
        notes[0].starts_with("model.layers.0.self_attn.q_proj and 1 more layers: every field of "
                             "qzeros is 7"));
}
