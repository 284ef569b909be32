// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/gguf.hpp>

#include <doctest/doctest.h>

#include "gguf_bytes.hpp"
#include "scratch.hpp"
#include <limits>

namespace {

std::filesystem::path golden(std::string const& name) {
    return std::filesystem::path(QTK_GOLDEN_DIR) / "gguf" / name;
}

}  // namespace

TEST_CASE("every kind of value that PyPI's gguf writes is read") {
    auto const file = qtk::gguf_file::open(golden("kinds.gguf"));
    auto const& m = file.metadata();
    CHECK(file.version() == 3);
    CHECK(file.tensors().empty());
    CHECK(m.get<std::string>("general.architecture") == "test");
    auto const holds = [&]<typename T>(std::string const& name, T low, T high) {
        CAPTURE(name);
        CHECK(m.get<T>("low." + name) == low);
        CHECK(m.get<T>("high." + name) == high);
        CHECK(m.at("low." + name).kind() == qtk::detail::kind_of<T>());
    };
    auto const whole = [&]<typename T>(std::string const& name, T) {
        holds(name, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
    };
    whole("uint8", std::uint8_t{});
    whole("int8", std::int8_t{});
    whole("uint16", std::uint16_t{});
    whole("int16", std::int16_t{});
    whole("uint32", std::uint32_t{});
    whole("int32", std::int32_t{});
    whole("uint64", std::uint64_t{});
    whole("int64", std::int64_t{});
    holds("float32", -1.5f, 0.25f);
    holds("float64", -1.5, 0.25);
    CHECK(m.get<bool>("yes"));
    CHECK_FALSE(m.get<bool>("no"));
    CHECK(m.get<std::string_view>("text") == "Gr\u00fc\u00dfe, \u4e16\u754c");
    CHECK(m.get<std::vector<int>>("ints") == std::vector{1, -2, 3});
    CHECK(m.get<std::vector<float>>("floats") == std::vector{0.5f, -1.25f});
    CHECK(m.get<std::vector<bool>>("flags") == std::vector{true, false, true});
    CHECK(m.at("tokens").strings() ==
          std::vector<std::string_view>{"<s>", "", "\u0120the", "\u4e16"});
}

TEST_CASE("every type of tensor that PyPI's gguf writes is read, with its bytes") {
    for (auto const mode : {qtk::io_mode::mmap, qtk::io_mode::read}) {
        auto const file = qtk::gguf_file::open(golden("types.gguf"), {}, mode);
        CHECK(file.alignment() == 64);
        CHECK(file.tensors().size() >= 31);
        for (auto const& tensor : file.tensors()) {
            CAPTURE(tensor.name);
            auto const& entry = *qtk::find_gguf_type(tensor.type);
            CHECK(tensor.dims == std::array<std::uint64_t, 4>{256, 2, 1, 1});
            REQUIRE(tensor.bytes == 512 / entry.values * entry.bytes);
            auto state = static_cast<std::uint32_t>(tensor.type);
            for (std::byte const byte : file.bytes(tensor)) {
                state = state * 1664525u + 1013904223u;
                REQUIRE(std::to_integer<std::uint32_t>(byte) == state >> 24);
            }
            if (qtk::has_gguf_decoder(tensor.type)) {
                auto const view = file.view(tensor);
                CHECK((view.rows == 2 && view.cols == 256));
                CHECK_NOTHROW(qtk::require_gguf(view));
                std::vector<float> rows(512);
                qtk::decode_gguf_row(view, 0, std::span(rows).first(256));
                qtk::decode_gguf_row(view, 1, std::span(rows).last(256));
                auto const all = file.floats(tensor);
                REQUIRE(all.size() == 512);
                // As bits: random bytes are NaN here and there.
                CHECK(std::memcmp(all.data(), rows.data(), 512 * sizeof(float)) == 0);
            } else if (entry.values == 1) {
                CHECK(file.floats(tensor).size() == 512);
                CHECK_THROWS_AS((void)file.view(tensor), qtk::io_error);
            } else {
                CHECK_THROWS_WITH_AS((void)file.floats(tensor),
                                     doctest::Contains("which has no decoder here"), qtk::io_error);
            }
        }
    }
}

TEST_CASE("dimensions are reversed: rows of GGUF are the last axis of numpy") {
    auto const file = qtk::gguf_file::open(golden("model.gguf"));
    CHECK(file.metadata().get<std::uint32_t>("llama.block_count") == 1);
    CHECK(file.metadata().get<float>("llama.attention.layer_norm_rms_epsilon") == 1e-5f);
    auto const& embedding = file.at("token_embd.weight");
    CHECK(qtk::to_string(embedding) == "[32, 3] f32");
    auto const view = file.view(embedding);
    CHECK((view.rows == 3 && view.cols == 32));
    std::vector<float> row(32);
    qtk::decode_gguf_row(view, 2, row);
    CHECK((row[0] == 64.0f && row[31] == 95.0f));
    CHECK(file.floats(embedding)[95] == 95.0f);

    auto const& norm = file.at("blk.0.attn_norm.weight");
    CHECK((file.view(norm).rows == 1 && file.view(norm).cols == 32));
    CHECK(file.floats(file.at("blk.0.ids")) == std::vector{1.0f, -2.0f, 3.0f});

    auto const& experts = file.at("blk.0.ffn_gate_exps.weight");
    CHECK(qtk::to_string(experts) == "[32, 2, 4] f16");
    qtk::decode_gguf_row(file.view(experts, 3), 1, row);
    CHECK(row[0] == 224.0f);
    CHECK_THROWS_WITH_AS((void)file.view(experts, 4), doctest::Contains("has 4 matrices"),
                         qtk::io_error);
    file.release(embedding);
    CHECK(file.floats(embedding)[95] == 95.0f);
}

TEST_CASE("a missing tensor of a GGUF file is named, with the nearest name there is") {
    auto const file = qtk::gguf_file::open(golden("model.gguf"));
    CHECK(file.find("nothing") == nullptr);
    CHECK_THROWS_WITH_AS((void)file.at("blk.1.attn_norm.weight"),
                         doctest::Contains("there is \"blk.0.attn_norm.weight\""), qtk::io_error);
}

TEST_CASE("a big-endian file and a file that is none are refused") {
    CHECK_THROWS_WITH_AS((void)qtk::gguf_file::open(golden("big.gguf")),
                         doctest::Contains("the file is big endian"), qtk::io_error);
    CHECK_THROWS_AS((void)qtk::gguf_file::open(golden("make_gguf.py")), qtk::system_error);
}

TEST_CASE("views and values outlive a move of the file") {
    for (auto const mode : {qtk::io_mode::mmap, qtk::io_mode::read}) {
        auto file = qtk::gguf_file::open(golden("model.gguf"), {}, mode);
        auto const view = file.view(file.at("token_embd.weight"));
        auto const name = file.metadata().get<std::string_view>("general.architecture");
        qtk::gguf_file const other = std::move(file);
        CHECK(name == "llama");
        std::vector<float> row(32);
        qtk::decode_gguf_row(view, 1, row);
        CHECK(row[0] == 32.0f);
        CHECK(other.at("token_embd.weight").values() == 96);
    }
}
