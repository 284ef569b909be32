// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/embedding.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace {
using ids = std::vector<std::int32_t>;

// Row r holds 10 r and 10 r + 1; position t adds 0.5 t.
qtk::embedding table(bool has_positions) {
    qtk::matrix tokens(3, 2);
    for (std::size_t r = 0; r < 3; ++r)
        for (std::size_t c = 0; c < 2; ++c) tokens(r, c) = static_cast<float>(10 * r + c);
    qtk::embedding e{tokens, {}};
    if (has_positions) {
        e.positions = qtk::matrix(4, 2);
        for (std::size_t t = 0; t < 4; ++t)
            for (std::size_t c = 0; c < 2; ++c) e.positions(t, c) = 0.5f * static_cast<float>(t);
    }
    return e;
}
}  // namespace

TEST_CASE("no tokens have no vectors") {
    CHECK(table(true).rows(ids{}).rows() == 0);
    CHECK(table(true).rows(ids{}).cols() == 2);
}

TEST_CASE("a token is its row, plus its position where there are positions") {
    auto const bare = table(false).rows(ids{2, 0, 2});
    CHECK(bare(0, 1) == 21.0f);
    CHECK(bare(1, 0) == 0.0f);
    CHECK(bare(2, 0) == 20.0f);
    auto const placed = table(true).rows(ids{2, 0, 2});
    CHECK(placed(0, 0) == 20.0f);
    CHECK(placed(2, 0) == 21.0f);
}

TEST_CASE("tokens that the vocabulary does not have are refused") {
    CHECK_THROWS_WITH_AS((void)table(false).rows(ids{1, 3}),
                         "token 1 has the id 3, the model's vocabulary ends at 3. "
                         "Hint: does the tokenizer belong to this model?",
                         qtk::value_error);
    CHECK_THROWS_AS((void)table(false).rows(ids{-1}), qtk::value_error);
}

TEST_CASE("more tokens than positions are refused") {
    CHECK(table(true).rows(ids{0, 0, 0, 0}).rows() == 4);
    CHECK_THROWS_WITH_AS((void)table(true).rows(ids{0, 0, 0, 0, 0}),
                         "the text has 5 tokens, the model has positions for 4", qtk::value_error);
}
