// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/batch_norm.hpp>

#include <doctest/doctest.h>

#include "tiny_vision.hpp"
#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace {

using qtk::batch_norm, qtk::matrix;

batch_norm norm_of_two() {
    return {.name = "bn1",
            .weight = {2.0f, -1.0f},
            .bias = {10.0f, 20.0f},
            .mean = {1.0f, 2.0f},
            .variance = {4.0f, 0.25f},
            .epsilon = 0.0};
}

}  // namespace

TEST_CASE("a layer and its norm become one layer, by hand") {
    matrix w(2, 2);
    w(0, 0) = 3.0f, w(0, 1) = 4.0f, w(1, 0) = 5.0f, w(1, 1) = 6.0f;
    std::vector<float> bias{7.0f, 8.0f};
    norm_of_two().fold_into(w, bias);
    // Factors 2 / 2 and -1 / 0.5.
    CHECK(std::vector<float>(w.data(), w.data() + 4) == std::vector<float>{3, 4, -10, -12});
    CHECK(bias == std::vector<float>{(7 - 1) * 1 + 10, (8 - 2) * -2 + 20});
}

TEST_CASE("a layer without bias gets one") {
    matrix w(2, 0);
    std::vector<float> bias;
    norm_of_two().fold_into(w, bias);
    CHECK(bias == std::vector<float>{9, 24});
}

TEST_CASE("epsilon keeps an output without variance finite") {
    batch_norm norm = norm_of_two();
    norm.variance = {0.0f, 0.0f};
    norm.epsilon = 1e-5;
    matrix w(2, 1);
    w(0, 0) = 1.0f;
    std::vector<float> bias;
    norm.fold_into(w, bias);
    CHECK(static_cast<double>(w(0, 0)) == doctest::Approx(2.0 / std::sqrt(1e-5)).epsilon(1e-7));
}

TEST_CASE("the folded layer gives what layer and norm give one after the other") {
    std::size_t const out = 9, in = 17;
    batch_norm norm{.name = "bn",
                    .weight = qtk::gaussian_vector(out, 1),
                    .bias = qtk::gaussian_vector(out, 2),
                    .mean = qtk::gaussian_vector(out, 3),
                    .variance = qtk::gaussian_vector(out, 4)};
    for (float& v : norm.variance) v = v * v;
    matrix w(out, in);
    auto const values = qtk::gaussian_vector(out * in, 5), x = qtk::gaussian_vector(in, 6);
    std::copy(values.begin(), values.end(), w.data());
    auto bias = qtk::gaussian_vector(out, 7);
    matrix folded = w;
    auto folded_bias = bias;
    norm.fold_into(folded, folded_bias);
    for (std::size_t o = 0; o < out; ++o) {
        auto const sum = [&](matrix const& m, float start) {
            double total = static_cast<double>(start);
            for (std::size_t i = 0; i < in; ++i)
                total += static_cast<double>(m(o, i)) * static_cast<double>(x[i]);
            return total;
        };
        double const factor = static_cast<double>(norm.weight[o]) /
                              std::sqrt(static_cast<double>(norm.variance[o]) + 1e-5);
        double const expected = (sum(w, bias[o]) - static_cast<double>(norm.mean[o])) * factor +
                                static_cast<double>(norm.bias[o]);
        // Each of in + 1 floats is rounded once; the values are below 4 times the factor.
        double const size = 16.0 * static_cast<double>(in + 2) * (std::fabs(factor) + 1.0);
        CHECK(std::fabs(sum(folded, folded_bias[o]) - expected) <= 0x1p-24 * size);
    }
}

TEST_CASE("sizes that differ and negative variances are refused") {
    matrix w(2, 1), tall(3, 1);
    std::vector<float> none, three(3);
    CHECK_THROWS_WITH_AS(norm_of_two().fold_into(tall, none),
                         "bn1: expected 3 values, one for each output, found 2", qtk::shape_error);
    CHECK_THROWS_AS(norm_of_two().fold_into(w, three), qtk::shape_error);
    batch_norm norm = norm_of_two();
    norm.variance[1] = -1.0f;
    std::vector<float> bias;
    CHECK_THROWS_WITH_AS(norm.fold_into(w, bias),
                         "bn1: expected variances that are not negative, found -1.000000 for "
                         "output 1",
                         qtk::value_error);
}

TEST_CASE("a norm is read under PyTorch's names, with and without a count of batches") {
    qtk_test::model_folder m;
    qtk_test::add_normed(m, "conv", "bn", 2, 1, 1);
    m.tensors["bn.num_batches_tracked"] = {{}, {3.0f}};
    qtk_test::temporary_folder const folder;
    m.write(folder.path());
    qtk::vision_reader file(
        std::make_shared<qtk::checkpoint const>(qtk::checkpoint::open(folder.path())));
    batch_norm const norm = qtk::read_batch_norm(file, "bn", 2);
    CHECK(norm.weight == m.tensors["bn.weight"].values);
    CHECK(norm.bias == m.tensors["bn.bias"].values);
    CHECK(norm.mean == m.tensors["bn.running_mean"].values);
    CHECK(norm.variance == m.tensors["bn.running_var"].values);
    CHECK(norm.epsilon == 1e-5);
    file.ignore("conv.weight");
    file.require_all_used("the test");
    CHECK_THROWS_AS((void)qtk::read_batch_norm(file, "bn", 3), qtk::io_error);
    CHECK_THROWS_AS((void)qtk::read_batch_norm(file, "bn7", 2), qtk::io_error);
}
