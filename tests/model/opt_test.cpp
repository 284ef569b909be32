// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/load.hpp>
#include <qtk/model/opt.hpp>

#include <doctest/doctest.h>

#include "naive.hpp"
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace {

using qtk_test::rows;

rows block(qtk_test::model_folder const& m, std::string const& at, rows x, bool normalizes_first) {
    auto const plus = [](double a, double b) { return a + b; };
    auto const part = [&](char const* name, rows const& n) {
        return qtk_test::linear(m, at + name, n, false);
    };
    auto const norm = [&](char const* name, rows const& n) {
        return qtk_test::norm(m, at + name, n, 1e-5);
    };
    rows n = normalizes_first ? norm("self_attn_layer_norm", x) : x;
    auto const mixed = qtk_test::attention(part("self_attn.q_proj", n), part("self_attn.k_proj", n),
                                           part("self_attn.v_proj", n), 2, 2);
    x = qtk_test::zip(x, part("self_attn.out_proj", mixed), plus);
    if (!normalizes_first) x = norm("self_attn_layer_norm", x);
    rows inner = part("fc1", normalizes_first ? norm("final_layer_norm", x) : x);
    for (auto& row : inner)
        for (double& v : row) v = std::max(v, 0.0);
    x = qtk_test::zip(x, part("fc2", inner), plus);
    return normalizes_first ? x : norm("final_layer_norm", x);
}

}  // namespace

TEST_CASE("an OPT block follows its formula, in both orders and with and without biases") {
    for (bool const normalizes_first : {true, false})
        for (bool const has_bias : {true, false}) {
            auto folder = qtk_test::tiny_opt();
            folder.config["do_layer_norm_before"] = normalizes_first;
            if (!has_bias) {
                folder.config["enable_bias"] = false;
                std::erase_if(folder.tensors, [](auto const& named) {
                    return named.first.ends_with(".bias") &&
                           named.first.find("norm") == std::string::npos;
                });
            }
            qtk_test::temporary_folder const place;
            folder.write(place.path());
            auto const file =
                std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(place.path()));
            qtk::checkpoint_reader reader(file);
            std::string const at = "model.decoder.layers.1.";
            auto const tested = qtk::opt_block::load(reader, qtk::read_config(place.path()), at);

            auto const start = qtk::gaussian_vector(5 * 8, 79);
            qtk::matrix x(5, 8);
            rows truth(5, std::vector<double>(8));
            for (std::size_t i = 0; i < start.size(); ++i) {
                x.data()[i] = start[i];
                truth[i / 8][i % 8] = static_cast<double>(start[i]);
            }
            tested.forward(x.view());
            truth = block(folder, at, truth, normalizes_first);
            double worst = 0.0, largest = 0.0;
            for (std::size_t t = 0; t < 5; ++t)
                for (std::size_t i = 0; i < 8; ++i) {
                    largest = std::max(largest, std::fabs(truth[t][i]));
                    worst = std::max(worst, std::fabs(static_cast<double>(x(t, i)) - truth[t][i]));
                }
            // Seven steps in a row, each with sums of at most 12 terms; large values cancel in a
            // normalization that comes last.
            CHECK(worst < (normalizes_first ? 1 : 8) * 7 * 12 * 0x1p-24 * largest);
        }
}
