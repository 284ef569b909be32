// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/perplexity.hpp>
#include <qtk/model/load.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tiny_model.hpp"
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

using ids = std::vector<std::int32_t>;
using qtk::perplexity_protocol;

qtk::decoder loaded(qtk_test::model_folder const& model) {
    qtk_test::temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_decoder(folder.path());
}

// -ln p of each token after the first, from the logits of the whole window, in double precision.
std::vector<double> losses_of(qtk::decoder const& model, ids const& tokens) {
    auto const logits = model.forward(tokens);
    std::vector<double> losses;
    for (std::size_t t = 0; t + 1 < tokens.size(); ++t) {
        double sum = 0.0;
        for (std::size_t i = 0; i < logits.shape()[1]; ++i)
            sum += std::exp(static_cast<double>(logits(t, i)));
        losses.push_back(std::log(sum) -
                         static_cast<double>(logits(t, static_cast<std::size_t>(tokens[t + 1]))));
    }
    return losses;
}

nlohmann::json golden(char const* name) {
    std::ifstream file(std::filesystem::path(QTK_GOLDEN_DIR) / name);
    return nlohmann::json::parse(file);
}

std::vector<qtk::language_tokens> evaluation_tokens(std::filesystem::path const& folder,
                                                    qtk::decoder const& model) {
    auto const texts =
        qtk::read_corpus(std::filesystem::path(QTK_DATA_DIR) / "corpus", qtk::evaluation_lines);
    return qtk::tokenize(texts, qtk::tokenizer::open(folder), model.config().bos);
}

void check_golden(std::string const& name) {
    auto const folder = std::filesystem::path(QTK_DATA_DIR) / name;
    auto const model = qtk::load_decoder(folder);
    auto const losses =
        qtk::evaluate_perplexity(model, evaluation_tokens(folder, model), perplexity_protocol{});
    REQUIRE(losses.size() == 11);

    // The figures have four decimals, that is 2e-6 of the smallest; sums of float roundings add
    // about as much again.
    constexpr double tolerance = 2e-5;
    auto const expected = golden("reference_rtn.json")[name]["fp32"];
    for (qtk::language_loss const& loss : losses) {
        CAPTURE(loss.language);
        double const truth = expected["per_language"][loss.language].get<double>();
        CHECK(std::fabs(loss.perplexity() / truth - 1.0) < tolerance);
        CHECK(loss.windows.size() == 8);
        for (qtk::window_loss const& w : loss.windows) CHECK(w.scored == 255);
    }
    CHECK(std::fabs(qtk::geomean_perplexity(losses) / expected["geomean"].get<double>() - 1.0) <
          tolerance);

    auto const sums = golden("reference_logits.json")[name]["nll_sums_first_8_windows_en"];
    REQUIRE(losses[0].language == "en");
    for (std::size_t w = 0; w < 8; ++w)
        CHECK(std::fabs(losses[0].windows[w].nll / sums[w].get<double>() - 1.0) < tolerance);
}

}  // namespace

TEST_CASE("a protocol that makes no sense, or a text without a window, is refused") {
    ids const tokens(10, 1);
    for (auto const& [window, stride] :
         std::vector<std::pair<std::size_t, std::size_t>>{{0, 0}, {1, 1}, {4, 0}, {4, 5}})
        CHECK_THROWS_AS(
            (void)qtk::windows_of(tokens, {.window = window, .stride = stride, .windows = 0}),
            qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::windows_of(tokens, {.window = 11, .stride = 11}),
                         "perplexity: the text has 10 tokens, fewer than one window of 11",
                         qtk::value_error);
    CHECK_THROWS_AS((void)qtk::windows_of(ids{}, {}), qtk::value_error);
}

