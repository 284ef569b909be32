// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/code_lanes.hpp>
#include <qtk/kernel/avx512/code_lanes.hpp>
#include <qtk/kernel/encode.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <vector>

TEST_CASE("minifloats keep the sign of zero whether scales are divided by or not") {
    qtk::tile_quantizer<qtk::e2m1, qtk::origin::fixed> const q;
    std::vector<float> const x(64, -0.0f);
    for (qtk::instruction_set const set : cases::usable_sets())
        for (bool const is_bounded : {false, true}) {
            qtk::tile_params const p{0.3f, 0};
            std::vector<std::uint8_t> fields(64);
            qtk::encode_tiles(set, q, &p, x, 0, 64, is_bounded, false, {}, fields.data());
            CHECK(fields == std::vector<std::uint8_t>(64, 8));
        }
}

TEST_CASE("a chance below the fraction goes up, every lane with its own word of the stream") {
    qtk::tile_quantizer<qtk::i8, qtk::origin::fixed, qtk::rounding::stochastic> const q;
    std::vector<float> const x(200, 0.5f);
    for (qtk::instruction_set const set : cases::usable_sets()) {
        std::vector<std::uint8_t> fields(200);
        qtk::dither_source const dither{.seed = 11, .first = 1000};
        qtk::encode_span(set, q, x, {1.0f, 128}, fields.data(), dither);
        for (std::size_t i = 0; i < x.size(); ++i)
            CHECK(fields[i] == (dither.at(i) < 0.5f ? 129 : 128));
    }
}
