// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/product_options.hpp>

#include <doctest/doctest.h>

TEST_CASE("segments follow the groups, and cut what is longer than 512") {
    using qtk::activation_type;
    auto const units = [](int group, activation_type type) {
        qtk::scheme s{.element = qtk::i4};
        s.grain = {.rows = 1, .cols = group};
        return qtk::detail::plan_for(qtk::packed_layout(s, 32, 4096), type).units;
    };
    CHECK(units(128, activation_type::a8_group) == 4);
    CHECK(units(512, activation_type::a8_group) == 16);
    CHECK(units(1024, activation_type::a8_group) == 4);
    CHECK(units(0, activation_type::a8_group) == 4);
    CHECK(units(128, activation_type::a8_row) == 4);
    CHECK(units(0, activation_type::a8_row) == 128);
}
