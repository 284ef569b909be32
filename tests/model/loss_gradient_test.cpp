// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/load.hpp>
#include <qtk/model/loss_gradient.hpp>

#include <doctest/doctest.h>

#include "gradients.hpp"
#include "random_blocks.hpp"
#include "threads.hpp"
#include <cmath>
#include <vector>

namespace {

std::vector<std::int32_t> const tokens{3, 1, 4, 1, 5, 9};

qtk::decoder tiny(qtk::architecture family) {
    qtk_test::gaussian_reader reader(7);
    auto config = qtk_test::tiny_config(family);
    if (family != qtk::architecture::llama) config.act = qtk::activation::gelu_erf;
    return qtk::detail::build_decoder(reader, config);
}

/// The loss if the stream in front of block i is x.
double loss_from(qtk::decoder const& model, std::size_t i, qtk::matrix x) {
    for (; i < model.block_count(); ++i) model.run_block(i, x.view());
    model.last_norm().apply(x.view(), x.view());
    qtk::matrix logits(x.rows(), model.config().vocabulary);
    model.project(x.view(), logits.view());
    double loss = 0.0;
    for (std::size_t t = 0; t + 1 < tokens.size(); ++t) {
        double sum = 0.0;
        for (float const v : logits.view().row(t)) sum += std::exp(static_cast<double>(v));
        loss +=
            std::log(sum) - static_cast<double>(logits(t, static_cast<std::size_t>(tokens[t + 1])));
    }
    return loss / static_cast<double>(tokens.size() - 1);
}

}  // namespace

TEST_CASE("the gradients by the whole stream agree with differences, in every family") {
    for (auto const family :
         {qtk::architecture::gpt2, qtk::architecture::llama, qtk::architecture::opt}) {
        qtk::decoder const model = tiny(family);
        auto const found = qtk::loss_gradients(model, tokens);
        REQUIRE(found.by_stream.size() == 3);
        qtk::matrix x = model.embed(tokens);
        CHECK(found.loss == doctest::Approx(loss_from(model, 0, x)).epsilon(1e-5));
        for (std::size_t i = 0; i < 3; ++i) {
            qtk_test::check_gradient(
                x.view().flat(), found.by_stream[i].view().flat(),
                [&] { return loss_from(model, i, x); }, 2e-2);
            if (i < 2) model.run_block(i, x.view());
        }
    }
}

TEST_CASE("a head with biases is the head that the loss is computed with") {
    qtk::decoder model = tiny(qtk::architecture::gpt2);
    model.set_head(qtk::linear("lm_head", model.head().floats(), qtk::gaussian_vector(11, 3)));
    auto const found = qtk::loss_gradients(model, tokens);
    qtk::matrix x = model.embed(tokens);
    CHECK(found.loss == doctest::Approx(loss_from(model, 0, x)).epsilon(1e-5));
    qtk_test::check_gradient(
        x.view().flat(), found.by_stream[0].view().flat(), [&] { return loss_from(model, 0, x); },
        2e-2);
}

TEST_CASE("the gradient of the last token is zero where it predicts nothing") {
    auto const found = qtk::loss_gradients(tiny(qtk::architecture::llama), tokens);
    for (float const g : found.by_stream[2].view().row(5)) CHECK(g == 0.0f);
}

TEST_CASE("one token predicts nothing and is refused") {
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::loss_gradients(tiny(qtk::architecture::gpt2), {tokens.data(), 1})),
        "loss gradients: expected a window of 2 tokens or more, found 1", qtk::value_error);
}

TEST_CASE("gradients of the loss do not depend on the number of threads") {
    qtk::decoder const model = tiny(qtk::architecture::gpt2);
    qtk_test::same_for_any_threads([&] { return qtk::loss_gradients(model, tokens).by_stream; });
}
