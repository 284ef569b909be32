// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/corpus.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

// What the lines of a file with this content are.
std::string lines_of(std::string const& content, qtk::line_range lines = qtk::all_lines) {
    qtk_test::temporary_folder const folder;
    std::ofstream(folder.path() / "x.txt", std::ios::binary) << content;
    return qtk::read_lines(folder.path() / "x.txt", lines);
}

}  // namespace

TEST_CASE("an empty file has no lines") {
    CHECK(lines_of("").empty());
    CHECK_THROWS_AS((void)lines_of("", {1, 1}), qtk::io_error);
}

TEST_CASE("lines are joined by one newline, with none at the end") {
    CHECK(lines_of("a\nb\nc\n") == "a\nb\nc");
    CHECK(lines_of("a\nb\nc") == "a\nb\nc");
    CHECK(lines_of("\n") == "");
    CHECK(lines_of("\n\n") == "\n");
    CHECK(lines_of("a\n\nb\n") == "a\n\nb");
}

TEST_CASE("ranges count from 1 and include both ends") {
    CHECK(lines_of("a\nb\nc\n", {1, 1}) == "a");
    CHECK(lines_of("a\nb\nc\n", {2, 3}) == "b\nc");
    CHECK(lines_of("a\nb\nc\n", {3, 3}) == "c");
    CHECK(lines_of("a\nb\nc\n", {2, qtk::line_range::end}) == "b\nc");
    CHECK(lines_of("\nb\n", {1, 1}) == "");
}

TEST_CASE("a file that ends before its range is refused") {
    for (qtk::line_range const range : {qtk::line_range{1, 4}, {4, 4}, {4, qtk::line_range::end}})
        CHECK_THROWS_AS((void)lines_of("a\nb\nc\n", range), qtk::io_error);
    try {
        (void)lines_of("a\n", {1, 80});
        FAIL("accepted");
    } catch (qtk::io_error const& fault) {
        CHECK(std::string(fault.what()).ends_with("expected lines 1 to 80, the file has 1 lines"));
    }
}

TEST_CASE("ranges that run backwards or start at 0 are refused") {
    CHECK_THROWS_WITH_AS((void)lines_of("a\nb\n", {2, 1}),
                         "expected a range of lines that starts at 1 or later and does not run "
                         "backwards, found lines 2 to 1",
                         qtk::value_error);
    CHECK_THROWS_AS((void)lines_of("a\n", {0, 1}), qtk::value_error);
}

TEST_CASE("text that is not UTF-8 is refused at its byte") {
    try {
        (void)lines_of("ab\xff");
        FAIL("accepted");
    } catch (qtk::io_error const& fault) {
        CHECK(fault.offset == 2);
    }
}

TEST_CASE("a missing language says which file is missing") {
    qtk_test::temporary_folder const folder;
    std::ofstream(folder.path() / "en.txt") << "one\n";
    std::ofstream(folder.path() / "de.txt") << "eins\n";
    std::vector<std::string_view> const languages{"en", "xx"};
    try {
        (void)qtk::read_corpus(folder.path(), qtk::all_lines, languages);
        FAIL("accepted");
    } catch (qtk::system_error const& fault) {
        CHECK(std::string(fault.what()).find("xx.txt") != std::string::npos);
        CHECK(std::string(fault.what()).find("hint: the folder has de, en") != std::string::npos);
    }
}

TEST_CASE("the embedded corpus has two halves of eighty lines in eleven languages") {
    std::filesystem::path const folder = std::filesystem::path(QTK_DATA_DIR) / "corpus";
    auto const early = qtk::read_corpus(folder, qtk::calibration_lines);
    auto const late = qtk::read_corpus(folder, qtk::evaluation_lines);
    auto const whole = qtk::read_corpus(folder, qtk::all_lines);
    REQUIRE(whole.size() == 11);
    for (std::size_t i = 0; i < 11; ++i) {
        CHECK(whole[i].language == qtk::corpus_languages[i]);
        CHECK(whole[i].text == early[i].text + "\n" + late[i].text);
        CHECK(std::count(late[i].text.begin(), late[i].text.end(), '\n') == 79);
    }
}

TEST_CASE("tokens of a text follow its BOS") {
    auto const tokenizer =
        qtk::tokenizer::from(qtk::byte_level_bpe(R"({"<|endoftext|>": 0, "a": 1})", ""));
    std::vector<qtk::language_text> const texts{{"x", "aa"}, {"y", ""}};
    auto const with = qtk::tokenize(texts, tokenizer, 0);
    CHECK(with[0].language == "x");
    CHECK(with[0].tokens == std::vector<std::int32_t>{0, 1, 1});
    CHECK(with[1].tokens == std::vector<std::int32_t>{0});
    CHECK(qtk::tokenize(texts, tokenizer, {})[0].tokens == std::vector<std::int32_t>{1, 1});
}
