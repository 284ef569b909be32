// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/product_isa.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

// product_test.cpp compares every kernel; here: that a set falls back to a plainer one's kernels.
TEST_CASE("every usable instruction set has a product") {
    cases::product const p({.element = qtk::i8, .grain = qtk::per_channel}, {2, 33, 40});
    for (qtk::instruction_set const isa : cases::usable_isas())
        for (auto const type : {qtk::activation_type::f32, qtk::activation_type::bf16,
                                qtk::activation_type::a8_row}) {
            std::vector<float> const y = p.on(isa, {.activations = type});
            CHECK(std::count(y.begin(), y.end(), -1.0f) == 0);
        }
}
