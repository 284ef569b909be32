// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/quantization_config_reader.hpp>
#include <qtk/io/quantized_folder.hpp>

#include <doctest/doctest.h>

#include "random_layer.hpp"
#include "scratch.hpp"
#include "tiny_model.hpp"
#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using qtk::quantized_folder_writer;

qtk::scheme const four = qtk::parse_scheme("i4/g8/asym/f16");
std::string const layer = "model.layers.0.self_attn.q_proj", norm = "model.norm.weight";

/// A model of floats and a place beside it.
struct fixture {
    fixture() {
        fs::create_directory(source());
        model.write(source());
        test::write_file(source() / "tokenizer.json", "tokens");
        test::write_file(source() / "secret.txt", "not part of a model");
    }
    [[nodiscard]] fs::path source() const { return place / "source"; }
    [[nodiscard]] fs::path target() const { return place / "target"; }
    [[nodiscard]] quantized_folder_writer writer() const {
        return {source(), target(), qtk::quantization_config_for(qtk::weight_layout::gptq, four)};
    }

    test::scratch_folder place;
    qtk_test::model_folder model = qtk_test::tiny_llama();
    qtk::ordered_qmatrix codes{test::random_layer(four, 16, 8), {}};
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "a folder has the new layers, and everything else as it was") {
    auto folder = writer();
    folder.plan_layer(layer, {16, 8});
    folder.plan_floats(norm, {8}, qtk::dtype::f16);
    folder.plan_floats("model.layers.0.self_attn.q_proj.bias", {16});
    folder.start();
    CHECK_FALSE(fs::exists(target()));
    std::vector<float> const ones(8, 1.0f), biases(16, 0.3f);
    folder.write_floats("model.layers.0.self_attn.q_proj.bias", biases);
    CHECK(folder.write_layer(layer, codes).is_exact);
    folder.write_floats(norm, ones);
    auto const report = folder.finish();
    CHECK(report.layers == 1);
    CHECK(report.exact == 1);
    CHECK(report.worst.empty());

    auto const file = qtk::checkpoint::open(target());
    CHECK(fs::file_size(target() / "model.safetensors") == report.file_bytes);
    CHECK(file.shards()[0].metadata().at("format") == "pt");
    CHECK(file.find(layer + ".weight") == nullptr);
    auto const config = qtk::read_quantization_config(target());
    REQUIRE(config);
    CHECK(qtk::read_layer(file, layer, *config).weight == codes);
    CHECK(config->scheme.grain == four.grain);
    CHECK(file.floats(file.at(norm)) == ones);
    CHECK(file.at(norm).type == qtk::dtype::f16);
    CHECK(file.floats(file.at(layer + ".bias")) == biases);
    for (auto const& [name, tensor] : model.tensors)
        if (name != layer + ".weight" && name != norm) {
            CHECK(file.floats(file.at(name)) == tensor.values);
            CHECK(file.at(name).shape == tensor.shape);
        }
    CHECK(test::read_file(target() / "tokenizer.json") == "tokens");
    CHECK_FALSE(fs::exists(target() / "secret.txt"));
    CHECK(fs::exists(target() / "quantize_config.json"));
    auto json = qtk::parse_strict_json(test::read_file(target() / "config.json"), "c");
    CHECK(json.erase("quantization_config") == 1);
    CHECK(json == model.config);
    CHECK(place.files() == 2);
    // The same calls write the same bytes.
    std::string const first = test::read_file(target() / "model.safetensors");
    fs::remove_all(target());
    auto again = writer();
    again.plan_floats("model.layers.0.self_attn.q_proj.bias", {16});
    again.plan_floats(norm, {8}, qtk::dtype::f16);
    again.plan_layer(layer, {16, 8});
    again.start();
    again.write_layer(layer, codes);
    again.write_floats(norm, ones);
    again.write_floats("model.layers.0.self_attn.q_proj.bias", biases);
    again.finish();
    CHECK(test::read_file(target() / "model.safetensors") == first);
}

