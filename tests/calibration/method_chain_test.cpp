// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/method_chain.hpp>
// The header under test comes first, so that it is seen to need nothing else.

#include <doctest/doctest.h>

TEST_CASE("a chain says what it needs to see") {
    qtk::method_chain chain;
    CHECK_FALSE(chain.needs_text());
    chain.transforms = {qtk::rotate_step{}};
    CHECK_FALSE(chain.needs_text());  // a rotation is the same for every text
    CHECK(chain.has_transform<qtk::rotate_step>());
    chain.transforms = {qtk::awq_step{}};
    CHECK(chain.needs_text());
    CHECK_FALSE(chain.needs_statistics());

    chain = {.name = "gptq", .rounding = qtk::gptq_step{}};
    CHECK(chain.needs_hessian());
    CHECK(chain.needs_statistics());
    chain.rounding = qtk::imatrix_step{};
    CHECK_FALSE(chain.needs_hessian());
    CHECK(chain.needs_statistics());
    chain.rounding = qtk::rtn_step{};
    CHECK_FALSE(chain.needs_statistics());
    chain.corrects_bias = true;
    CHECK(chain.needs_statistics());
}

TEST_CASE("layers that are learned together need no Hessian of each") {
    qtk::method_chain chain{.rounding = qtk::adaround_step{}};
    CHECK(chain.needs_hessian());
    chain.rounding = qtk::adaround_step{.options = {}, .is_by_block = true};
    CHECK(chain.is_by_block());
    CHECK_FALSE(chain.needs_hessian());
    CHECK(chain.needs_text());
    chain.rounding = qtk::outlier_step{};
    CHECK_FALSE(chain.is_by_block());
    CHECK(chain.needs_text());
}
