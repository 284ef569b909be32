// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/attention.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

using qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

// The formula in the header's head, one value at a time in double precision, with the keys and values
// of `earlier` tokens before the first query.
double attended(qtk::attention_shape const& shape, matrix const& q, matrix const& k,
                matrix const& v, std::size_t t, std::size_t head, std::size_t i,
                std::size_t earlier = 0) {
    std::size_t const d = shape.head_dim, kv = head / (shape.heads / shape.kv_heads);
    std::size_t const last = earlier + t;
    std::vector<double> weights(last + 1);
    double total = 0.0, result = 0.0;
    for (std::size_t s = 0; s <= last; ++s) {
        if (shape.window != 0 && s + shape.window <= last) continue;
        double score = 0.0;
        for (std::size_t c = 0; c < d; ++c)
            score +=
                static_cast<double>(q(t, head * d + c)) * static_cast<double>(k(s, kv * d + c));
        weights[s] = std::exp(score / std::sqrt(static_cast<double>(d)));
        total += weights[s];
    }
    for (std::size_t s = 0; s <= last; ++s)
        result += weights[s] / total * static_cast<double>(v(s, kv * d + i));
    return result;
}

}  // namespace

TEST_CASE("no tokens attend to nothing, one token to itself") {
    matrix none(0, 4), y(0, 4);
    qtk::causal_attention({2, 2, 2}, none.view(), none.view(), none.view(), y.view());
    matrix const q = random_matrix(1, 4, 1), v = random_matrix(1, 4, 2);
    matrix one(1, 4);
    qtk::causal_attention({2, 2, 2}, q.view(), q.view(), v.view(), one.view());
    CHECK(one == v);
}

TEST_CASE("equal keys give the mean of the values so far") {
    matrix const q(3, 2), v = [] {
        matrix m(3, 2);
        float const values[] = {2.0f, -2.0f, 4.0f, 0.0f, 6.0f, 8.0f};
        std::copy(std::begin(values), std::end(values), m.data());
        return m;
    }();
    matrix y(3, 2);
    qtk::causal_attention({1, 1, 2}, q.view(), q.view(), v.view(), y.view());
    CHECK(y(0, 0) == 2.0f);
    CHECK(y(1, 0) == 3.0f);
    CHECK(y(1, 1) == -1.0f);
    CHECK(y(2, 0) == doctest::Approx(4.0).epsilon(4 * 0x1p-24));
    CHECK(y(2, 1) == doctest::Approx(2.0).epsilon(8 * 0x1p-24));
}

TEST_CASE("attention follows its formula over the edges of its blocks") {
    for (qtk::attention_shape const shape : {qtk::attention_shape{3, 3, 8}, {6, 2, 4}, {4, 1, 2}})
        for (std::size_t const tokens : {2u, 63u, 64u, 65u, 130u}) {
            CAPTURE(tokens);
            std::size_t const width = shape.heads * shape.head_dim;
            std::size_t const narrow = shape.kv_heads * shape.head_dim;
            matrix const q = random_matrix(tokens, width, 1), k = random_matrix(tokens, narrow, 2),
                         v = random_matrix(tokens, narrow, 3);
            matrix y(tokens, width);
            qtk::causal_attention(shape, q.view(), k.view(), v.view(), y.view());
            double worst = 0.0;
            for (std::size_t t = 0; t < tokens; ++t)
                for (std::size_t c = 0; c < width; ++c) {
                    std::size_t const head = c / shape.head_dim, i = c % shape.head_dim;
                    worst = std::max(worst, std::fabs(static_cast<double>(y(t, c)) -
                                                      attended(shape, q, k, v, t, head, i)));
                }
            // Scores below 16 with 8 roundings each shift a weight by 2^-24 * 16 * 10 of itself;
            // a mean of values below 5 moves by as much of 5, and sums up to 130 terms.
            CHECK(worst < 5.0 * (16 * 10 + 130) * 0x1p-24);
        }
}

