// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/patch_attention.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include "naive_vision.hpp"
#include "threads.hpp"
#include <algorithm>
#include <cmath>
#include <cstddef>

namespace {

using qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    std::ranges::copy(qtk::gaussian_vector(rows * cols, seed), m.data());
    return m;
}

/// Queries, keys and values beside each other, as one layer makes them.
matrix attended(std::size_t heads, std::size_t tokens, matrix const& qkv) {
    std::size_t const width = qkv.cols() / 3;
    matrix y(qkv.rows(), width);
    auto const part = [&](std::size_t i) {
        return qtk::detail::columns(qkv.view(), i * width, width);
    };
    qtk::patch_attention(heads, tokens, part(0), part(1), part(2), y.view());
    return y;
}

qtk_test::rows image_rows(matrix const& m, std::size_t first, std::size_t count, std::size_t from,
                          std::size_t width) {
    qtk_test::rows rows(count, std::vector<double>(width));
    for (std::size_t t = 0; t < count; ++t)
        for (std::size_t i = 0; i < width; ++i)
            rows[t][i] = static_cast<double>(m(first + t, from + i));
    return rows;
}

}  // namespace

TEST_CASE("no images need no attention, and a token alone listens to itself") {
    CHECK(attended(2, 3, matrix(0, 12)).rows() == 0);
    matrix const qkv = random_matrix(4, 12, 1);
    matrix const y = attended(2, 1, qkv);
    for (std::size_t r = 0; r < 4; ++r)
        for (std::size_t i = 0; i < 4; ++i) CHECK(y(r, i) == qkv(r, 8 + i));
}

TEST_CASE("equal keys give the mean of the values, of one's own image alone") {
    matrix qkv = random_matrix(4, 6, 1);
    for (std::size_t r = 0; r < 4; ++r) {
        qkv(r, 2) = qkv(r, 3) = 1.0f;
        qkv(r, 4) = static_cast<float>(r < 2 ? 2 * r : 100 * r);
    }
    matrix const y = attended(1, 2, qkv);
    CHECK(static_cast<double>(y(0, 0)) == doctest::Approx(1.0).epsilon(1e-6));
    CHECK(static_cast<double>(y(1, 0)) == doctest::Approx(1.0).epsilon(1e-6));
    CHECK(static_cast<double>(y(3, 0)) == doctest::Approx(250.0).epsilon(1e-6));
}

TEST_CASE("heads and images give what five loops give, in one block of scores and in several") {
    struct {
        std::size_t images, tokens, heads, d;
    } const examples[] = {{2, 5, 3, 4}, {1, 17, 2, 8}, {2, 300, 1, 4}};
    for (auto const& e : examples) {
        std::size_t const width = e.heads * e.d;
        matrix const qkv = random_matrix(e.images * e.tokens, 3 * width, 3);
        matrix const y = attended(e.heads, e.tokens, qkv);
        for (std::size_t n = 0; n < e.images; ++n) {
            auto const part = [&](std::size_t i) {
                return image_rows(qkv, n * e.tokens, e.tokens, i * width, width);
            };
            auto const expected = qtk_test::full_attention(part(0), part(1), part(2), e.heads);
            for (std::size_t t = 0; t < e.tokens; ++t)
                for (std::size_t i = 0; i < width; ++i)
                    // Scores below 50 with errors of d roundings shift the weights of values below 5.
                    CHECK(std::fabs(static_cast<double>(y(n * e.tokens + t, i)) - expected[t][i]) <=
                          5.0 * 50.0 * (static_cast<double>(e.d) + 20.0) * 0x1p-24);
        }
    }
}

TEST_CASE("very large scores neither overflow nor mix") {
    matrix qkv(2, 3);
    qkv(0, 0) = 1e4f, qkv(0, 1) = 1e4f, qkv(1, 1) = -1e4f;
    qkv(0, 2) = 7.0f, qkv(1, 2) = 9.0f;
    CHECK(attended(1, 2, qkv)(0, 0) == 7.0f);
}

TEST_CASE("attention does not depend on the number of threads") {
    matrix const qkv = random_matrix(6 * 40, 3 * 32, 3);
    qtk_test::same_for_any_threads([&] { return attended(4, 40, qkv); });
}
