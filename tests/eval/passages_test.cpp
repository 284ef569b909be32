// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/passages.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace {

/// Pieces a, b, newline and "b\na": a token may begin in one passage and end in the next.
qtk::tokenizer small_tokenizer() {
    return qtk::tokenizer::from(qtk::byte_level_bpe(
        R"({"<|endoftext|>": 0, "a": 1, "b": 2, "\u010a": 3, "aa": 4})", "a a\n"));
}

}  // namespace

TEST_CASE("a token belongs to the line of its first byte, and a newline to the line that it ends") {
    auto const found = qtk::tokens_of_passages({"x", "aab\nba\nb"}, small_tokenizer(), 0);
    CHECK(found.text.tokens == std::vector<std::int32_t>{0, 4, 2, 3, 2, 1, 3, 2});
    CHECK(found.passage == std::vector<std::uint32_t>{0, 0, 0, 0, 1, 1, 1, 2});
    CHECK(found.bytes == std::vector<std::uint32_t>{0, 2, 1, 1, 1, 1, 1, 1});
    CHECK(found.passages == 3);
    CHECK(qtk::tokens_of_passages({"x", "a\n"}, small_tokenizer(), {}).passages == 1);
    CHECK(qtk::tokens_of_passages({"x", ""}, small_tokenizer(), {}).passages == 0);
}

TEST_CASE("the bytes of the embedded corpus's passages are those of its lines") {
    auto const folder = std::filesystem::path(QTK_DATA_DIR);
    auto const tokenizer = qtk::tokenizer::open(folder / "polyglot-llama");
    std::vector<std::string_view> const languages{"en", "ar", "zh"};
    for (auto const& text : qtk::read_corpus(folder / "corpus", qtk::evaluation_lines, languages)) {
        auto const found = qtk::tokens_of_passages(text, tokenizer, 0);
        CHECK(found.passages == 80);
        std::vector<std::size_t> bytes(80), tokens(80);
        for (std::size_t i = 0; i < found.passage.size(); ++i)
            bytes[found.passage[i]] += found.bytes[i];
        std::size_t at = 0;
        for (std::size_t line = 0; line < 80; ++line) {
            std::size_t const end = std::min(text.text.find('\n', at), text.text.size() - 1);
            // A piece that spans a newline would shift bytes to the line before.
            CHECK(bytes[line] == end + 1 - at);
            at = end + 1;
        }
        auto const windows = qtk::passage_windows(found, {.windows = 0});
        std::size_t scored = 0;
        for (auto const& size : qtk::sizes_of(found, windows)) scored += size.tokens;
        CHECK(scored == windows.size() * 255);
    }
}

TEST_CASE("windows know the passages of what they score") {
    auto const text = qtk::tokens_of_passages({"x", "aab\nba\nb"}, small_tokenizer(), 0);
    auto const windows =
        qtk::passage_windows(text, {.window = 4, .stride = 2, .windows = 0});  // 0-3, 2-5, 4-7
    REQUIRE(windows.size() == 3);
    CHECK(windows[0].window.scored == 3);
    CHECK(windows[0].place == std::vector<std::uint32_t>{0, 0, 0});
    CHECK(windows[1].first == 1);
    CHECK(windows[1].place == std::vector<std::uint32_t>{0, 0});
    CHECK(windows[2].first == 1);
    CHECK(windows[2].place == std::vector<std::uint32_t>{0, 1});
    CHECK(windows[2].passages() == 2);
    auto const sizes = qtk::sizes_of(text, windows);
    CHECK(sizes[0].tokens == 3);
    CHECK(sizes[0].bytes == 4);
    CHECK(sizes[1].tokens == 3);
    CHECK(sizes[2].bytes == 1);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::passage_windows(text, {.window = 64, .stride = 64})),
        "x: perplexity: the text has 8 tokens, fewer than one window of 64", qtk::value_error);
}
