// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/vit_attention.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using qtk::matrix, qtk::vit_attention;

TEST_CASE("queries, keys and values lie side by side") {
    matrix qkv(6, 3 * 8);
    std::ranges::copy(qtk::gaussian_vector(qkv.view().size(), 1), qkv.data());
    vit_attention const attention("blocks.0.attn", 2, 3);
    matrix y(6, 8), expected(6, 8);
    attention.apply(qkv.view(), y.view());
    auto const part = [&](std::size_t i) { return vit_attention::part(qkv.view(), i); };
    CHECK(part(1).row(2)[0] == qkv(2, 8));
    qtk::patch_attention(2, 3, part(0), part(1), part(2), expected.view());
    CHECK(std::equal(y.data(), y.data() + y.view().size(), expected.data()));
}

TEST_CASE("its products are scores and values, once a head") {
    vit_attention const attention("blocks.0.attn", 2, 3);
    std::vector<qtk::network_product> all;
    auto const add = [&](qtk::network_product const& p) { all.push_back(p); };
    attention.for_each_product(4, add);
    REQUIRE(all.size() == 2);
    CHECK(all[0].name == "blocks.0.attn.scores");
    CHECK(all[1].name == "blocks.0.attn.values");
    for (auto const& p : all) {
        CHECK(p.attention == &attention);
        CHECK(p.macs() == 2 * 3 * 3 * 4);
    }
}

TEST_CASE("a grid needs a scale") {
    vit_attention attention("blocks.0.attn", 2, 3);
    CHECK_THROWS_WITH_AS(attention.set_rounding({.q = qtk::activation_grid{}}),
                         doctest::Contains("blocks.0.attn"), qtk::value_error);
    qtk::attention_rounding rounding;
    rounding.q = qtk::activation_grid{.scale = 0.5f};
    attention.set_rounding(rounding);
    CHECK(attention.rounding().q->scale == 0.5f);
}
