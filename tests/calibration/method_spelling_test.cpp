// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/method_spelling.hpp>
// The header under test comes first, so that it is seen to need nothing else.

#include <doctest/doctest.h>

TEST_CASE("round to nearest, with min-max or searched intervals") {
    CHECK(std::holds_alternative<qtk::minmax_range>(
        qtk::parse_method("rtn").find<qtk::rtn_step>()->range));
    CHECK(std::holds_alternative<qtk::mse_range>(
        qtk::parse_method("mse").find<qtk::rtn_step>()->range));
}

TEST_CASE("GPTQ takes its options in any order") {
    qtk::method_chain const plain = qtk::parse_method("gptq");
    CHECK(plain.name == "gptq");
    REQUIRE(plain.find<qtk::gptq_step>() != nullptr);
    CHECK(plain.find<qtk::gptq_step>()->options.order == qtk::gptq_order::natural);
    CHECK(plain.find<qtk::gptq_step>()->options.damping == 0.01f);
    CHECK_FALSE(plain.find<qtk::gptq_step>()->is_sequential);

    qtk::method_chain const all = qtk::parse_method("gptq:damp=0.05:sequential:mse:fixed:act");
    qtk::gptq_step const& step = *all.find<qtk::gptq_step>();
    CHECK(step.options.order == qtk::gptq_order::activation);
    CHECK(step.options.groups == qtk::gptq_groups::fixed);
    CHECK(std::get<qtk::mse_range>(step.options.range).norm == 2.4f);
    CHECK(step.options.damping == 0.05f);
    CHECK(step.is_sequential);
}

TEST_CASE("what is no method is refused with what was expected") {
    auto const refuses = [](char const* text, char const* error) {
        CHECK_THROWS_WITH_AS(static_cast<void>(qtk::parse_method(text)), error, qtk::value_error);
    };
    refuses("gptq:fast",
            "method \"gptq:fast\": expected act, fixed, mse, sequential or damp=NUMBER, found "
            "\"fast\"");
    refuses("gptq:damp=x",
            "method \"gptq:damp=x\": expected a number behind damp=, found \"damp=x\"");
    CHECK_THROWS_AS(static_cast<void>(qtk::parse_method("")), qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::parse_method("gptq2")), qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::parse_method("rtn:act")), qtk::value_error);
}
