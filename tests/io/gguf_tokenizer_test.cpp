// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/gguf_tokenizer.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/io/gguf_writer.hpp>
#include <qtk/io/strict_json.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <fstream>
#include <string>
#include <vector>

namespace {

/// The embedded tokenizer's files as the keys of a GGUF file.
void add_tokenizer(qtk::gguf_writer& file, std::filesystem::path const& folder) {
    nlohmann::json vocabulary;
    std::ifstream(folder / "vocab.json") >> vocabulary;
    std::vector<std::string> tokens(vocabulary.size()), merges;
    for (auto const& [token, id] : vocabulary.items()) tokens[id.get<std::size_t>()] = token;
    std::ifstream lines(folder / "merges.txt");
    for (std::string line; std::getline(lines, line);)
        if (!line.starts_with("#version")) merges.push_back(line);
    std::vector<std::int32_t> types(tokens.size(), 1);
    types[0] = 3;
    file.set("tokenizer.ggml.model", "gpt2");
    file.set("tokenizer.ggml.pre", "gpt-2");
    file.set_array("tokenizer.ggml.tokens", tokens);
    file.set_array("tokenizer.ggml.token_type", types);
    file.set_array("tokenizer.ggml.merges", merges);
    file.set("tokenizer.ggml.bos_token_id", std::uint32_t{0});
    file.set("tokenizer.ggml.eos_token_id", std::uint32_t{0});
    file.set("tokenizer.ggml.add_bos_token", true);
}

}  // namespace

TEST_CASE("the tokenizer of a GGUF file gives the ids of the files that it was made of") {
    std::filesystem::path const folder = std::filesystem::path(QTK_DATA_DIR) / "polyglot-llama";
    test::scratch_folder const place;
    qtk::gguf_writer file;
    file.set("general.architecture", "llama");
    add_tokenizer(file, folder);
    file.write(place.path() / "t.gguf");
    auto const source = qtk::gguf_file::open(place.path() / "t.gguf");
    auto const tested = qtk::gguf_tokenizer(source), expected = qtk::tokenizer::open(folder);
    CHECK(tested.size() == expected.size());
    CHECK(tested.adds_bos());
    CHECK(tested.bos() == 0);
    for (std::string const text : {"In the beginning was the word.", "  two  spaces\n\n",
                                   "Straße, été, 日本語, שלום, 42%", "a<|endoftext|>b", ""}) {
        CAPTURE(text);
        CHECK(tested.encode(text) == expected.encode(text));
        CHECK(tested.decode(tested.encode(text)) == text);
    }
}

TEST_CASE("a file without a tokenizer says which key is missing") {
    test::scratch_folder const place;
    qtk::gguf_writer file;
    file.set("general.architecture", "llama");
    file.write(place.path() / "t.gguf");
    auto const source = qtk::gguf_file::open(place.path() / "t.gguf");
    CHECK_THROWS_WITH_AS((void)qtk::gguf_tokenizer(source),
                         doctest::Contains("\"tokenizer.ggml.model\" is missing"), qtk::io_error);
}
