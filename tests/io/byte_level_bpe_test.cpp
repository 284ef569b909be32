// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/byte_level_bpe.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;

// a b c ab abc and a space in front of ab; 1 is left free.
constexpr char const* small_vocabulary =
    R"({"<|endoftext|>": 0, "a": 2, "b": 3, "c": 4, "Ġ": 5, "ab": 6, "abc": 7, "Ġab": 8})";
constexpr char const* small_merges = "#version: 0.2\na b\nab c\nĠ ab\n";

qtk::byte_level_bpe small() {
    return {small_vocabulary, small_merges};
}

// The message of the io_error that these two files give.
std::string refusal(std::string const& vocabulary, std::string const& merges) {
    try {
        qtk::byte_level_bpe const tokenizer(vocabulary, merges);
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}

std::vector<std::string> lines_of(std::filesystem::path const& file) {
    std::ifstream in(file);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

std::string joined(std::vector<std::string> const& lines, std::size_t first, std::size_t last) {
    std::string text;
    for (std::size_t i = first; i <= last; ++i) {
        if (i > first) text += '\n';
        text += lines.at(i - 1);
    }
    return text;
}

}  // namespace

TEST_CASE("no text has no tokens, no tokens have no text") {
    CHECK(small().encode("").empty());
    CHECK(small().decode({}).empty());
}

TEST_CASE("merges run in the order of the file and stay inside a word") {
    CHECK(small().encode("abc") == ids{7});
    CHECK(small().encode("cab") == ids{4, 6});
    CHECK(small().encode("ab ab") == ids{6, 8});
    CHECK(small().encode("a b") == ids{2, 5, 3});
    CHECK(small().size() == 9);
    CHECK(small().end_of_text() == 0);
}

TEST_CASE("<|endoftext|> in a text is the token unless it is asked to be text") {
    CHECK(small().encode("<|endoftext|>") == ids{0});
    CHECK(small().encode("ab<|endoftext|>c<|endoftext|>") == ids{6, 0, 4, 0});
    CHECK_THROWS_WITH_AS((void)small().encode("<|endoftext|>", qtk::special_text::ordinary),
                         R"(the vocabulary has no token for the byte 60 in "<|")",
                         qtk::value_error);
    qtk::byte_level_bpe const without(R"({"a": 0})", "");
    CHECK_FALSE(without.end_of_text().has_value());
    CHECK(without.encode("aa") == ids{0, 0});
}

TEST_CASE("decoding gives the bytes back and refuses unknown ids") {
    CHECK(small().decode(ids{0, 8, 7}) == "<|endoftext|> ababc");
    for (std::int32_t const unknown : {1, 9, -1, 2'000'000'000})
        CHECK_THROWS_AS((void)small().decode(ids{2, unknown}), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)small().decode(ids{2, 9}),
                         "token 1 has the id 9, which the vocabulary of 9 ids does not name",
                         qtk::value_error);
}

TEST_CASE("text that is not UTF-8 names its byte, counted over special tokens") {
    CHECK_THROWS_WITH_AS((void)small().encode("ab<|endoftext|>\xff"),
                         "the text is not UTF-8 at byte 15", qtk::value_error);
}

TEST_CASE("the first line of the merges may be a version, a pair of # signs is a pair") {
    std::string const signs = R"({"#": 0, "##": 1})";
    CHECK(qtk::byte_level_bpe(signs, "# #\n").encode("##") == ids{1});
    CHECK(qtk::byte_level_bpe(signs, "#version: 0.2\n# #").encode("##") == ids{1});
    CHECK(refusal(signs, "# #\n#version: 0.2\n").find("line 2") != std::string::npos);
}

TEST_CASE("a malformed line of the merges is refused with its number and offset") {
    for (char const* line : {"ab", "a b c", " a", "a ", "a  b", "", "a\tb"}) {
        std::string const text = refusal(small_vocabulary, std::string("a b\n") + line + "\nab c");
        CAPTURE(text);
        CHECK(text.starts_with("merges.txt: byte 4: line 2: expected two tokens"));
    }
    CHECK(refusal(small_vocabulary, "a b\r\n").find(R"(no token "b\x0d")") != std::string::npos);
}

TEST_CASE("merges that the vocabulary does not know are refused") {
    CHECK(refusal(small_vocabulary, "a z") ==
          R"(merges.txt: byte 0: line 1: the vocabulary has no token "z". )"
          "Hint: do both files come from one model?");
    CHECK(refusal(small_vocabulary, "a c").find(R"(no token "ac")") != std::string::npos);
    CHECK(refusal(small_vocabulary, "a b\na b")
              .find("line 2: the pair \"a b\" stands here for "
                    "the second time") != std::string::npos);
}

TEST_CASE("a vocabulary with wrong ids or foreign letters is refused") {
    CHECK(refusal("[]", "").find("expected an object") != std::string::npos);
    for (char const* id : {"-1", "1.5", "1e3", "\"1\"", "null", "4194304", "18446744073709551616"})
        CHECK(refusal(std::string(R"({"a": )") + id + "}", "").starts_with("vocab.json: "));
    CHECK(refusal(R"({"a": 3, "b": 3})", "") ==
          R"(vocab.json: the id 3 belongs to both "a" and "b")");
    CHECK(refusal(R"({"a": 1, "a": 2})", "").starts_with("vocab.json"));
    CHECK(refusal(R"({"▁the": 1})", "").find("SentencePiece") != std::string::npos);
    CHECK(refusal(R"({"": 1})", "").starts_with("vocab.json"));
    CHECK(refusal(R"({"a": 1)", "").starts_with("vocab.json"));
    CHECK(refusal(R"({"a": 4194303})", "") == "accepted");
}

TEST_CASE("a folder without the files says which one is missing") {
    auto const empty = std::filesystem::temp_directory_path() / "qtk_bpe_test_no_such_folder";
    try {
        (void)qtk::byte_level_bpe::open(empty);
        FAIL("opened");
    } catch (qtk::system_error const& fault) {
        CHECK(std::string(fault.what()).find("vocab.json") != std::string::npos);
    }
}

TEST_CASE("the embedded tokenizer gives the golden ids in all eleven languages") {
    std::filesystem::path const data = QTK_DATA_DIR;
    std::ifstream file(std::filesystem::path(QTK_GOLDEN_DIR) / "tokens.json");
    auto const golden = nlohmann::json::parse(file);
    REQUIRE(golden.size() == 11);
    auto const tokenizer = qtk::byte_level_bpe::open(data / "polyglot-gpt2");
    CHECK(tokenizer.size() == 4096);
    CHECK(tokenizer.hash() == qtk::byte_level_bpe::open(data / "polyglot-llama").hash());
    CHECK(tokenizer.hash() == "530f4426648cb0929e828a6eca2429f58e4c6a03a5f915f75c65fa76e2a9b08c");
    for (auto const& [language, expected] : golden.items()) {
        CAPTURE(language);
        auto const lines = lines_of(data / "corpus" / (language + ".txt"));
        REQUIRE(lines.size() == 160);
        CHECK(tokenizer.encode(lines[0]) == expected["line_1"].get<ids>());
        CHECK(tokenizer.encode(lines[94]) == expected["line_95"].get<ids>());
        CHECK(tokenizer.encode(joined(lines, 1, 80)).size() + 1 ==
              expected["lines_1_80_with_bos"].get<std::size_t>());
        std::string const later = joined(lines, 81, 160);
        ids const tokens = tokenizer.encode(later);
        CHECK(tokens.size() + 1 == expected["lines_81_160_with_bos"].get<std::size_t>());
        CHECK(tokenizer.decode(tokens) == later);
    }
}
