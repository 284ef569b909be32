// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gradient_attention.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "gradients.hpp"
#include "threads.hpp"
#include <cmath>

namespace {

using qtk_test::random_matrix;

struct example {
    qtk::attention_shape shape;
    qtk::matrix q, k, v, c;

    example(qtk::attention_shape const& s, std::size_t tokens)
        : shape(s),
          q(random_matrix(tokens, s.heads * s.head_dim, 1)),
          k(random_matrix(tokens, s.kv_heads * s.head_dim, 2)),
          v(random_matrix(tokens, s.kv_heads * s.head_dim, 3)),
          c(random_matrix(tokens, s.heads * s.head_dim, 4)) {}

    [[nodiscard]] std::vector<qtk::matrix> gradients() const {
        std::vector<qtk::matrix> by{random_matrix(q.rows(), q.cols(), 5),
                                    random_matrix(k.rows(), k.cols(), 6),
                                    random_matrix(v.rows(), v.cols(), 7)};  // overwritten
        qtk::causal_attention_gradient(shape, {q.view(), k.view(), v.view()}, c.view(),
                                       {by[0].view(), by[1].view(), by[2].view()});
        return by;
    }
    [[nodiscard]] double loss() const {
        qtk::matrix y(q.rows(), q.cols());
        qtk::causal_attention(shape, q.view(), k.view(), v.view(), y.view());
        return qtk_test::weighted_sum(c.view(), y.view());
    }
};

}  // namespace

TEST_CASE("the gradients of attention agree with differences: shared keys, a window, one token") {
    for (auto const& [shape, tokens] : {std::pair(qtk::attention_shape{2, 2, 4, 0}, 6),
                                        std::pair(qtk::attention_shape{4, 2, 3, 0}, 5),
                                        std::pair(qtk::attention_shape{4, 1, 2, 3}, 7),
                                        std::pair(qtk::attention_shape{1, 1, 4, 0}, 1)}) {
        example e(shape, static_cast<std::size_t>(tokens));
        auto const by = e.gradients();
        auto const loss = [&] { return e.loss(); };
        qtk_test::check_gradient(e.v.view().flat(), by[2].view().flat(), loss);
        if (tokens == 1) continue;  // a token alone listens to itself, whatever is asked
        qtk_test::check_gradient(e.q.view().flat(), by[0].view().flat(), loss);
        qtk_test::check_gradient(e.k.view().flat(), by[1].view().flat(), loss);
    }
}

TEST_CASE("more rows than one block, in wider rows and with a window") {
    example e({2, 1, 4, 20}, 150);
    auto const by = e.gradients();
    // The same operands side by side in one matrix, and the gradients too.
    qtk::matrix all(150, 16), by_all(150, 16);
    for (std::size_t t = 0; t < 150; ++t)
        for (std::size_t i = 0; i < 16; ++i)
            all(t, i) = i < 8 ? e.q(t, i) : i < 12 ? e.k(t, i - 8) : e.v(t, i - 12);
    auto const parts = [](qtk::matrix_view<float> m) {
        return qtk::attention_operands<float>{qtk::detail::columns(m, 0, 8),
                                              qtk::detail::columns(m, 8, 4),
                                              qtk::detail::columns(m, 12, 4)};
    };
    auto const in = parts(all.view());
    qtk::causal_attention_gradient(e.shape, {in.q, in.k, in.v}, e.c.view(), parts(by_all.view()));
    for (std::size_t t = 0; t < 150; ++t)
        for (std::size_t i = 0; i < 16; ++i) {
            float const apart = i < 8 ? by[0](t, i) : i < 12 ? by[1](t, i - 8) : by[2](t, i - 12);
            CHECK(by_all(t, i) == doctest::Approx(apart).epsilon(1e-4));
        }
    // Differences along one direction that touches every block.
    qtk::matrix const along = random_matrix(150, 4, 9);
    double const slope = qtk_test::weighted_sum(along.view(), by[1].view());
    auto const moved = [&](float step) {
        example there = e;
        for (std::size_t i = 0; i < 600; ++i) there.k.data()[i] += step * along.data()[i];
        return there.loss();
    };
    CHECK((moved(1e-2f) - moved(-1e-2f)) / 2e-2 == doctest::Approx(slope).epsilon(1e-2));
}

TEST_CASE("where every token sees all, the gradient agrees with differences") {
    qtk::attention_shape const shape{2, 2, 3, 0};
    qtk::matrix q = random_matrix(4, 6, 1), k = random_matrix(4, 6, 2), v = random_matrix(4, 6, 3);
    qtk::matrix const c = random_matrix(4, 6, 4);
    qtk::matrix by_q(4, 6), by_k(4, 6), by_v(4, 6);
    qtk::full_attention_gradient(shape, {q.view(), k.view(), v.view()}, c.view(),
                                 {by_q.view(), by_k.view(), by_v.view()});
    auto const loss = [&] {
        double sum = 0.0;
        for (std::size_t h = 0; h < 6; h += 3)
            for (std::size_t t = 0; t < 4; ++t) {
                double total = 0.0, value = 0.0;
                for (std::size_t s = 0; s < 4; ++s) {
                    double score = 0.0, from = 0.0;
                    for (std::size_t i = h; i < h + 3; ++i) {
                        score += static_cast<double>(q(t, i)) * static_cast<double>(k(s, i));
                        from += static_cast<double>(c(t, i)) * static_cast<double>(v(s, i));
                    }
                    double const weight = std::exp(score / std::sqrt(3.0));
                    total += weight, value += weight * from;
                }
                sum += value / total;
            }
        return sum;
    };
    qtk_test::check_gradient(q.view().flat(), by_q.view().flat(), loss);
    qtk_test::check_gradient(k.view().flat(), by_k.view().flat(), loss);
    qtk_test::check_gradient(v.view().flat(), by_v.view().flat(), loss);
}

TEST_CASE("gradients of attention do not depend on the number of threads") {
    example const e({4, 2, 16, 0}, 200);
    qtk_test::same_for_any_threads([&] { return e.gradients(); });
}
