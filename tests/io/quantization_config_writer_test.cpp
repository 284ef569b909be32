// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/layer_layout.hpp>
#include <qtk/io/quantization_config_reader.hpp>
#include <qtk/io/quantization_config_writer.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>

namespace {

using qtk::weight_layout;

void check_round_trip(qtk::quantization_config const& c) {
    std::string const text = qtk::to_json(c).dump();
    CAPTURE(text);
    auto const read = qtk::parse_quantization_config(qtk::parse_strict_json(text, "c"), "c");
    CHECK(read.layout == c.layout);
    CHECK(read.scheme.element == c.scheme.element);
    CHECK(read.scheme.grain == c.scheme.grain);
    CHECK(read.scheme.zero == c.scheme.zero);
    CHECK(read.version == c.version);
    CHECK(read.has_order == c.has_order);
    CHECK(read.is_nested == c.is_nested);
    CHECK(read.is_packed == c.is_packed);
    CHECK(read.ignored.size() == c.ignored.size());
}

}  // namespace

TEST_CASE("a configuration that is written says the same when it is read") {
    for (auto const& [layout, text] :
         {std::pair(weight_layout::gptq, "i3/g64/asym"),
          std::pair(weight_layout::gptq, "i4/channel"), std::pair(weight_layout::awq, "i4/g32"),
          std::pair(weight_layout::awq, "i4/channel/asym"),
          std::pair(weight_layout::bitsandbytes, "nf4/g64"),
          std::pair(weight_layout::bitsandbytes, "i8/channel"),
          std::pair(weight_layout::compressed_tensors, "i4/g128/asym"),
          std::pair(weight_layout::compressed_tensors, "i8/channel"),
          std::pair(weight_layout::compressed_tensors, "nvfp4"),
          std::pair(weight_layout::compressed_tensors, "mxfp4")}) {
        auto c = qtk::quantization_config_for(layout, qtk::parse_scheme(text));
        check_round_trip(c);
        c.ignored = {"model.layers.0.mlp"};
        check_round_trip(c);
    }
    auto gptq = qtk::quantization_config_for(weight_layout::gptq, qtk::parse_scheme("i4/g32"));
    gptq.version = qtk::gptq_version::v2, gptq.has_order = true;
    check_round_trip(gptq);
    auto nested =
        qtk::quantization_config_for(weight_layout::bitsandbytes, qtk::parse_scheme("fp4/g64"));
    nested.is_nested = true;
    check_round_trip(nested);
    for (char const* const text : {"i8/channel", "e4m3/channel"}) {
        auto plain = qtk::quantization_config_for(weight_layout::compressed_tensors,
                                                  qtk::parse_scheme(text));
        plain.is_packed = false;
        check_round_trip(plain);
    }
}

TEST_CASE("GPTQ names a layer that stays floats by a regular expression") {
    qtk::quantization_config c;
    c.ignored = {"model.layers.0.fc", "lm_head"};
    CHECK(qtk::to_json(c)["dynamic"].dump() == R"({"-:^model\\.layers\\.0\\.fc$":{}})");
    CHECK(qtk::to_json(c)["group_size"] == 128);
    c.scheme.grain = qtk::per_channel;
    CHECK(qtk::to_json(c)["group_size"] == -1);
}

TEST_CASE("layers with a scheme of their own are read as they were written") {
    for (auto const layout : {weight_layout::gptq, weight_layout::compressed_tensors}) {
        auto c = qtk::quantization_config_for(layout, qtk::parse_scheme("i4/g64/asym"));
        auto const own = qtk::quantization_config_for(layout, qtk::parse_scheme("i8/channel"));
        c.groups = {{qtk::layer_targets({"layers.0.down", "layers.10.down"}), own.scheme, true}};
        std::string const text = qtk::to_json(c).dump();
        CAPTURE(text);
        auto const read = qtk::parse_quantization_config(qtk::parse_strict_json(text, "c"), "c");
        for (char const* const layer : {"layers.0.down", "layers.10.down"}) {
            CHECK(qtk::config_for(read, layer).scheme.element == qtk::i8);
            CHECK(qtk::config_for(read, layer).scheme.grain == qtk::per_channel);
            CHECK(qtk::config_for(read, layer).has_order);
        }
        for (char const* const layer : {"layers.1.down", "layers.0.down2", "layers_0.down"}) {
            CHECK(qtk::config_for(read, layer).scheme.element == qtk::i4);
            CHECK(qtk::config_for(read, layer).scheme.has_zero_point());
            CHECK_FALSE(qtk::config_for(read, layer).has_order);
        }
    }
}
