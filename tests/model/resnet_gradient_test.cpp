// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/resnet_gradient.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "part_gradients.hpp"

TEST_CASE("the gradients of every part of a ResNet agree with differences") {
    qtk_test::check_parts(qtk_test::load_folder(qtk_test::tiny_resnet(3)), {4, 4, 3}, 2e-4f);
}

TEST_CASE("those of bottlenecks, behind a stem with a max pool") {
    qtk_test::check_parts(qtk_test::load_folder(qtk_test::tiny_bottlenecks()), {11, 11, 3}, 2e-4f);
}
