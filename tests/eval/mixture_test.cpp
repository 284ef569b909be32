// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/mixture.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/layer_format.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tiny_model.hpp"
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

namespace {

/// The modules of the mixture as codes of a format.
qtk::decoder quantized(qtk::decoder model, char const* format, qtk::mixture const& which) {
    qtk::layer_format const how = qtk::parse_layer_format(format);
    for (std::size_t i = 0; i < model.block_count(); ++i) {
        auto const modules = qtk::modules_of(model, i);
        std::size_t at = 0;
        model.for_each_linear_of(i, [&](qtk::linear& layer) {
            bool is_in = false;
            for (std::size_t m = 0; m < modules.size(); ++m)
                is_in = is_in || (modules[m].layer == at && (which[i] >> m & 1u) != 0);
            ++at;
            if (is_in) qtk::apply_format(layer, qtk::weight_matrix(layer.form().floats()), how);
        });
    }
    return model;
}

std::vector<qtk::mixture> one(qtk::mixture const& which) {
    return {which};
}

/// One passage that is all the text.
qtk::passage_window window_of(std::vector<std::int32_t> const& tokens) {
    return {{tokens, tokens.size() - 1}, 0, std::vector<std::uint32_t>(tokens.size() - 1, 0)};
}

struct tiny {
    explicit tiny(qtk_test::model_folder const& files)
        : model([&] {
              qtk_test::temporary_folder const folder;
              files.write(folder.path());
              return qtk::load_decoder(folder.path());
          }()),
          rounded(quantized(model, "i3/g4", qtk::whole_network(model))) {}
    [[nodiscard]] double direct(qtk::mixture const& which) const {
        return qtk::loss_of(quantized(model, "i3/g4", which), window_of(tokens).window).nll;
    }
    [[nodiscard]] std::vector<qtk::linear> prepared() const {
        std::vector<qtk::linear> layers;
        model.for_each_linear([&](qtk::linear const& layer) { layers.push_back(layer); });
        return layers;
    }
    qtk::decoder model, rounded;
    std::vector<std::int32_t> tokens{1, 2, 3, 4, 5, 6};
};

}  // namespace

TEST_CASE("every mixture of blocks is the network that has these blocks, run from its start") {
    for (auto const& files :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        tiny const t(files);
        qtk::mixed_network const both(t.model, t.rounded);
        qtk::mixture const all = qtk::whole_network(t.model);
        std::vector<qtk::mixture> mixtures{all, qtk::mixture(all.size())};
        for (auto const& block : qtk::blocks_of(t.model)) {
            mixtures.push_back(block.modules);
            mixtures.push_back(qtk::without(all, block.modules));
        }
        mixtures.push_back(all);  // twice
        auto const losses = qtk::mixture_losses(both, mixtures, window_of(t.tokens));
        REQUIRE(losses.size() == mixtures.size());
        for (std::size_t m = 0; m < mixtures.size(); ++m) {
            REQUIRE(losses[m].size() == 1);
            CHECK(losses[m][0] == t.direct(mixtures[m]));
        }
        CHECK(losses[0] != losses[1]);
    }
}

TEST_CASE("modules of a block mix too, also the thirds of a fused matrix") {
    for (auto const& files :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        tiny const t(files);
        qtk::mixed_network const both(t.model, t.rounded, t.prepared());
        qtk::mixture const all = qtk::whole_network(t.model);
        for (auto const& layer : qtk::layers_of(t.model))
            for (auto const& which : {layer.modules, qtk::without(all, layer.modules)})
                CHECK(qtk::mixture_losses(both, one(which), window_of(t.tokens))[0][0] ==
                      doctest::Approx(t.direct(which)).epsilon(1e-5));
    }
    // Scales of i3/g4 belong to single rows: a third rounded alone is the third of the whole.
    tiny const t(qtk_test::tiny_gpt2());
    qtk::mixed_network const both(t.model, t.rounded, t.prepared());
    auto const parts = qtk::block_modules_of(t.model);
    for (std::size_t third = 0; third < 3; ++third) {
        qtk::decoder changed = t.model;
        auto const module = qtk::modules_of(t.model, 0)[third];
        std::size_t at = 0;
        changed.for_each_linear_of(0, [&](qtk::linear& layer) {
            if (at++ != 0) return;
            qtk::matrix weight = layer.form().floats();
            qtk::matrix rounded;
            t.rounded.visit_block(0, [&](auto const& block) {
                std::size_t i = 0;
                block.for_each_linear([&](qtk::linear const& l) {
                    if (i++ == 0) rounded = l.form().floats();
                });
            });
            for (std::size_t r = module.first_row; r < module.first_row + module.rows; ++r)
                std::ranges::copy(rounded.view().row(r), weight.view().row(r).begin());
            layer.set_weight(std::move(weight));
        });
        double const direct = qtk::loss_of(changed, window_of(t.tokens).window).nll;
        double const mixed =
            qtk::mixture_losses(both, one(parts[third].modules), window_of(t.tokens))[0][0];
        CHECK(mixed == doctest::Approx(direct).epsilon(1e-6));
        CHECK(mixed !=
              doctest::Approx(t.direct(qtk::mixture(t.model.block_count()))).epsilon(1e-9));
    }
}

