// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/attention_step.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

struct problem {
    qtk::attention_shape shape;
    std::size_t tokens;
    std::vector<float> q, k, v;

    problem(qtk::attention_shape const& s, std::size_t count)
        : shape(s),
          tokens(count),
          q(qtk::gaussian_vector(s.heads * s.head_dim, 1)),
          k(qtk::gaussian_vector(count * s.kv_heads * s.head_dim, 2)),
          v(qtk::gaussian_vector(count * s.kv_heads * s.head_dim, 3)) {}

    [[nodiscard]] std::vector<float> answer() const {
        std::size_t const width = shape.kv_heads * shape.head_dim;
        std::vector<float> y(q.size(), -7.0f);
        qtk::detail::attend_step(
            shape, q, qtk::detail::float_heads{{k.data(), tokens, width}, shape.head_dim},
            qtk::detail::float_heads{{v.data(), tokens, width}, shape.head_dim}, tokens, y);
        return y;
    }
    // The textbook, in double precision.
    [[nodiscard]] double truth(std::size_t head, std::size_t i) const {
        std::size_t const d = shape.head_dim, width = shape.kv_heads * d;
        std::size_t const at = head / (shape.heads / shape.kv_heads) * d;
        double total = 0.0, sum = 0.0;
        for (std::size_t s = 0; s < tokens; ++s) {
            if (shape.window != 0 && s + shape.window < tokens) continue;
            double score = 0.0;
            for (std::size_t c = 0; c < d; ++c)
                score += static_cast<double>(q[head * d + c]) *
                         static_cast<double>(k[s * width + at + c]);
            double const weight = std::exp(score / std::sqrt(static_cast<double>(d)));
            total += weight;
            sum += weight * static_cast<double>(v[s * width + at + i]);
        }
        return sum / total;
    }
};

}  // namespace

TEST_CASE("the only token listens to itself") {
    problem const one({3, 3, 5}, 1);
    CHECK(one.answer() == one.v);
}

TEST_CASE("one query follows its formula over the edges of the parts, with and without a window") {
    for (std::size_t const window : {0u, 1u, 40u, 256u, 300u})
        for (qtk::attention_shape const& shape :
             {qtk::attention_shape{3, 3, 8, window}, {6, 2, 16, window}, {4, 1, 35, window}})
            for (std::size_t const tokens : {2u, 63u, 64u, 65u, 255u, 256u, 257u, 700u}) {
                CAPTURE(tokens);
                CAPTURE(window);
                problem const p(shape, tokens);
                auto const y = p.answer();
                double worst = 0.0;
                for (std::size_t i = 0; i < y.size(); ++i)
                    worst =
                        std::max(worst, std::fabs(static_cast<double>(y[i]) -
                                                  p.truth(i / shape.head_dim, i % shape.head_dim)));
                // As in attention_test.cpp: scores below 32 with 10 roundings each, a mean of
                // values below 5, sums of up to 700 terms whose errors are mostly random.
                CHECK(worst < 5.0 * (32 * 10 + 700) * 0x1p-24);
            }
}

TEST_CASE("a part with far larger scores does not overflow the others") {
    problem p({1, 1, 4}, 600);
    for (std::size_t c = 0; c < 4; ++c) p.q[c] = 40.0f, p.k[10 * 4 + c] = 40.0f;
    auto const y = p.answer();
    for (std::size_t c = 0; c < 4; ++c)
        CHECK(y[c] == doctest::Approx(static_cast<double>(p.v[10 * 4 + c])).epsilon(1e-6));
}

TEST_CASE("keys before the window are not read") {
    problem p({2, 1, 8, 20}, 300);
    auto const expected = p.answer();
    for (std::size_t i = 0; i < 280 * 8; ++i) p.k[i] = p.v[i] = std::nanf("");
    CHECK(p.answer() == expected);
    p.k[280 * 8] += 1.0f;
    CHECK(p.answer() != expected);
}

#if defined(_OPENMP)
TEST_CASE("the number of threads does not change a bit") {
    problem const p({8, 4, 64}, 3000);  // large enough to be shared
    int const before = omp_get_max_threads();
    omp_set_num_threads(1);
    auto const alone = p.answer();
    for (int const threads : {2, 3, 7}) {
        omp_set_num_threads(threads);
        CHECK(p.answer() == alone);
    }
    omp_set_num_threads(before);
}
#endif
