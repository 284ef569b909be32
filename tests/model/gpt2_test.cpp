// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gpt2.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/checkpoint_reader.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "naive.hpp"
#include <cmath>
#include <vector>

namespace {

using qtk_test::rows;

rows block(qtk_test::model_folder const& m, std::string const& at, rows x) {
    auto const plus = [](double a, double b) { return a + b; };
    auto const qkv =
        qtk_test::linear(m, at + "attn.c_attn", qtk_test::norm(m, at + "ln_1", x, 1e-5), true);
    auto const mixed =
        qtk_test::attention(qtk_test::columns(qkv, 0, 8), qtk_test::columns(qkv, 8, 8),
                            qtk_test::columns(qkv, 16, 8), 2, 2);
    x = qtk_test::zip(x, qtk_test::linear(m, at + "attn.c_proj", mixed, true), plus);
    rows inner =
        qtk_test::linear(m, at + "mlp.c_fc", qtk_test::norm(m, at + "ln_2", x, 1e-5), true);
    for (auto& row : inner)
        for (double& v : row)
            v = 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    return qtk_test::zip(x, qtk_test::linear(m, at + "mlp.c_proj", inner, true), plus);
}

}  // namespace

TEST_CASE("a GPT-2 block follows its formula, written out in double precision") {
    auto const folder = qtk_test::tiny_gpt2();
    qtk_test::temporary_folder const place;
    folder.write(place.path());
    auto const file = std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(place.path()));
    qtk::checkpoint_reader reader(file);
    auto const tested =
        qtk::gpt2_block::load(reader, qtk::read_config(place.path()), "transformer.h.1.");

    auto const start = qtk::gaussian_vector(5 * 8, 77);
    qtk::matrix x(5, 8);
    rows truth(5, std::vector<double>(8));
    for (std::size_t i = 0; i < start.size(); ++i) {
        x.data()[i] = start[i];
        truth[i / 8][i % 8] = static_cast<double>(start[i]);
    }
    tested.forward(x.view());
    truth = block(folder, "transformer.h.1.", truth);
    double worst = 0.0, largest = 0.0;
    for (std::size_t t = 0; t < 5; ++t)
        for (std::size_t i = 0; i < 8; ++i) {
            largest = std::max(largest, std::fabs(truth[t][i]));
            worst = std::max(worst, std::fabs(static_cast<double>(x(t, i)) - truth[t][i]));
        }
    // Six steps in a row, each with sums of at most 12 terms.
    CHECK(worst < 6 * 12 * 0x1p-24 * largest);
}
