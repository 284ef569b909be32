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
#include <cstdint>
#include <vector>

namespace {

using qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    std::ranges::copy(qtk::gaussian_vector(rows * cols, seed), m.data());
    return m;
}

/// Queries, keys and values beside each other, as one layer makes them.
matrix attended(std::size_t heads, std::size_t tokens, matrix const& qkv,
                qtk::attention_rounding const& rounding = {}) {
    std::size_t const width = qkv.cols() / 3;
    matrix y(qkv.rows(), width);
    auto const part = [&](std::size_t i) {
        return qtk::detail::columns(qkv.view(), i * width, width);
    };
    qtk::patch_attention(heads, tokens, part(0), part(1), part(2), y.view(), rounding);
    return y;
}

/// A symmetric grid.
qtk::activation_grid grid(int bits, float scale) {
    qtk::activation_grid made = qtk::activation_codes(bits);
    made.scale = scale;
    return made;
}

/// Attention whose sums are sums of integers: of 2^-15 of a unit for the probabilities, which is exact for
/// powers of two of 4 bits.
matrix integer_attention(std::size_t heads, std::size_t tokens, matrix const& qkv,
                         qtk::attention_rounding const& how) {
    std::size_t const width = qkv.cols() / 3, d = width / heads;
    matrix y(qkv.rows(), width), map(1, tokens);
    float const scale = how.q->scale * how.k->scale / std::sqrt(static_cast<float>(d));
    for (std::size_t r = 0; r < qkv.rows(); ++r)
        for (std::size_t h = 0; h < heads; ++h) {
            std::size_t const first = r / tokens * tokens;
            for (std::size_t t = 0; t < tokens; ++t) {
                std::int64_t sum = 0;
                for (std::size_t i = h * d; i < (h + 1) * d; ++i)
                    sum += static_cast<std::int64_t>(how.q->code(qkv(r, i))) *
                           static_cast<std::int64_t>(how.k->code(qkv(first + t, width + i)));
                map(0, t) = scale * static_cast<float>(sum);
            }
            qtk::detail::softmax_rows(map.view());
            how.softmax.to_units(map.view().row(0));
            for (std::size_t i = h * d; i < (h + 1) * d; ++i) {
                std::int64_t sum = 0;
                for (std::size_t t = 0; t < tokens; ++t)
                    sum += static_cast<std::int64_t>(std::ldexp(map(0, t), 15)) *
                           static_cast<std::int64_t>(how.v->code(qkv(first + t, 2 * width + i)));
                y(r, i) = how.softmax.unit() * how.v->scale *
                          static_cast<float>(std::ldexp(static_cast<double>(sum), -15));
            }
        }
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

TEST_CASE("rounded operands give what integers give, bit for bit") {
    std::size_t const heads = 2, tokens = 17;
    matrix const qkv = random_matrix(3 * tokens, 3 * 64, 4);
    for (qtk::softmax_rounding const& softmax :
         {qtk::softmax_rounding(qtk::uniform_probability_quantizer(8)),
          qtk::softmax_rounding(qtk::uniform_probability_quantizer(3)),
          qtk::softmax_rounding(qtk::log2_quantizer(4)),
          qtk::softmax_rounding(qtk::twin_quantizer(8, 5)),
          qtk::softmax_rounding(qtk::twin_quantizer(4, 3))}) {
        qtk::attention_rounding const how{.q = grid(8, 0.03f),
                                          .k = qtk::activation_grid{0.07f, -20, 43},
                                          .v = grid(8, 0.029f),
                                          .softmax = softmax};
        matrix const y = attended(heads, tokens, qkv, how);
        CHECK(y == integer_attention(heads, tokens, qkv, how));
        CHECK(y != attended(heads, tokens, qkv));
    }
}

TEST_CASE("each operand is rounded on its own grid") {
    matrix const qkv = random_matrix(8, 12, 5);
    for (std::size_t part = 0; part < 3; ++part) {
        matrix rounded = qkv;
        qtk::activation_grid const rounding = grid(4, 0.3f);
        for (std::size_t r = 0; r < 8; ++r)
            for (std::size_t i = 0; i < 4; ++i)
                rounded(r, 4 * part + i) = rounding.round_trip(qkv(r, 4 * part + i));
        qtk::attention_rounding how;
        (part == 0 ? how.q : part == 1 ? how.k : how.v) = rounding;
        matrix const expected = attended(2, 4, rounded), found = attended(2, 4, qkv, how);
        for (std::size_t i = 0; i < expected.view().size(); ++i)
            CHECK(static_cast<double>(found.data()[i]) ==
                  doctest::Approx(static_cast<double>(expected.data()[i])).epsilon(1e-5));
    }
}

TEST_CASE(
    "maps are the weights with which rows of values are added, in several blocks of rows, too") {
    std::size_t const heads = 2, tokens = 300, d = 4, width = heads * d;
    matrix const qkv = random_matrix(2 * tokens, 3 * width, 6);
    qtk::attention_rounding const how{.q = grid(6, 0.1f),
                                      .softmax = qtk::uniform_probability_quantizer(8)};
    matrix const y = attended(heads, tokens, qkv, how);
    matrix const maps =
        qtk::attention_maps(heads, tokens, qtk::detail::columns(qkv.view(), 0, width),
                            qtk::detail::columns(qkv.view(), width, width), how);
    CHECK(maps.rows() == 2 * heads * tokens);
    for (std::size_t r = 0; r < 2 * tokens; r += 7)
        for (std::size_t i = 0; i < width; ++i) {
            std::size_t const image = r / tokens, head = i / d;
            auto const map = maps.view().row((image * heads + head) * tokens + r % tokens);
            double sum = 0.0;
            for (std::size_t t = 0; t < tokens; ++t)
                sum += static_cast<double>(map[t]) *
                       static_cast<double>(qkv(image * tokens + t, 2 * width + i));
            CHECK(std::fabs(sum - static_cast<double>(y(r, i))) < 1e-5);
        }
}

TEST_CASE("rounded attention does not depend on the number of threads") {
    matrix const qkv = random_matrix(6 * 40, 3 * 32, 7);
    qtk::attention_rounding const how{.q = grid(8, 0.03f),
                                      .k = grid(8, 0.03f),
                                      .v = grid(8, 0.03f),
                                      .softmax = qtk::softmax_rounding::log2(4)};
    qtk_test::same_for_any_threads([&] { return attended(4, 40, qkv, how); });
}
