// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/fold.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/model/load.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using qtk::fold, qtk::linear, qtk::matrix, qtk::norm;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

matrix applied(linear const& layer, matrix const& x) {
    matrix y(x.rows(), layer.out());
    layer.apply(x.view(), y.view());
    return y;
}

/// Powers of two, so that factors are exact.
std::vector<float> random_factors(std::size_t n, std::uint64_t seed) {
    std::vector<float> t(n);
    for (std::size_t c = 0; c < n; ++c)
        t[c] = std::exp2(static_cast<float>(qtk::word_at(seed, c) % 7) - 3.0f);
    return t;
}

qtk::decoder model_of(char const* name) {
    return qtk::load_decoder(std::filesystem::path(QTK_GOLDEN_DIR) / "architectures" / name);
}

std::vector<float> logits_of(qtk::decoder const& model) {
    std::vector<std::int32_t> tokens;
    for (std::int32_t t = 0; t < 30; ++t) tokens.push_back(t * 7 % 96);
    auto const logits = model.forward(tokens);
    return {logits.data(), logits.data() + logits.size()};
}

}  // namespace

TEST_CASE("a norm gives its factors to the layers, by hand") {
    norm before{.type = norm::kind::layer, .weight = {8.0f, 3.0f}, .bias = {4.0f, 5.0f}};
    matrix w(1, 2);
    w(0, 0) = 1.0f, w(0, 1) = 2.0f;
    linear a("a", w), b("b", w);
    apply_fold(fold_after(before, {&a, &b}), std::vector{4.0f, 0.5f});
    CHECK(before.weight == std::vector{2.0f, 6.0f});
    CHECK(before.bias == std::vector{1.0f, 10.0f});
    CHECK(a.weight()(0, 0) == 4.0f);
    CHECK(a.weight()(0, 1) == 1.0f);
    CHECK(b.weight() == a.weight());
}

TEST_CASE("a layer gives factors from a part of its rows, weight and bias") {
    linear producer("p", random_matrix(5, 3, 1), {1.0f, 2.0f, 3.0f, 4.0f, 5.0f});
    linear consumer("c", random_matrix(2, 2, 2));
    matrix const x = random_matrix(4, 3, 3);
    auto const outputs = [&] {
        matrix const y = applied(producer, x);
        matrix part(4, 2);
        for (std::size_t r = 0; r < 4; ++r)
            for (std::size_t c = 0; c < 2; ++c) part(r, c) = y(r, 3 + c);
        return applied(consumer, part);
    };
    matrix const before = outputs();
    matrix const weight = producer.weight();
    apply_fold(fold_after(producer, consumer, 3), std::vector{4.0f, 0.5f});
    CHECK(outputs() == before);
    CHECK(producer.weight()(2, 0) == weight(2, 0));
    CHECK(producer.weight()(3, 0) == weight(3, 0) / 4.0f);
    CHECK(producer.bias()[2] == 3.0f);
    CHECK(producer.bias()[3] == 1.0f);
    CHECK(producer.bias()[4] == 10.0f);
}

TEST_CASE("heads that share values share their factors") {
    linear v("v", matrix(4, 1)), o("o", matrix(1, 8));
    fold values = fold_after(v, o);
    values.head_dim = 2, values.sharing = 2;
    CHECK(values.channels() == 4);
    CHECK(values.is_free());
    std::vector<float> const t{1.0f, 2.0f, 3.0f, 4.0f};
    CHECK(column_factors(values, t) == std::vector{1.0f, 2.0f, 1.0f, 2.0f, 3.0f, 4.0f, 3.0f, 4.0f});
    std::vector<float> const columns{-1.0f, -2.0f, -3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f};
    CHECK(channel_maxima(values, columns) == std::vector{-1.0f, 4.0f, 7.0f, 8.0f});
    CHECK(channel_means(values, columns) == std::vector{-2.0f, 1.0f, 6.0f, 7.0f});
}

TEST_CASE("where nothing takes the factors, the layer divides its input itself") {
    linear layer("l", random_matrix(3, 4, 1));
    matrix const x = random_matrix(2, 4, 2), before = applied(layer, x), weight = layer.weight();
    fold const inside = fold_inside(layer);
    CHECK_FALSE(inside.is_free());
    apply_fold(inside, std::vector{4.0f, 0.5f, 2.0f, 1.0f});
    CHECK(applied(layer, x) == before);
    CHECK(layer.weight()(0, 0) == 4.0f * weight(0, 0));
    CHECK(layer.effective_weight() == weight);
}

TEST_CASE("every fold of every family leaves the network as it was") {
    struct family {
        char const* name;
        std::size_t folds, free;
    };
    // Of two blocks each; GPT-2 has a GELU, OPT a ReLU, OPT with norms behind its parts fewer folds.
    for (auto const& [name, folds, free] :
         {family{"gpt2-untied", 8, 6}, family{"llama3-scaling", 8, 8}, family{"qwen2", 8, 8},
          family{"opt", 8, 8}, family{"opt-post-norm", 4, 4}}) {
        CAPTURE(std::string(name));
        qtk::decoder model = model_of(name);
        std::vector<float> const before = logits_of(model);
        double size = 0.0;
        for (float const v : before) size = std::max(size, std::fabs(static_cast<double>(v)));
        std::size_t seen = 0, taken = 0;
        model.for_each_block([&](auto& block) {
            block.for_each_fold([&](fold const& at) {
                std::vector<matrix> weights;
                for (linear const* const layer : at.consumers)
                    weights.push_back(layer->form().floats());
                apply_fold(at, random_factors(at.channels(), ++seen));
                for (std::size_t i = 0; i < weights.size(); ++i)
                    CHECK(at.consumers[i]->weight() != weights[i]);
                if (at.is_free()) ++taken;
                // One fold at a time, so that no error hides another.
                std::vector<float> const after = logits_of(model);
                double worst = 0.0;
                for (std::size_t i = 0; i < before.size(); ++i)
                    worst = std::max(worst, std::fabs(static_cast<double>(after[i]) -
                                                      static_cast<double>(before[i])));
                CAPTURE(at.consumers.front()->name());
                CHECK(worst <= 1e-5 * size);
            });
        });
        CHECK(seen == folds);
        CHECK(taken == free);
    }
}

TEST_CASE(
    "factors that do not fit and layers that cannot take them are refused, and nothing changes") {
    norm before{.type = norm::kind::rms, .weight = {8.0f, 3.0f}, .bias = {}};
    linear layer("l", random_matrix(3, 2, 1));
    fold const at = fold_after(before, {&layer});
    CHECK_THROWS_WITH_AS(apply_fold(at, std::vector{1.0f}),
                         "l: expected 2 factors to fold, found 1", qtk::shape_error);
    CHECK_THROWS_WITH_AS(apply_fold(at, std::vector{1.0f, 0.0f}),
                         "l: expected positive finite factors, found 0.000000 for channel 1",
                         qtk::value_error);
    constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};
    linear codes = layer;
    codes.set_weight(qtk::quantize<w8>(layer.weight()));
    CHECK_THROWS_WITH_AS(apply_fold(fold_after(before, {&layer, &codes}), std::vector{1.0f, 2.0f}),
                         "l: the weight is quantized. Hint: change what it multiplies before",
                         qtk::value_error);
    CHECK(before.weight == std::vector{8.0f, 3.0f});
    apply_fold(fold_inside(layer), std::vector{1.0f, 2.0f});
    CHECK_THROWS_WITH_AS(apply_fold(at, std::vector{1.0f, 2.0f}),
                         "l: the layer changes its input already. Hint: fold first",
                         qtk::value_error);
}
