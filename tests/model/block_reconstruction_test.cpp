// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/adaround.hpp>
#include <qtk/method/auto_round.hpp>
#include <qtk/method/omniquant.hpp>
#include <qtk/model/block_reconstruction.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "random_blocks.hpp"
#include "threads.hpp"
#include <optional>
#include <string>
#include <vector>

namespace {

using qtk_test::random_matrix;

constexpr qtk::scheme a2{
    .element = qtk::i2, .grain = qtk::per_group(4), .zero = qtk::origin::floating};

/// Windows of a Llama block and what the float block makes of them.
struct example {
    qtk::llama_block block =
        qtk_test::random_block<qtk::llama_block>(qtk_test::tiny_config(qtk::architecture::llama));
    std::vector<qtk::matrix> inputs, targets, importance;

    explicit example(std::size_t windows = 6) {
        for (std::size_t i = 0; i < windows; ++i) {
            inputs.push_back(random_matrix(9, 8, 40 + i));
            targets.push_back(inputs.back());
            block.forward(targets.back().view());
            importance.push_back(qtk::matrix(9, 8));
            for (std::size_t k = 0; k < 72; ++k)
                importance.back().data()[k] = k % 8 < 2 ? 1.0f : 0.0f;  // two channels count
        }
    }
    [[nodiscard]] qtk::block_samples samples() const { return {inputs, targets}; }
    [[nodiscard]] double error(qtk::llama_block const& changed, std::size_t columns = 8) const {
        double sum = 0.0;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            qtk::matrix y = inputs[i];
            changed.forward(y.view());
            for (std::size_t r = 0; r < 9; ++r)
                for (std::size_t c = 0; c < columns; ++c) {
                    double const e = static_cast<double>(y(r, c) - targets[i](r, c));
                    sum += e * e;
                }
        }
        return sum / (72.0 * static_cast<double>(inputs.size()));
    }
};

auto const signs = [](qtk::linear const&, qtk::matrix_view<float const> w) {
    return std::optional(qtk::signed_rounding(a2, w, {}, {.steps = 60}));
};
auto const soft = [](qtk::linear const&, qtk::matrix_view<float const> w) {
    return std::optional(qtk::soft_rounding(a2, w, {}));
};
auto const clipping = [](qtk::linear const&, qtk::matrix_view<float const> w) {
    return std::optional(qtk::learned_clipping(a2, w, {}));
};
constexpr qtk::block_reconstruction_options quick{.steps = 60, .batch = 3};

std::vector<qtk::any_qmatrix> codes_of(qtk::llama_block const& block) {
    std::vector<qtk::any_qmatrix> codes;
    block.for_each_linear([&](qtk::linear const& l) { codes.push_back(l.quantized_weight()); });
    return codes;
}

}  // namespace

TEST_CASE(
    "every learned quantization brings the block nearer to its targets than round to nearest") {
    example const e;
    auto const check = [&](auto const& make, qtk::block_reconstruction_options const& how) {
        qtk::llama_block nearest = e.block, block = e.block;
        nearest.for_each_linear([](qtk::linear& l) {
            l.set_weight(qtk::any_qmatrix(qtk::quantize<a2>(l.form().floats())));
        });
        auto const report = qtk::reconstruct_block(block, e.samples(), make, how);
        CHECK(report.nearest == doctest::Approx(e.error(nearest)).epsilon(1e-4));
        CHECK(report.learned == doctest::Approx(e.error(block)).epsilon(1e-4));
        CHECK(report.learned < 0.85 * report.nearest);
        CHECK(codes_of(block)[0].scheme() == a2);
    };
    check(signs, quick);
    check(clipping, quick);
    check(soft, {.steps = 150, .batch = 0});
}

TEST_CASE("without a step the block has the codes of round to nearest") {
    example const e;
    qtk::llama_block block = e.block;
    auto const report = qtk::reconstruct_block(block, e.samples(), signs, {.steps = 0});
    CHECK(report.learned == report.nearest);
    std::vector<qtk::matrix> floats;
    e.block.for_each_linear([&](qtk::linear const& l) { floats.push_back(l.form().floats()); });
    CHECK(codes_of(block)[2] == qtk::quantize<a2>(floats[2]));
}

TEST_CASE("learned codes that are worse give way to round to nearest") {
    example const e;
    qtk::llama_block block = e.block;
    // The order of the weight's sign is the worst that there is: start far off and do not move.
    auto const far = [](qtk::linear const&, qtk::matrix_view<float const> w) {
        return std::optional(qtk::learned_clipping(a2, w, {}, {.rate = 0.0f, .start = -3.0f}));
    };
    auto const report = qtk::reconstruct_block(block, e.samples(), far, {.steps = 1});
    CHECK(report.learned > report.nearest);
    CHECK(!report.is_better());
    CHECK(e.error(block) == doctest::Approx(report.nearest).epsilon(1e-4));
}

TEST_CASE("layers that do not take part stay as they are") {
    example const e;
    qtk::llama_block block = e.block;
    auto const some = [](qtk::linear const& l, qtk::matrix_view<float const> w) {
        return l.name().ends_with("down_proj") ? std::optional(qtk::learned_clipping(a2, w, {}))
                                               : std::nullopt;
    };
    static_cast<void>(qtk::reconstruct_block(block, e.samples(), some, quick));
    std::size_t quantized = 0;
    block.for_each_linear([&](qtk::linear const& l) { quantized += l.is_quantized() ? 1u : 0u; });
    CHECK(quantized == 1);
    auto const none = [](qtk::linear const&, qtk::matrix_view<float const>) {
        return std::optional<qtk::learned_clipping>();
    };
    qtk::llama_block same = e.block;
    CHECK(qtk::reconstruct_block(same, e.samples(), none, quick).steps == 0);
    CHECK(e.error(same) == 0.0);
}

TEST_CASE("what is important is met better where the importance says so") {
    example const e;
    qtk::llama_block plain = e.block, weighted = e.block;
    qtk::block_reconstruction_options const how{.steps = 150, .batch = 0};
    static_cast<void>(qtk::reconstruct_block(plain, e.samples(), soft, how));
    auto const report =
        qtk::reconstruct_block(weighted, {e.inputs, e.targets, e.importance}, soft, how);
    CHECK(e.error(weighted, 2) < 0.8 * e.error(plain, 2));
    CHECK(report.learned == doctest::Approx(e.error(weighted, 2)).epsilon(1e-4));
}

TEST_CASE(
    "codes of a block do not depend on the number of threads, nor on how often they are made") {
    example const e;
    qtk_test::same_for_any_threads([&] {
        qtk::llama_block block = e.block;
        static_cast<void>(
            qtk::reconstruct_block(block, e.samples(), signs, {.steps = 20, .batch = 5}));
        return codes_of(block);
    });
}

TEST_CASE("windows that do not belong together are refused, and the block stays as it was") {
    example e;
    qtk::llama_block block = e.block;
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::reconstruct_block(block, {{}, {}}, signs, quick)),
                         "block reconstruction: expected at least one window", qtk::value_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::reconstruct_block(
                             block, {e.inputs, std::span(e.targets).first(2)}, signs, quick)),
                         "block reconstruction: expected as many targets, and weights if any, as "
                         "the 6 inputs, found "
                         "2 and 0",
                         qtk::value_error);
    e.targets[3] = qtk::matrix(8, 8);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::reconstruct_block(block, e.samples(), signs, quick)),
        "block reconstruction: the target and the weights of window 3 have not the shape of the "
        "block's output",
        qtk::shape_error);
    block.for_each_linear([](qtk::linear const& l) { CHECK(!l.is_quantized()); });
}
