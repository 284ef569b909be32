// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/vit_attention.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>

namespace {

constexpr std::size_t heads = 2, tokens = 5, width = 8;

qtk::matrix some_rows() {
    qtk::matrix qkv(2 * tokens, 3 * width);
    std::ranges::copy(qtk::gaussian_vector(qkv.view().size(), 4), qkv.data());
    return qkv;
}

}  // namespace

TEST_CASE("queries, keys and values lie side by side") {
    qtk::matrix const qkv = some_rows();
    qtk::vit_attention const attention("blocks.0.attn", heads, tokens);
    CHECK(attention.name() == "blocks.0.attn");
    CHECK(attention.heads() == heads);
    CHECK(attention.tokens() == tokens);
    auto const part = [&](std::size_t i) { return qtk::vit_attention::part(qkv.view(), i); };
    CHECK(part(2)(3, 1) == qkv(3, 2 * width + 1));
    qtk::matrix y(2 * tokens, width), expected(2 * tokens, width);
    attention.apply(qkv.view(), y.view());
    qtk::patch_attention(heads, tokens, part(0), part(1), part(2), expected.view());
    CHECK(y == expected);
}

TEST_CASE("every row of a map is a distribution, and rounding shows in it") {
    qtk::matrix const qkv = some_rows();
    qtk::vit_attention attention("blocks.0.attn", heads, tokens);
    qtk::matrix const maps = attention.maps(qkv.view());
    REQUIRE(maps.rows() == 2 * heads * tokens);
    REQUIRE(maps.cols() == tokens);
    for (std::size_t r = 0; r < maps.rows(); ++r) {
        float sum = 0.0f;
        for (float const p : maps.view().row(r)) sum += p;
        CHECK(sum == doctest::Approx(1.0f));
    }
    qtk::attention_rounding rounding;
    rounding.q = qtk::fit_activation_grid({-3.0f, 3.0f}, qtk::activation_codes(2));
    attention.set_rounding(rounding);
    CHECK(attention.rounding().q == rounding.q);
    CHECK(attention.maps(qkv.view()) != maps);
    rounding.q->scale = 0.0f;
    CHECK_THROWS_WITH_AS(attention.set_rounding(rounding), doctest::Contains("blocks.0.attn"),
                         qtk::value_error);
}
