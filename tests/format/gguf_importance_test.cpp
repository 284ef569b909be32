// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gguf_importance.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

TEST_CASE("a value counts as its column and as its size") {
    std::vector<float> const x{3.0f, 0.0f}, importance{9.0f, 9.0f, 2.0f, 5.0f};
    auto const weights = qtk::detail::weights_of_run<2>(x, {importance}, 2, 16.0f);
    CHECK(weights == std::array{10.0f, 20.0f});
    CHECK(qtk::detail::sum_of(weights) == 30.0f);
    CHECK(qtk::detail::mean_square(x) == 4.5f);
    std::vector<float> const none(2);
    CHECK(qtk::detail::weights_of_run<2>(x, {none}, 0, 16.0f) == std::array{5.0f, 4.0f});
}

TEST_CASE("blocks whose column counts alone keep its value") {
    std::array<float, 32> x{}, importance{}, back{};
    for (std::size_t i = 0; i < 32; ++i) x[i] = std::sin(static_cast<float>(i));
    x[5] = 0.77f;
    importance[5] = 1.0f;
    qtk::detail::block_weights const by{importance, qtk::detail::mean_square(x)};
    auto const error = [&]<typename Block>(Block const& block) {
        block.decode(back);
        return std::fabs(back[5] - x[5]);
    };
    constexpr float half_precision = 0x1p-11f, half_a_step = 1.0f;  // values lie in -1 .. 1
    CHECK(error(qtk::detail::encode_weighted<qtk::q4_0_block>(x, by)) < half_precision);
    CHECK(error(qtk::detail::encode_weighted<qtk::q5_0_block>(x, by)) < half_precision);
    CHECK(error(qtk::detail::encode_weighted<qtk::iq4_nl_block>(x, by)) < half_precision);
    CHECK(error(qtk::detail::encode_weighted<qtk::q4_1_block>(x, by)) < half_a_step / 15.0f);
    CHECK(error(qtk::detail::encode_weighted<qtk::q5_1_block>(x, by)) < half_a_step / 31.0f);
}