TEST_CASE("windows side by side score all but their first token") {
    ids const tokens{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    auto const windows = qtk::windows_of(tokens, {.window = 4, .stride = 4, .windows = 0});
    REQUIRE(windows.size() == 2);  // two tokens at the end are not a window
    CHECK(windows[1].tokens.front() == 4);
    CHECK(windows[1].tokens.size() == 4);
    for (auto const& w : windows) CHECK(w.scored == 3);
    CHECK(qtk::windows_of(tokens, {.window = 4, .stride = 4, .windows = 1}).size() == 1);
    CHECK(qtk::windows_of(tokens, {.window = 4, .stride = 4, .windows = 9}).size() == 2);
    CHECK(qtk::windows_of(tokens, {.window = 10, .stride = 10}).size() == 1);
}

TEST_CASE("overlapping windows score each token once") {
    ids tokens(23);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i);
    for (std::size_t const stride : {1u, 2u, 3u, 5u}) {
        CAPTURE(stride);
        auto const windows = qtk::windows_of(tokens, {.window = 6, .stride = stride, .windows = 0});
        std::int32_t next = 1;  // the very first token has nothing before it
        for (auto const& w : windows)
            for (std::int32_t const token : w.tokens.last(w.scored)) CHECK(token == next++);
        CHECK(static_cast<std::size_t>(next) == 6 + (tokens.size() - 6) / stride * stride);
    }
}

TEST_CASE("a window's loss is the sum over its last tokens") {
    for (auto const& folder : {qtk_test::tiny_gpt2(), qtk_test::tiny_llama()}) {
        auto const model = loaded(folder);
        ids const tokens{3, 1, 4, 1, 5, 9};
        auto const each = losses_of(model, tokens);
        for (std::size_t scored = 1; scored <= 5; ++scored) {
            CAPTURE(scored);
            double truth = 0.0;
            for (std::size_t t = 5 - scored; t < 5; ++t) truth += each[t];
            auto const loss = qtk::loss_of(model, {tokens, scored});
            CHECK(loss.scored == scored);
            // Logits of a tiny model lie within 32 of zero and carry a few of their own roundings.
            CHECK(std::fabs(loss.nll - truth) < static_cast<double>(scored) * 8 * 32.0 * 0x1p-24);
        }
    }
}

