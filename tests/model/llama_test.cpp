// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/llama.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/checkpoint_reader.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "naive.hpp"
#include <cmath>
#include <memory>
#include <vector>

namespace {

using qtk_test::rows;

// Heads of 4: values 0 and 2, 1 and 3 are the pairs; theta is 10000.
rows turned(rows x) {
    for (std::size_t t = 0; t < x.size(); ++t)
        for (std::size_t head = 0; head < x[t].size(); head += 4)
            for (std::size_t i = 0; i < 2; ++i) {
                double const angle = static_cast<double>(t) * (i == 0 ? 1.0 : 0.01);
                double const a = x[t][head + i], b = x[t][head + i + 2];
                x[t][head + i] = a * std::cos(angle) - b * std::sin(angle);
                x[t][head + i + 2] = b * std::cos(angle) + a * std::sin(angle);
            }
    return x;
}

rows block(qtk_test::model_folder const& m, std::string const& at, rows x) {
    auto const plus = [](double a, double b) { return a + b; };
    rows n = qtk_test::norm(m, at + "input_layernorm", x, 1e-6);
    auto const part = [&](char const* name) { return qtk_test::linear(m, at + name, n, false); };
    auto const mixed =
        qtk_test::attention(turned(part("self_attn.q_proj")), turned(part("self_attn.k_proj")),
                            part("self_attn.v_proj"), 4, 2);
    x = qtk_test::zip(x, qtk_test::linear(m, at + "self_attn.o_proj", mixed, false), plus);
    n = qtk_test::norm(m, at + "post_attention_layernorm", x, 1e-6);
    rows const inner =
        qtk_test::zip(part("mlp.gate_proj"), part("mlp.up_proj"),
                      [](double gate, double up) { return gate / (1 + std::exp(-gate)) * up; });
    return qtk_test::zip(x, qtk_test::linear(m, at + "mlp.down_proj", inner, false), plus);
}

}  // namespace

TEST_CASE("a Llama block follows its formula, written out in double precision") {
    auto const folder = qtk_test::tiny_llama();
    qtk_test::temporary_folder const place;
    folder.write(place.path());
    auto const file = std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(place.path()));
    qtk::checkpoint_reader reader(file);
    auto tested = qtk::llama_block::load(reader, qtk::read_config(place.path()), "model.layers.1.");
    tested.set_rotary(std::make_shared<qtk::rotary const>(10000.0, 4));

    auto const start = qtk::gaussian_vector(5 * 8, 78);
    qtk::matrix x(5, 8);
    rows truth(5, std::vector<double>(8));
    for (std::size_t i = 0; i < start.size(); ++i) {
        x.data()[i] = start[i];
        truth[i / 8][i % 8] = static_cast<double>(start[i]);
    }
    tested.forward(x.view());
    truth = block(folder, "model.layers.1.", truth);
    double worst = 0.0, largest = 0.0;
    for (std::size_t t = 0; t < 5; ++t)
        for (std::size_t i = 0; i < 8; ++i) {
            largest = std::max(largest, std::fabs(truth[t][i]));
            worst = std::max(worst, std::fabs(static_cast<double>(x(t, i)) - truth[t][i]));
        }
    // Seven steps in a row, each with sums of at most 16 terms.
    CHECK(worst < 7 * 16 * 0x1p-24 * largest);
}
