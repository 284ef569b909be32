// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/decoder_config.hpp>

#include <doctest/doctest.h>

TEST_CASE("without a window every layer sees all, with one the first may") {
    qtk::decoder_config c;
    CHECK(c.window_of(0) == 0);
    c.full_layers = 2;
    CHECK(c.window_of(5) == 0);
    c.window = 9;
    CHECK(c.window_of(0) == 0);
    CHECK(c.window_of(1) == 0);
    CHECK(c.window_of(2) == 9);
}

TEST_CASE("what a configuration does not say is the plain choice") {
    qtk::decoder_config const c;
    CHECK(c.scaling == qtk::rope_scaling{});
    CHECK(c.scaling.type == qtk::rope_scaling::kind::none);
    CHECK(c.pairs == qtk::rope_pairs::halves);
    CHECK(c.normalizes_first);
    CHECK(c.has_last_norm);
    CHECK(c.eos.empty());
}