TEST_CASE("a vocabulary too wide for one chunk of logits gives the same loss") {
    // 100,003 logits a row: three rows of 2^18 floats at a time, so that six rows take two chunks.
    auto folder = qtk_test::tiny_gpt2();
    folder.config["vocab_size"] = 100'003;
    folder.tensors["transformer.wte.weight"] = {{100'003, 8}, qtk::gaussian_vector(100'003 * 8, 4)};
    auto const model = loaded(folder);
    ids const tokens{3, 99'999, 4, 50'000, 5, 100'002};
    double truth = 0.0;
    for (double const loss : losses_of(model, tokens)) truth += loss;
    CHECK(std::fabs(qtk::loss_of(model, {tokens, 5}).nll - truth) < 5 * 8 * 32.0 * 0x1p-24);
}

TEST_CASE("a model that knows nothing has the perplexity of its vocabulary") {
    auto folder = qtk_test::tiny_gpt2();
    for (float& v : folder.tensors["transformer.ln_f.weight"].values) v = 0.0f;
    for (float& v : folder.tensors["transformer.ln_f.bias"].values) v = 0.0f;
    auto const model = loaded(folder);
    std::vector<qtk::language_tokens> const corpus{{"x", ids(13, 2)}, {"y", {1, 2, 3, 4, 5, 6}}};
    auto const losses =
        qtk::evaluate_perplexity(model, corpus, {.window = 6, .stride = 6, .windows = 0});
    CHECK(losses[0].windows.size() == 2);
    CHECK(losses[1].windows.size() == 1);
    for (auto const& loss : losses)
        CHECK(loss.perplexity() == doctest::Approx(11.0).epsilon(32 * 0x1p-24));
    CHECK(qtk::geomean_perplexity(losses) == doctest::Approx(11.0).epsilon(32 * 0x1p-24));
}

TEST_CASE("perplexities weigh tokens within a language and languages alike") {
    qtk::language_loss const a{"a", {{std::log(2.0) * 10, 10}, {std::log(8.0) * 20, 20}}};
    qtk::language_loss const b{"b", {{std::log(4.0) * 5, 5}}};
    // (10 ln 2 + 20 ln 8) / 30 = (7/3) ln 2
    CHECK(a.perplexity() == doctest::Approx(std::exp2(7.0 / 3)).epsilon(1e-14));
    CHECK(b.perplexity() == doctest::Approx(4.0).epsilon(1e-14));
    std::vector<qtk::language_loss> const both{a, b};
    CHECK(qtk::geomean_perplexity(both) == doctest::Approx(std::exp2(13.0 / 6)).epsilon(1e-14));
    CHECK_THROWS_AS((void)qtk::geomean_perplexity({}), qtk::value_error);
    auto const means = qtk::window_means(both);
    REQUIRE(means.size() == 2);
    CHECK(means[0] == std::vector<double>{std::log(2.0) * 10 / 10, std::log(8.0) * 20 / 20});
    CHECK(means[1].size() == 1);
}

TEST_CASE("a text that is too short is named by its language") {
    auto const model = loaded(qtk_test::tiny_gpt2());
    std::vector<qtk::language_tokens> const corpus{{"en", ids(9, 1)}, {"fr", ids(3, 1)}};
    CHECK_THROWS_WITH_AS((void)qtk::evaluate_perplexity(model, corpus, {.window = 6, .stride = 6}),
                         "fr: perplexity: the text has 3 tokens, fewer than one window of 6",
                         qtk::value_error);
    CHECK_THROWS_AS((void)qtk::evaluate_perplexity(model, corpus, {.window = 7, .stride = 7}),
                    qtk::value_error);
}

TEST_CASE("progress is told once a window") {
    auto const model = loaded(qtk_test::tiny_gpt2());
    std::vector<qtk::language_tokens> const corpus{{"x", ids(24, 1)}, {"y", ids(12, 2)}};
    std::set<std::size_t> told;
    (void)qtk::evaluate_perplexity(model, corpus, {.window = 6, .stride = 6, .windows = 0},
                                   [&](std::size_t done, std::size_t total) {
                                       CHECK(total == 6);
                                       told.insert(done);
                                   });
    CHECK(told == std::set<std::size_t>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("the protocol is one sentence") {
    qtk::perplexity_source const source{.data = "examples/data/corpus",
                                        .lines = qtk::evaluation_lines,
                                        .languages = 11,
                                        .bos = 0,
                                        .tokenizer_hash = "0123456789abcdef0123"};
    CHECK(qtk::describe({}, source) ==
          "Perplexity of examples/data/corpus, lines 81 to 160, 11 languages, the first 8 whole "
          "windows of 256 tokens each, stride 256, 255 predictions scored in each, BOS 0 before "
          "each text, tokenizer sha256 0123456789abcdef.");
    CHECK(qtk::describe({.window = 64, .stride = 16, .windows = 0},
                        {.data = "my.txt", .tokenizer_hash = "ff"}) ==
          "Perplexity of my.txt, 1 language, all whole windows of 64 tokens each, stride 16, 63 "
          "predictions scored in the first and the last 16 in the others, no BOS, tokenizer "
          "sha256 ff.");
}

TEST_CASE("the GPT-2-type model has the golden perplexities in eleven languages") {
    check_golden("polyglot-gpt2");
}

TEST_CASE("the Llama-type model has the golden perplexities in eleven languages") {
    check_golden("polyglot-llama");
}

#if defined(_OPENMP)
TEST_CASE("one thread and several give the same bits") {
    auto const folder = std::filesystem::path(QTK_DATA_DIR) / "polyglot-llama";
    auto model = qtk::load_decoder(folder);
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(64)};
    std::size_t visited = 0;
    model.for_each_linear([&](qtk::linear& layer) {
        if (visited++ % 2 == 0) layer.set_weight(qtk::quantize<w4>(layer.weight()));
    });
    auto const corpus = evaluation_tokens(folder, model);
    perplexity_protocol const short_run{.window = 64, .stride = 64, .windows = 1};
    int const before = omp_get_max_threads();
    std::vector<std::vector<qtk::language_loss>> runs;
    for (int const threads : {1, 2, 3}) {
        omp_set_num_threads(threads);
        runs.push_back(qtk::evaluate_perplexity(model, corpus, short_run));
    }
    omp_set_num_threads(before);
    for (auto const& run : runs)
        for (std::size_t i = 0; i < run.size(); ++i)
            CHECK(run[i].windows[0].nll == runs[0][i].windows[0].nll);
}
#endif
