// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/quantization_config.hpp>

#include <doctest/doctest.h>

TEST_CASE("layouts have the names of quant_method") {
    for (auto const& [layout, name] : qtk::weight_layouts) CHECK(qtk::name_of(layout) == name);
    CHECK(qtk::name_of(qtk::weight_layout::compressed_tensors) == "compressed-tensors");
}

TEST_CASE("a layer has the scheme of the group that fits it most closely, else that of all") {
    qtk::quantization_config c;
    c.version = qtk::gptq_version::v2;
    c.groups = {{qtk::layer_targets({"re:a"}), {.element = qtk::i8}, true, false},
                {qtk::layer_targets({"ab"}), {.element = qtk::i3}}};
    CHECK(qtk::config_for(c, "b").scheme == c.scheme);
    auto const a = qtk::config_for(c, "ac");
    CHECK(a.scheme.element == qtk::i8);
    CHECK(a.has_order);
    CHECK_FALSE(a.is_packed);
    CHECK(a.version == qtk::gptq_version::v2);
    CHECK(a.groups.empty());
    CHECK(qtk::config_for(c, "ab").scheme.element == qtk::i3);
    c.covers_all = false;
    CHECK_THROWS_AS(static_cast<void>(qtk::config_for(c, "b")), qtk::value_error);
}
