// SPDX-License-Identifier: Apache-2.0
//
// Whole networks against the logits of an independent implementation: tests/golden/README.md says
// how they were made.
#include <qtk/core/matrix_view.hpp>
#include <qtk/io/npy.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;

constexpr char const* names[] = {
    "gpt2-untied", "llama-linear-scaling", "llama3-scaling", "mistral-window",
    "opt",         "opt-post-norm",        "qwen2",          "qwen2-window"};
constexpr std::size_t tokens_of_text = 40, vocabulary = 96;

struct golden {
    qtk::decoder model;
    ids tokens;
    std::vector<float> logits;

    explicit golden(std::string const& name)
        : model(qtk::load_decoder(folder() / name)),
          tokens(nlohmann::json::parse(std::ifstream(folder() / name / "tokens.json")).get<ids>()),
          logits(qtk::npy_file::open(folder() / name / "logits.npy").floats()) {}

    static std::filesystem::path folder() {
        return std::filesystem::path(QTK_GOLDEN_DIR) / "architectures";
    }

    /// The largest distance from the expected logits of the tokens from `first` on, relative to the
    /// largest of all.
    [[nodiscard]] double error(qtk::matrix_view<float const> found, std::size_t first) const {
        double worst = 0.0, largest = 0.0;
        for (float const v : logits) largest = std::max(largest, std::fabs(static_cast<double>(v)));
        for (std::size_t t = 0; t < found.rows; ++t)
            for (std::size_t i = 0; i < vocabulary; ++i)
                worst = std::max(
                    worst, std::fabs(static_cast<double>(found(t, i)) -
                                     static_cast<double>(logits[(first + t) * vocabulary + i])));
        return worst / largest;
    }

    /// The error of reading the text in pieces through a cache.
    [[nodiscard]] double error_in_pieces(std::vector<std::size_t> const& pieces,
                                         qtk::kv_storage storage) const {
        qtk::kv_cache past(model.config(), tokens_of_text, storage);
        double worst = 0.0;
        for (std::size_t const count : pieces) {
            std::size_t const first = past.length();
            qtk::matrix const x = model.advance(std::span(tokens).subspan(first, count), past);
            qtk::matrix found(count, vocabulary);
            model.project(x.view(), found.view());
            worst = std::max(worst, error(found.view(), first));
        }
        REQUIRE(past.length() == tokens_of_text);
        return worst;
    }
};

// Two blocks of seven steps, and the head, with sums of at most 48 terms and some ten roundings in
// an activation or softmax: errors of 2^-24 each that do not cancel, and the reference computes
// angles in float32, 40 * 2^-24 off at the end of the text.
constexpr double tolerance = 2 * 7 * (48 + 10 + 40) * 0x1p-24;  // 8e-5

}  // namespace

TEST_CASE("the logits of every architecture match an independent implementation") {
    for (std::string const name : names) {
        CAPTURE(name);
        golden const g(name);
        REQUIRE(g.tokens.size() == tokens_of_text);
        REQUIRE(g.logits.size() == tokens_of_text * vocabulary);
        auto const logits = g.model.forward(g.tokens);
        CHECK(g.error({logits.data(), tokens_of_text, vocabulary}, 0) < tolerance);
    }
}

TEST_CASE("they match token by token, in two pieces, and in pieces of any length") {
    for (std::string const name : names) {
        CAPTURE(name);
        golden const g(name);
        using sizes = std::vector<std::size_t>;
        for (sizes const& pieces : {sizes(40, 1), sizes{17, 23}, sizes{5, 1, 1, 9, 2, 1, 21}})
            CHECK(g.error_in_pieces(pieces, qtk::kv_storage::f32) < tolerance);
    }
}

TEST_CASE("with a cache of int8 they stay near") {
    for (std::string const name : names) {
        CAPTURE(name);
        golden const g(name);
        using sizes = std::vector<std::size_t>;
        for (sizes const& pieces : {sizes(40, 1), sizes{17, 23}}) {
            double const error = g.error_in_pieces(pieces, qtk::kv_storage::i8);
            // Codes are off by at most 1/254 of the largest value of a head; scores of a few units
            // and a mean of values pass that on, through two blocks.
            CHECK(error < 10.0 / 254.0);
            CHECK(error > tolerance);
        }
    }
}

TEST_CASE("the tokens that begin and end a text are known") {
    CHECK(golden("opt").model.config().bos == 1);
    CHECK(golden("opt").model.config().eos == ids{2});
    CHECK(golden("qwen2").model.config().eos == ids{2, 5});
}
