// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/vit_gradient.hpp>

#include <doctest/doctest.h>

#include "part_gradients.hpp"

TEST_CASE("the gradients of every part of a ViT agree with differences") {
    qtk_test::check_parts(qtk_test::load_folder(qtk_test::tiny_vit(), 2), {6, 6, 3});
}
