// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gguf_reader.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_gguf.hpp"
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

namespace {

std::shared_ptr<qtk::gguf_file const> written(qtk::gguf_writer const& file,
                                              std::filesystem::path const& folder) {
    file.write(folder / "model.gguf");
    return std::make_shared<qtk::gguf_file const>(qtk::gguf_file::open(folder / "model.gguf"));
}

std::vector<float> logits_of(qtk::decoder const& model) {
    qtk::kv_cache past(model.config(), 6);
    return model.next_logits(std::vector<std::int32_t>{1, 7, 3, 10, 2}, past);
}

void check_same(qtk_test::model_folder const& model, qtk_test::gguf_model& converted) {
    qtk_test::temporary_folder const place;
    model.write(place.path());
    auto const expected = logits_of(qtk::load_decoder(place.path()));
    auto const found = logits_of(qtk::load_decoder(written(converted.file, place.path())));
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i)
        CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-4));
}

}  // namespace

TEST_CASE("names are translated, and what has no name gets none") {
    CHECK(qtk::gguf_name("transformer.h.11.mlp.c_fc.weight") == "blk.11.ffn_up.weight");
    CHECK(qtk::gguf_name("model.layers.3.self_attn.q_proj.bias") == "blk.3.attn_q.bias");
    CHECK(qtk::gguf_name("model.norm.weight") == "output_norm.weight");
    CHECK(qtk::gguf_name("lm_head.weight") == "output.weight");
    CHECK(qtk::gguf_name("wpe.weight") == "position_embd.weight");
    CHECK(qtk::gguf_name("model.layers.3.self_attn.rotary_emb.inv_freq").empty());
    CHECK(qtk::gguf_name("nothing").empty());
    CHECK(qtk::gguf_name("h.").empty());
}

TEST_CASE("a GGUF file computes what the folder computes that it was made of") {
    for (auto const& model : {qtk_test::tiny_gpt2(), qtk_test::tiny_llama()}) {
        qtk_test::gguf_model converted;
        converted.add(model);
        check_same(model, converted);
    }
}

TEST_CASE("the divisors of a GGUF file are Llama 3's scaling") {
    auto model = qtk_test::tiny_llama();
    model.config["rope_scaling"] = {{"rope_type", "llama3"},
                                    {"factor", 8.0},
                                    {"low_freq_factor", 1.0},
                                    {"high_freq_factor", 4.0},
                                    {"original_max_position_embeddings", 8}};
    qtk_test::gguf_model converted;
    converted.add(model);
    auto const plain = qtk::rope_frequencies(10000.0, 4);
    auto const scaled = qtk::rope_frequencies(10000.0, 4,
                                              {.type = qtk::rope_scaling::kind::llama3,
                                               .factor = 8.0,
                                               .low = 1.0,
                                               .high = 4.0,
                                               .original_context = 8});
    std::vector<float> divisors;
    for (std::size_t i = 0; i < 2; ++i)
        divisors.push_back(static_cast<float>(plain[i] / scaled[i]));
    CHECK(divisors[1] > 1.5f);
    converted.file.add("rope_freqs.weight", qtk::gguf_type::f32, {2},
                       std::as_bytes(std::span(divisors)));
    check_same(model, converted);
}

TEST_CASE("weights stay where they lie, and the file stays open") {
    qtk_test::temporary_folder const place;
    qtk_test::gguf_model converted;
    converted.add(qtk_test::tiny_llama());
    auto const model = qtk::load_decoder(written(converted.file, place.path()));
    model.for_each_linear([](qtk::linear const& layer) {
        CHECK(layer.form().find<qtk::stored_weight>() != nullptr);
    });
    CHECK(model.head().find<qtk::stored_weight>() != nullptr);
}

TEST_CASE("missing, foreign and ill-shaped tensors are named, and NaN too") {
    auto const fault = [](auto const& change, qtk_test::model_folder const& model,
                          std::string const& skipped) {
        qtk_test::temporary_folder const place;
        qtk_test::gguf_model converted;
        converted.add(model, skipped);
        change(converted);
        try {
            static_cast<void>(qtk::load_decoder(written(converted.file, place.path())));
        } catch (qtk::error const& e) {
            return std::string(e.what());
        }
        return std::string("nothing");
    };
    auto const nothing = [](auto&) {};
    auto const llama = qtk_test::tiny_llama();
    CHECK(fault(nothing, llama, "model.layers.1.mlp.up_proj.weight").find("blk.1.ffn_up.weight") !=
          std::string::npos);
    std::vector<float> const extra(4);
    CHECK(fault(
              [&](auto& m) {
                  m.file.add("blk.0.attn_q_norm.weight", qtk::gguf_type::f32, {4},
                             std::as_bytes(std::span(extra)));
              },
              llama, "")
              .find("has no place") != std::string::npos);
    auto wide = llama;
    wide.add("model.layers.0.mlp.down_proj.weight", {8, 11});
    CHECK(fault(nothing, wide, "").find("the metadata want 8 rows of 10") != std::string::npos);
    auto bad = llama;
    bad.tensors.at("model.layers.0.mlp.down_proj.weight").values[3] =
        std::numeric_limits<float>::quiet_NaN();
    CHECK(fault(nothing, bad, "").find("found 1 NaN") != std::string::npos);
}
