// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/decoder.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/io/npy.hpp>
#include <qtk/model/load.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tiny_model.hpp"
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;

qtk::decoder loaded(qtk_test::model_folder const& model) {
    qtk_test::temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_decoder(folder.path());
}

double largest_difference(qtk::tensor<2> const& a, qtk::tensor<2> const& b) {
    double worst = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
        worst = std::max(
            worst, std::fabs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
    return worst;
}

constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(32)};

}  // namespace

TEST_CASE("no tokens have no logits, one token has a row") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const model = loaded(folder);
        CHECK(model.forward(ids{}).shape()[0] == 0);
        CHECK(model.forward(ids{4}).shape()[0] == 1);
        CHECK(model.forward(ids{4}).shape()[1] == 11);
    }
}

TEST_CASE("windows beyond the context and unknown tokens are refused") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const model = loaded(folder);
        CHECK(model.forward(ids(6, 1)).shape()[0] == 6);
        CHECK_THROWS_WITH_AS((void)model.forward(ids(7, 1)),
                             "a window of 7 tokens does not fit the model's context of 6",
                             qtk::value_error);
        CHECK_THROWS_AS((void)model.forward(ids{1, 11}), qtk::value_error);
        CHECK_THROWS_AS((void)model.forward(ids{-1}), qtk::value_error);
    }
}

TEST_CASE("a token's logits do not depend on what follows it") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const model = loaded(folder);
        auto const a = model.forward(ids{3, 1, 4, 1, 5}), b = model.forward(ids{3, 1, 4, 9, 2});
        for (std::size_t i = 0; i < 3 * 11; ++i) CHECK(a.data()[i] == b.data()[i]);
        CHECK(a(3, 0) != b(3, 0));
    }
}

TEST_CASE("the position of a token matters") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const logits = loaded(folder).forward(ids{2, 7, 7, 7});
        CHECK(logits(2, 0) != logits(3, 0));
    }
}

TEST_CASE("blocks run one by one give what forward gives") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const model = loaded(folder);
        ids const tokens{3, 1, 4, 1, 5};
        auto x = model.embed(tokens);
        for (std::size_t i = 0; i < model.block_count(); ++i) model.run_block(i, x.view());
        auto const whole = model.hidden(tokens);
        CHECK(whole.shape() == x.shape());
        CHECK(whole != x);  // the last normalization is not a block's
        qtk::tensor<2> logits = qtk::tensor<2>::from_shape({5, 11});
        model.project(whole.view(), {logits.data(), 5, 11});
        CHECK(logits == model.forward(tokens));
    }
}

TEST_CASE("tokens that are read one after the other give what one window gives") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const model = loaded(folder);
        ids const tokens{3, 1, 4, 1, 5, 9};
        auto const expected = model.forward(tokens);
        for (auto const storage : {qtk::kv_storage::f32, qtk::kv_storage::i8}) {
            qtk::kv_cache past(model.config(), 6, storage);
            // Codes are off by 1/254 of the largest value of a head; scores and two blocks pass
            // that on.
            float const largest = *std::max_element(expected.data(), expected.data() + 6 * 11);
            float const bound = storage == qtk::kv_storage::f32 ? 1e-4f : 20.0f / 254.0f * largest;
            std::size_t done = 0;
            for (std::size_t const count : {std::size_t{3}, std::size_t{1}, std::size_t{2}}) {
                auto const logits = model.next_logits(std::span(tokens).subspan(done, count), past);
                done += count;
                CHECK(past.length() == done);
                for (std::size_t i = 0; i < logits.size(); ++i)
                    CHECK(std::fabs(logits[i] - expected(done - 1, i)) < bound);
            }
            CHECK_THROWS_WITH_AS((void)model.next_logits(ids{1}, past),
                                 "6 tokens and 1 more do not fit the context of 6",
                                 qtk::value_error);
            CHECK_THROWS_AS((void)model.next_logits(ids{}, past), qtk::value_error);
            past.shorten(4);
            CHECK_THROWS_AS((void)model.next_logits(ids{11}, past), qtk::value_error);
            CHECK(past.length() == 4);
        }
    }
}

