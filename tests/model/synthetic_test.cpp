// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/synthetic.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

TEST_CASE("the shapes are those of the published tables") {
    auto const gpt2 = qtk::shape_of("124M").config;
    CHECK(gpt2.layers == 12);
    CHECK(gpt2.width == 768);
    auto const large = qtk::shape_of("1B").config;
    CHECK(large.inner == 8192);
    CHECK(large.kv_heads == 8);
    CHECK_THROWS_WITH_AS((void)qtk::shape_of("2B"), doctest::Contains("15M, 124M, 350M, 1B"),
                         qtk::value_error);
}

TEST_CASE("a network of random weights computes finite logits, the same for the same seed") {
    for (char const* const family : {"124M", "15M"}) {
        qtk::decoder_config config = qtk::shape_of(family).config;
        config.layers = 2, config.vocabulary = 64, config.context = 16;
        auto const first = qtk::synthetic_decoder(config, 1),
                   same = qtk::synthetic_decoder(config, 1),
                   other = qtk::synthetic_decoder(config, 2);
        std::vector<std::int32_t> const tokens{1, 5, 63};
        qtk::kv_cache a(config, 16), b(config, 16), c(config, 16);
        auto const logits = first.next_logits(tokens, a);
        CHECK(logits.size() == 64);
        for (float const v : logits) CHECK(std::isfinite(v));
        CHECK(logits == same.next_logits(tokens, b));
        CHECK(logits != other.next_logits(tokens, c));
    }
}