TEST_CASE("losses are told apart by passage and add up to the window's") {
    tiny const t(qtk_test::tiny_llama());
    qtk::mixed_network const both(t.model, t.rounded);
    qtk::passage_window text = window_of(t.tokens);
    text.place = {0, 0, 1, 1, 2};
    auto const losses = qtk::mixture_losses(both, one(qtk::whole_network(t.model)), text)[0];
    REQUIRE(losses.size() == 3);
    CHECK(std::accumulate(losses.begin(), losses.end(), 0.0) ==
          doctest::Approx(t.direct(qtk::whole_network(t.model))).epsilon(1e-12));
}

TEST_CASE("what cannot be mixed is refused") {
    tiny const a(qtk_test::tiny_gpt2());
    qtk::mixed_network const both(a.model, a.rounded);
    auto const window = window_of(a.tokens);
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::mixture_losses(both, one({1, 0}), window)),
                         doctest::Contains("were not prepared"), qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::mixture_losses(both, one({1}), window)),
                    qtk::shape_error);
    CHECK_THROWS_AS(qtk::mixed_network(a.model, a.rounded, {qtk::linear()}), qtk::shape_error);
    qtk::decoder const int8 = quantized(a.model, "i8/channel@a8", qtk::whole_network(a.model));
    qtk::mixed_network const rounds(a.model, int8, a.prepared());
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::mixture_losses(rounds, one({1, 0}), window)),
                         doctest::Contains("cannot be quantized apart"), qtk::value_error);
}

TEST_CASE("the embedded models' sweeps are those of an independent program, within 1 %") {
    std::ifstream file(std::filesystem::path(QTK_GOLDEN_DIR) / "reference_sweep.json");
    auto const golden = nlohmann::json::parse(file);
    for (char const* const name : {"polyglot-gpt2", "polyglot-llama"}) {
        CAPTURE(name);
        auto const folder = std::filesystem::path(QTK_DATA_DIR) / name;
        auto const model = qtk::load_decoder(folder);
        auto const all = qtk::whole_network(model);
        auto const blocks = qtk::blocks_of(model);
        auto const tokenizer = qtk::tokenizer::open(folder);
        // Two languages of eleven: the whole table is `quant-fairness sweep`.
        std::vector<std::string_view> const languages{"en", "ar"};
        auto const texts = qtk::read_corpus(std::filesystem::path(QTK_DATA_DIR) / "corpus",
                                            qtk::evaluation_lines, languages);
        auto const check = [&](char const* format, nlohmann::json const& rows, bool protects) {
            qtk::decoder const rounded = quantized(model, format, all);
            qtk::mixed_network const both(model, rounded);
            std::vector<qtk::mixture> mixtures;
            for (auto const& row : rows) {
                int const layer = row["layer"];
                qtk::mixture only(all.size());
                if (layer >= 0) only = blocks[static_cast<std::size_t>(layer)].modules;
                mixtures.push_back(protects ? qtk::without(all, only) : only);
            }
            for (qtk::language_text const& text : texts) {
                auto const tokens = qtk::tokens_of_passages(text, tokenizer, model.config().bos);
                std::vector<double> nll(mixtures.size());
                auto const windows = qtk::passage_windows(tokens, {});
                for (auto const& window : windows) {
                    auto const losses = qtk::mixture_losses(both, mixtures, window);
                    for (std::size_t m = 0; m < nll.size(); ++m)
                        nll[m] += std::accumulate(losses[m].begin(), losses[m].end(), 0.0);
                }
                auto const scored = static_cast<double>(windows.size() * 255);
                for (std::size_t m = 0; m < nll.size(); ++m)
                    CHECK(std::exp(nll[m] / scored) ==
                          doctest::Approx(rows[m]["per_language"][text.language].get<double>())
                              .epsilon(0.01));
            }
        };
        check("i3/channel", golden[name]["sweep_w3_channel_sym_protect"], true);
        check("i2/channel", golden[name]["sweep_w2_channel_sym_only"], false);
    }
}