TEST_CASE("an observer sees every layer once, with the input that it is applied to") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        auto const model = loaded(folder);
        std::vector<std::string> seen, expected;
        model.for_each_linear([&](qtk::linear const& layer) { expected.push_back(layer.name()); });
        auto x = model.embed(ids{3, 1, 4});
        auto quiet = x;
        for (std::size_t i = 0; i < model.block_count(); ++i) {
            model.run_block(i, x.view(), [&](qtk::linear const& layer, auto const& input) {
                seen.push_back(layer.name());
                CHECK(input.rows == 3);
                CHECK(input.cols == layer.in());
            });
            model.run_block(i, quiet.view());
        }
        CHECK(seen == expected);
        CHECK(x == quiet);
    }
}

TEST_CASE("calls from several threads at once get what one call gets") {
    for (auto const& folder :
         {qtk_test::tiny_gpt2(), qtk_test::tiny_llama(), qtk_test::tiny_opt()}) {
        ids const window{3, 1, 4, 1, 5, 9};
        auto const expected = loaded(folder).forward(window);
        auto const model = loaded(folder);  // has not met a window yet
        std::array<qtk::tensor<2>, 4> found;
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < found.size(); ++i)
            threads.emplace_back([&, i] {
                // Windows of different lengths first, so that tables grow side by side.
                for (std::size_t length = i + 1; length <= window.size(); ++length)
                    found[i] = model.forward(
                        ids(window.begin(), window.begin() + static_cast<std::ptrdiff_t>(length)));
            });
        for (auto& thread : threads) thread.join();
        for (auto const& logits : found) CHECK(logits == expected);
    }
}

TEST_CASE("logits match an independent implementation") {
    std::filesystem::path const data = QTK_DATA_DIR, golden = QTK_GOLDEN_DIR;
    std::ifstream file(golden / "reference_logits.json");
    auto const reference = nlohmann::json::parse(file);
    for (std::string const name : {"polyglot-gpt2", "polyglot-llama"}) {
        CAPTURE(name);
        auto const tokens = reference[name]["ids"].get<ids>();
        auto const logits = qtk::load_decoder(data / name).forward(tokens);
        auto const expected = qtk::npy_file::open(golden / (name + "_logits.npy"));
        REQUIRE(expected.header().shape == std::vector<std::uint64_t>{64, 4096});
        REQUIRE(logits.shape()[0] == 64);
        REQUIRE(logits.shape()[1] == 4096);
        auto const values = expected.floats();
        double worst = 0.0;
        for (std::size_t i = 0; i < values.size(); ++i)
            worst = std::max(worst, std::fabs(static_cast<double>(logits.data()[i]) -
                                              static_cast<double>(values[i])));
        // Logits lie within 32 of zero; some hundred roundings of that size follow one another on
        // the way through twelve blocks.
        CHECK(worst < 100 * 32.0 * 0x1p-24);
    }
}

TEST_CASE("simulated and real quantization of a whole model agree") {
    std::filesystem::path const data = QTK_DATA_DIR;
    for (std::string const name : {"polyglot-gpt2", "polyglot-llama"}) {
        CAPTURE(name);
        auto fake = qtk::load_decoder(data / name);
        auto const original = fake.forward(ids{0, 45, 2151, 3474});
        auto real = fake;
        fake.for_each_linear(
            [](qtk::linear& layer) { layer.set_weight(qtk::fake_quantize<w4>(layer.weight())); });
        real.for_each_linear(
            [](qtk::linear& layer) { layer.set_weight(qtk::quantize<w4>(layer.weight())); });
        for (ids const& tokens : {ids{0, 45, 2151, 3474}, ids{0}}) {
            auto const a = fake.forward(tokens), b = real.forward(tokens);
            CHECK(largest_difference(a, b) < 100 * 32.0 * 0x1p-24);
            if (tokens.size() > 1) CHECK(largest_difference(a, original) > 0.1);
        }
    }
}
