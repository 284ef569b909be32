// SPDX-License-Identifier: Apache-2.0
#include <qtk/calibration/method_spelling.hpp>
// The header under test comes first, so that it is seen to need nothing else.

#include <doctest/doctest.h>

using qtk::parse_method;

TEST_CASE("round to nearest, with min-max or searched intervals") {
    CHECK(std::holds_alternative<qtk::minmax_range>(
        parse_method("rtn").find<qtk::rtn_step>()->range));
    CHECK(std::holds_alternative<qtk::mse_range>(parse_method("mse").find<qtk::rtn_step>()->range));
}

TEST_CASE("GPTQ takes its options in any order") {
    qtk::method_chain const plain = parse_method("gptq");
    CHECK(plain.name == "gptq");
    REQUIRE(plain.find<qtk::gptq_step>() != nullptr);
    CHECK(plain.find<qtk::gptq_step>()->options.order == qtk::gptq_order::natural);
    CHECK(plain.find<qtk::gptq_step>()->options.damping == 0.01f);
    CHECK_FALSE(plain.find<qtk::gptq_step>()->is_sequential);

    qtk::method_chain const all = parse_method("gptq:damp=0.05:sequential:mse:fixed:act");
    qtk::gptq_step const& step = *all.find<qtk::gptq_step>();
    CHECK(step.options.order == qtk::gptq_order::activation);
    CHECK(step.options.groups == qtk::gptq_groups::fixed);
    CHECK(std::holds_alternative<qtk::mse_range>(step.options.range));
    CHECK(step.options.damping == 0.05f);
    CHECK(step.is_sequential);
}

TEST_CASE("steps combine from transforms to the bias") {
    qtk::method_chain const chain = parse_method("smooth:0.8+awq:duo:noclip+rotate:7+gptq+bias");
    REQUIRE(chain.transforms.size() == 3);
    CHECK(std::get<qtk::smooth_step>(chain.transforms[0]).options.alpha == 0.8f);
    CHECK(std::get<qtk::awq_step>(chain.transforms[1]).options.search.is_duo);
    CHECK_FALSE(std::get<qtk::awq_step>(chain.transforms[1]).options.clips);
    CHECK(std::get<qtk::rotate_step>(chain.transforms[2]).seed == 7);
    CHECK(chain.find<qtk::gptq_step>() != nullptr);
    CHECK(chain.corrects_bias);
    CHECK_FALSE(std::get<qtk::smooth_step>(parse_method("smooth:search").transforms[0])
                    .options.alpha.has_value());
    CHECK(std::get<qtk::awq_step>(parse_method("awq:layers").transforms[0]).options.judge ==
          qtk::awq_judge::layers);
    CHECK(parse_method("awq").find<qtk::rtn_step>() != nullptr);
}

TEST_CASE("learned codes are for a layer or for a block, with their number of steps") {
    auto const layer = parse_method("adaround:steps=50:mse");
    CHECK_FALSE(layer.is_by_block());
    CHECK(layer.needs_hessian());
    CHECK(layer.find<qtk::adaround_step>()->options.steps == 50);
    CHECK(std::holds_alternative<qtk::mse_range>(layer.find<qtk::adaround_step>()->options.range));
    auto const block = parse_method("brecq:steps=30:fisher=16");
    CHECK(block.is_by_block());
    CHECK_FALSE(block.needs_hessian());
    CHECK(block.find<qtk::adaround_step>()->block.steps == 30);
    CHECK(block.find<qtk::adaround_step>()->options.steps == 30);
    CHECK(block.find<qtk::adaround_step>()->fisher_windows == 16);
    CHECK(parse_method("autoround").is_by_block());
    CHECK_FALSE(parse_method("autoround:layer").is_by_block());
    CHECK(parse_method("omniquant").find<qtk::omniquant_step>()->is_by_block);
    CHECK(parse_method("outliers:0.01").find<qtk::outlier_step>()->share == 0.01);
}

TEST_CASE("what is no method is refused with what was expected") {
    auto const refuses = [](char const* text, char const* error) {
        CHECK_THROWS_WITH_AS(static_cast<void>(parse_method(text)), error, qtk::value_error);
    };
    refuses("gptq:fast",
            "method \"gptq:fast\": expected an option of the step (see the list of methods), found "
            "\"fast\"");
    refuses("gptq:damp=x",
            "method \"gptq:damp=x\": expected a number behind damp=, found \"damp=x\"");
    refuses(
        "gptq+awq",
        "method \"gptq+awq\": expected smooth, awq and rotate first, then at most one step that "
        "finds codes, then bias, found \"awq\"");
    refuses(
        "rtn+gptq",
        "method \"rtn+gptq\": expected smooth, awq and rotate first, then at most one step that "
        "finds codes, then bias, found \"gptq\"");
    refuses("rotate+gptq:act",
            "method \"rotate+gptq:act\": rotated columns cannot be sorted as well. Hint: "
            "gptq:act:fixed");
    for (char const* const text : {"", "gptq2", "rtn:act", "bias+rtn", "awq+", "smooth:2x",
                                   "adaround:fisher=3", "brecq:layer", "gptq::act"})
        CHECK_THROWS_AS(static_cast<void>(parse_method(text)), qtk::value_error);
}
