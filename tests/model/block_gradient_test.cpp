// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/block_gradient.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "gradients.hpp"
#include "random_blocks.hpp"
#include <memory>
#include <vector>

namespace {

using qtk::activation;
using qtk::architecture;
using qtk_test::random_matrix;
using qtk_test::tiny_config;

constexpr std::size_t tokens = 5;

/// The weights of a layer as they are, to be changed in place by the test.
template <typename B>
std::vector<qtk::matrix> weights_of(B const& block) {
    std::vector<qtk::matrix> all;
    block.for_each_linear([&](qtk::linear const& layer) { all.push_back(layer.form().floats()); });
    return all;
}

template <typename B>
void check_block(B block) {
    qtk::matrix x = random_matrix(tokens, 8, 21);
    qtk::matrix const c = random_matrix(tokens, 8, 22);
    std::vector<qtk::matrix> weights = weights_of(block), by = qtk::zero_gradients(block);
    qtk::block_tape const tape(block, x.view());
    qtk::matrix const by_input = tape.backward(c.view(), by);
    REQUIRE(by.size() == weights.size());

    qtk::matrix y = x;
    block.forward(y.view());
    CHECK(tape.output() == y);  // the same run, bit for bit

    auto const loss = [&] {
        std::size_t i = 0;
        block.for_each_linear([&](qtk::linear& layer) { layer.set_weight(weights[i++]); });
        qtk::matrix out = x;
        block.forward(out.view());
        return qtk_test::weighted_sum(c.view(), out.view());
    };
    for (std::size_t i = 0; i < weights.size(); ++i)
        qtk_test::check_gradient(weights[i].view().flat(), by[i].view().flat(), loss, 1e-2);
    qtk_test::check_gradient(x.view().flat(), by_input.view().flat(), loss, 1e-2);
}

}  // namespace

TEST_CASE("the gradients of a GPT-2 block agree with differences, for every smooth activation") {
    auto config = tiny_config(architecture::gpt2);
    for (auto const act : {activation::gelu_tanh, activation::gelu_erf, activation::silu}) {
        config.act = act;
        check_block(qtk_test::random_block<qtk::gpt2_block>(config));
    }
}

TEST_CASE("those of a Llama block: shared keys, both kinds of pairs, biases, a window") {
    auto config = tiny_config(architecture::llama);
    check_block(qtk_test::random_block<qtk::llama_block>(config));
    config.pairs = qtk::rope_pairs::neighbours;
    config.has_attention_bias = config.has_output_bias = config.has_mlp_bias = true;
    config.window = 3;
    check_block(qtk_test::random_block<qtk::llama_block>(config));
}

TEST_CASE("those of an OPT block, with norms before the parts and after them") {
    auto config = tiny_config(architecture::opt);
    config.act = activation::gelu_erf;  // relu has a kink that differences may step over
    check_block(qtk_test::random_block<qtk::opt_block>(config));
    config.normalizes_first = false;
    check_block(qtk_test::random_block<qtk::opt_block>(config));
}

TEST_CASE("a layer behind an input transform has the gradient of the weight that it holds") {
    auto block = qtk_test::random_block<qtk::llama_block>(tiny_config(architecture::llama));
    block.for_each_linear([&](qtk::linear& layer) {
        std::vector<float> factors(layer.in(), 1.0f);
        factors[1] = 2.0f, factors[2] = -0.5f;
        std::vector<std::uint32_t> order(layer.in());
        for (std::size_t i = 0; i < order.size(); ++i)
            order[i] = static_cast<std::uint32_t>((i + 3) % order.size());
        layer.set_input(std::make_shared<qtk::input_transform const>(
            layer.in(),
            qtk::input_transform::parts{
                factors, order, layer.in() == 8 ? std::optional(qtk::hadamard(8)) : std::nullopt}));
    });
    check_block(block);
}

TEST_CASE("without a place for gradients of weights, the input's is the same") {
    auto const block = qtk_test::random_block<qtk::gpt2_block>(tiny_config(architecture::gpt2));
    qtk::matrix const x = random_matrix(tokens, 8, 23), c = random_matrix(tokens, 8, 24);
    qtk::block_tape const tape(block, x.view());
    auto by = qtk::zero_gradients(block);
    CHECK(tape.backward(c.view(), by) == tape.backward(c.view(), {}));
    auto twice = by;
    static_cast<void>(tape.backward(c.view(), twice));
    CHECK(twice[3](2, 5) == doctest::Approx(2.0f * by[3](2, 5)));
}

TEST_CASE("a block whose weights are codes has the gradient of what they decode to") {
    auto block = qtk_test::random_block<qtk::opt_block>(tiny_config(architecture::opt));
    qtk::matrix const x = random_matrix(tokens, 8, 25), c = random_matrix(tokens, 8, 26);
    auto decoded = block;
    auto const each = [](auto& b, auto const& f) { b.for_each_linear(f); };
    each(block, [](qtk::linear& layer) {
        layer.set_weight(qtk::any_qmatrix(
            qtk::quantize<qtk::scheme{.element = qtk::i8}>(layer.form().floats())));
    });
    std::vector<qtk::matrix> floats = weights_of(block);
    std::size_t i = 0;
    each(decoded, [&](qtk::linear& layer) { layer.set_weight(floats[i++]); });
    qtk::matrix const by_codes = qtk::block_tape(block, x.view()).backward(c.view(), {});
    qtk::matrix const by_floats = qtk::block_tape(decoded, x.view()).backward(c.view(), {});
    for (std::size_t k = 0; k < by_codes.view().size(); ++k)
        CHECK(by_codes.data()[k] == doctest::Approx(by_floats.data()[k]).epsilon(1e-4));
}
