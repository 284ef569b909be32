// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gguf_config.hpp>

#include <doctest/doctest.h>

#include "tiny_gguf.hpp"
#include <filesystem>
#include <functional>
#include <string>

namespace {

qtk::decoder_config config_of(qtk_test::model_folder const& model,
                              std::function<void(qtk::gguf_writer&)> const& change = {}) {
    qtk_test::temporary_folder const place;
    qtk_test::gguf_model converted;
    converted.add(model);
    if (change) change(converted.file);
    converted.file.write(place.path() / "m.gguf");
    return qtk::read_gguf_config(qtk::gguf_file::open(place.path() / "m.gguf"));
}

}  // namespace

TEST_CASE("the keys of a Llama file are its configuration") {
    auto const c = config_of(qtk_test::tiny_llama(), [](qtk::gguf_writer& file) {
        file.set("llama.rope.freq_base", 500000.0f);
        file.set("llama.attention.sliding_window", std::uint32_t{4});
    });
    CHECK(c.family == qtk::architecture::llama);
    CHECK(c.layers == 2);
    CHECK(c.width == 8);
    CHECK(c.heads == 4);
    CHECK(c.kv_heads == 2);
    CHECK(c.head_dim == 4);
    CHECK(c.inner == 10);
    CHECK(c.vocabulary == 11);
    CHECK(c.context == 6);
    CHECK(c.rope_theta == 500000.0);
    CHECK(c.window == 4);
    CHECK(c.pairs == qtk::rope_pairs::neighbours);
    CHECK_FALSE(c.has_tied_head);
    CHECK_FALSE(c.has_attention_bias);
}

TEST_CASE("the keys of a GPT-2 file are its configuration") {
    auto const c = config_of(qtk_test::tiny_gpt2());
    CHECK(c.family == qtk::architecture::gpt2);
    CHECK(c.has_tied_head);
    CHECK(c.head_dim == 4);
    CHECK(c.norm_epsilon == 1e-5f);
}

TEST_CASE("what would change the computation is refused by its key") {
    auto const refused = [](std::function<void(qtk::gguf_writer&)> const& change) {
        try {
            static_cast<void>(config_of(qtk_test::tiny_llama(), change));
        } catch (qtk::io_error const& e) {
            return std::string(e.what());
        }
        return std::string("nothing");
    };
    CHECK(refused([](auto& f) {
              f.set("llama.rope.scaling.type", "yarn");
          }).find("llama.rope.scaling.type: expected none or linear, found yarn") !=
          std::string::npos);
    CHECK(refused([](auto& f) {
              f.set("llama.expert_count", std::uint32_t{8});
          }).find("no mixture of experts") != std::string::npos);
    CHECK(refused([](auto& f) {
              f.set("llama.rope.dimension_count", std::uint32_t{2});
          }).find("rope.dimension_count") != std::string::npos);
    CHECK(refused([](auto& f) { f.set("llama.rope.freq_base", 0.0f); }).find("a positive number") !=
          std::string::npos);
    auto other = qtk_test::tiny_llama();
    qtk_test::temporary_folder const place;
    qtk::gguf_writer mamba;
    mamba.set("general.architecture", "mamba");
    mamba.write(place.path() / "m.gguf");
    CHECK_THROWS_WITH_AS((void)qtk::read_gguf_config(qtk::gguf_file::open(place.path() / "m.gguf")),
                         doctest::Contains("expected llama, qwen2 or gpt2, found \"mamba\""),
                         qtk::io_error);
}
