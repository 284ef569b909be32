// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/layer_sweep.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/layer_format.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tiny_model.hpp"
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

/// All layers of the blocks as codes, or those of the blocks that are marked.
qtk::decoder quantized(qtk::decoder model, char const* format,
                       std::vector<bool> const& marks = {}) {
    qtk::layer_format const how = qtk::parse_layer_format(format);
    for (std::size_t i = 0; i < model.block_count(); ++i)
        if (marks.empty() || marks[i])
            model.for_each_linear_of(i, [&](qtk::linear& layer) {
                qtk::apply_format(layer, qtk::weight_matrix(layer.form().floats()), how);
            });
    return model;
}

std::vector<double> sums_of(std::vector<qtk::language_loss> const& losses) {
    std::vector<double> sums;
    for (auto const& language : losses)
        for (auto const& w : language.windows) sums.push_back(w.nll);
    return sums;
}

struct tiny {
    explicit tiny(qtk_test::model_folder const& files)
        : model([&] {
              qtk_test::temporary_folder const folder;
              files.write(folder.path());
              return qtk::load_decoder(folder.path());
          }()) {}
    qtk::decoder model;
    std::vector<qtk::language_tokens> corpus{{"a", {1, 2, 3, 4, 5, 6, 7, 8, 9}},
                                             {"b", {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1}}};
    qtk::perplexity_protocol protocol{.window = 4, .stride = 3, .windows = 0};
};

}  // namespace

TEST_CASE("every mixture is the network that has these blocks, run from its start") {
    for (auto const& files :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        tiny const t(files);
        auto const rounded = quantized(t.model, "i3/g4");
        auto const swept = qtk::sweep_layers(t.model, rounded, t.corpus, t.protocol);
        auto const direct = [&](std::vector<bool> const& marks) {
            return sums_of(
                qtk::evaluate_perplexity(quantized(t.model, "i3/g4", marks), t.corpus, t.protocol));
        };
        std::size_t const n = t.model.block_count();
        REQUIRE(swept.only.size() == n);
        CHECK(sums_of(swept.original) == direct(std::vector<bool>(n, false)));
        CHECK(sums_of(swept.quantized) == direct(std::vector<bool>(n, true)));
        CHECK(sums_of(swept.original) != sums_of(swept.quantized));
        for (std::size_t i = 0; i < n; ++i) {
            std::vector<bool> only(n, false), kept(n, true);
            only[i] = true;
            kept[i] = false;
            CHECK(sums_of(swept.only[i]) == direct(only));
            CHECK(sums_of(swept.kept[i]) == direct(kept));
            CHECK(sums_of(qtk::evaluate_mixture(t.model, rounded, kept, t.corpus, t.protocol)) ==
                  direct(kept));
        }
        CHECK(swept.only[0][1].language == "b");
        CHECK(swept.only[0][1].windows[0].scored == 3);
    }
}

TEST_CASE("networks of two shapes, and marks for other blocks, are refused") {
    tiny const a(qtk_test::tiny_gpt2());
    qtk_test::temporary_folder const folder;
    qtk_test::tiny_llama().write(folder.path());
    auto const b = qtk::load_decoder(folder.path());
    if (a.model.config().width != b.config().width)
        CHECK_THROWS_AS(static_cast<void>(qtk::sweep_layers(a.model, b, a.corpus, a.protocol)),
                        qtk::shape_error);
    CHECK_THROWS_AS(
        static_cast<void>(qtk::evaluate_mixture(a.model, a.model, {true}, a.corpus, a.protocol)),
        qtk::shape_error);
}

TEST_CASE("the embedded models' sweeps are those of an independent program, within 1 %") {
    std::ifstream file(std::filesystem::path(QTK_GOLDEN_DIR) / "reference_sweep.json");
    auto const golden = nlohmann::json::parse(file);
    for (char const* const name : {"polyglot-gpt2", "polyglot-llama"}) {
        CAPTURE(name);
        auto const folder = std::filesystem::path(QTK_DATA_DIR) / name;
        auto const model = qtk::load_decoder(folder);
        // Two languages of eleven: the whole table is `quant-fairness sweep`.
        std::vector<std::string_view> const languages{"en", "ar"};
        auto const texts = qtk::read_corpus(std::filesystem::path(QTK_DATA_DIR) / "corpus",
                                            qtk::evaluation_lines, languages);
        auto const corpus = qtk::tokenize(texts, qtk::tokenizer::open(folder), model.config().bos);
        auto const check = [&](std::vector<qtk::language_loss> const& losses,
                               nlohmann::json const& row) {
            for (auto const& loss : losses)
                CHECK(loss.perplexity() ==
                      doctest::Approx(row["per_language"][loss.language].get<double>())
                          .epsilon(0.01));
        };
        auto const& rows = golden[name];
        auto const w3 = qtk::sweep_layers(model, quantized(model, "i3/channel"), corpus, {});
        auto const w2 = qtk::sweep_layers(model, quantized(model, "i2/channel"), corpus, {});
        for (auto const& row : rows["sweep_w3_channel_sym_protect"]) {
            int const layer = row["layer"];
            check(layer < 0 ? w3.quantized : w3.kept[static_cast<std::size_t>(layer)], row);
        }
        for (auto const& row : rows["sweep_w2_channel_sym_only"]) {
            int const layer = row["layer"];
            check(layer < 0 ? w2.original : w2.only[static_cast<std::size_t>(layer)], row);
        }
    }
}