TEST_CASE_FIXTURE(fixture, "a scale that was rounded is in the report") {
    auto s = four;
    s.scale = qtk::scale_type::f32;
    auto q = test::random_layer(s, 16, 8);
    std::vector<qtk::tile_params> params(16, {1.0f, 3});
    params[3].scale = 1.0f + 0x1p-12f;
    q.set_params(params);
    auto folder = writer();
    folder.plan_layer(layer, {16, 8});
    folder.start();
    CHECK_FALSE(folder.write_layer(layer, {q, {}}).is_exact);
    auto const report = folder.finish();
    CHECK(report.exact == 0);
    CHECK(report.worst == layer);
    CHECK(report.largest_scale_change == doctest::Approx(0x1p-12).epsilon(1e-3));
}

TEST_CASE_FIXTURE(fixture, "until it is finished there is no folder") {
    {
        auto folder = writer();
        folder.plan_layer(layer, {16, 8});
        folder.start();
        CHECK_THROWS_WITH_AS(
            folder.finish(),
            ("the tensor \"" + layer + ".g_idx\" was planned and never written").c_str(),
            qtk::value_error);
    }
    CHECK(place.files() == 1);
}

TEST_CASE_FIXTURE(fixture, "what does not fit the plan or the source is refused") {
    auto folder = writer();
    auto const path = source().string();
    CHECK_THROWS_WITH_AS(folder.plan_layer("model.layer", {16, 8}),
                         doctest::Contains("the tensor \"model.layer.weight\" is missing"),
                         qtk::io_error);
    CHECK_THROWS_WITH_AS(
        folder.plan_layer(layer, {16, 16}),
        (path + ": tensor \"" + layer + ".weight\": expected [16, 16], found [16, 8]").c_str(),
        qtk::io_error);
    CHECK_THROWS_WITH_AS(folder.plan_layer("model.layers.0.mlp.up_proj", {10, 8}),
                         "layer \"model.layers.0.mlp.up_proj\": gptq: outputs: expected a multiple "
                         "of 8, found 10",
                         qtk::shape_error);
    CHECK_THROWS_AS(folder.write_layer(layer, codes), qtk::value_error);
    folder.plan_layer(layer, {8, 16});  // as GPT-2's files would hold it
    CHECK_THROWS_AS(folder.plan_layer(layer, {8, 16}), qtk::value_error);
    folder.plan_floats(norm, {8});
    CHECK_THROWS_AS(folder.plan_floats(norm, {8}), qtk::value_error);
    CHECK_THROWS_AS(folder.plan_floats("x", {8}, qtk::dtype::i8), qtk::value_error);
    folder.start();
    CHECK_THROWS_AS(folder.plan_floats("y", {8}), qtk::value_error);
    CHECK_THROWS_AS(folder.start(), qtk::value_error);
    CHECK_THROWS_AS(folder.write_layer("model.layers.1.self_attn.q_proj", codes), qtk::value_error);
    CHECK_THROWS_WITH_AS(
        folder.write_layer(layer, codes),
        ("layer \"" + layer + "\": qweight: planned as [2, 8], found [1, 16]").c_str(),
        qtk::value_error);
    CHECK_THROWS_AS(folder.write_floats(norm, std::vector<float>(7)), qtk::value_error);
    CHECK_THROWS_AS(folder.write_floats("z", {}), qtk::value_error);
    CHECK_THROWS_AS(
        folder.write_floats(norm, std::vector<float>(8, std::numeric_limits<float>::infinity())),
        qtk::nonfinite_error);
    folder.write_floats(norm, std::vector<float>(8));
    CHECK_THROWS_WITH_AS(folder.write_floats(norm, std::vector<float>(8)),
                         "the tensor \"model.norm.weight\" was written twice", qtk::value_error);
}

TEST_CASE_FIXTURE(fixture, "quantized sources and targets that are taken are refused") {
    CHECK_THROWS_AS(quantized_folder_writer(source(), source(), {}), qtk::io_error);
    CHECK_THROWS_AS(quantized_folder_writer(place / "absent", target(), {}), qtk::system_error);
    model.config["quantization_config"] = {{"quant_method", "gptq"}};
    model.write(source());
    CHECK_THROWS_WITH_AS(writer(),
                         ((source() / "config.json").string() +
                          ": quantization_config: expected float weights, found a quantized model")
                             .c_str(),
                         qtk::io_error);
    CHECK(place.files() == 1);
}