TEST_CASE("the future does not matter, not even a broken one") {
    matrix q = random_matrix(70, 4, 1), before(70, 4), after(70, 4);
    qtk::causal_attention({2, 2, 2}, q.view(), q.view(), q.view(), before.view());
    std::fill_n(q.data() + 66 * 4, 4 * 4, 100.0f);
    qtk::causal_attention({2, 2, 2}, q.view(), q.view(), q.view(), after.view());
    for (std::size_t t = 0; t < 66; ++t)
        for (std::size_t c = 0; c < 4; ++c) CHECK(before(t, c) == after(t, c));
    CHECK(before(66, 0) != after(66, 0));
}

TEST_CASE("views into one wide matrix give the same as matrices of their own") {
    matrix const wide = random_matrix(20, 12, 4);
    auto const part = [&](std::size_t i) { return qtk::detail::columns(wide.view(), 4 * i, 4); };
    auto const copied = [&](std::size_t i) {
        matrix m(20, 4);
        for (std::size_t r = 0; r < 20; ++r)
            for (std::size_t c = 0; c < 4; ++c) m(r, c) = wide(r, 4 * i + c);
        return m;
    };
    matrix a(20, 4), b(20, 4);
    qtk::causal_attention({2, 2, 2}, part(0), part(1), part(2), a.view());
    qtk::causal_attention({2, 2, 2}, copied(0).view(), copied(1).view(), copied(2).view(),
                          b.view());
    CHECK(a == b);
}

TEST_CASE("a window hides what lies far back, with and without tokens before the first query") {
    for (std::size_t const window : {1u, 2u, 63u, 64u, 65u, 100u, 200u})
        for (std::size_t const earlier : {0u, 1u, 64u, 150u})
            for (std::size_t const tokens : {1u, 2u, 64u, 130u}) {
                CAPTURE(window);
                CAPTURE(earlier);
                CAPTURE(tokens);
                qtk::attention_shape const shape{4, 2, 4, window};
                matrix const q = random_matrix(tokens, 16, 1),
                             k = random_matrix(earlier + tokens, 8, 2),
                             v = random_matrix(earlier + tokens, 8, 3);
                matrix y(tokens, 16);
                qtk::causal_attention(shape, q.view(), k.view(), v.view(), y.view());
                double worst = 0.0;
                for (std::size_t t = 0; t < tokens; ++t)
                    for (std::size_t c = 0; c < 16; ++c)
                        worst = std::max(
                            worst, std::fabs(static_cast<double>(y(t, c)) -
                                             attended(shape, q, k, v, t, c / 4, c % 4, earlier)));
                CHECK(worst < 5.0 * (16 * 10 + 280) * 0x1p-24);
            }
}

TEST_CASE("a window as long as the text is none") {
    matrix const q = random_matrix(90, 4, 1);
    matrix all(90, 4), wide(90, 4), narrow(90, 4);
    qtk::causal_attention({2, 2, 2}, q.view(), q.view(), q.view(), all.view());
    qtk::causal_attention({2, 2, 2, 90}, q.view(), q.view(), q.view(), wide.view());
    qtk::causal_attention({2, 2, 2, 89}, q.view(), q.view(), q.view(), narrow.view());
    CHECK(all == wide);
    CHECK(all != narrow);
}

TEST_CASE("keys that no query of a block sees are not read") {
    matrix const q = random_matrix(64, 4, 1);
    matrix k = random_matrix(200, 4, 2), before(64, 4), after(64, 4);
    qtk::causal_attention({2, 2, 2, 10}, q.view(), k.view(), k.view(), before.view());
    // The first query stands at 136 and sees 127 .. 136.
    std::fill_n(k.data(), 127 * 4, std::nanf(""));
    qtk::causal_attention({2, 2, 2, 10}, q.view(), k.view(), k.view(), after.view());
    CHECK(before == after);
}

#if defined(_OPENMP)
TEST_CASE("the number of threads does not change a bit") {
    matrix const q = random_matrix(400, 64, 1);  // large enough to be shared
    int const threads = omp_get_max_threads();
    omp_set_num_threads(1);
    matrix alone(400, 64);
    qtk::causal_attention({4, 4, 16}, q.view(), q.view(), q.view(), alone.view());
    for (int const count : {2, 3, 7}) {
        omp_set_num_threads(count);
        matrix y(400, 64);
        qtk::causal_attention({4, 4, 16}, q.view(), q.view(), q.view(), y.view());
        CHECK(y == alone);
    }
    omp_set_num_threads(threads);
}
#endif
