// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/layer_layout.hpp>
#include <qtk/io/quantization_config_reader.hpp>
#include <qtk/io/safetensors.hpp>

#include <doctest/doctest.h>

#include "random_layer.hpp"
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <utility>

namespace {

std::filesystem::path const folder = std::filesystem::path(QTK_GOLDEN_DIR) / "layouts";

qtk::quantization_config config_of(std::string const& text) {
    return qtk::parse_quantization_config(qtk::parse_strict_json(text, "metadata"), "metadata");
}

/// The largest |found - expected| / |expected| of a case in a file of make_layouts.py.
double largest_difference(qtk::safetensors_file const& file, std::string const& name) {
    auto const weight = qtk::read_layer(file, name, config_of(file.metadata().at(name))).weight;
    auto const& info = file.at(name + ".expected");
    auto const expected = file.floats(info);
    REQUIRE(info.shape == std::vector<std::uint64_t>{weight.matrix.rows(), weight.matrix.cols()});
    auto const found = qtk::decode_in_order(weight);
    double most = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i)
        if (found.data()[i] != expected[i])
            most = std::max(most, static_cast<double>(std::abs(found.data()[i] - expected[i]) /
                                                      std::abs(expected[i])));
    return most;
}

}  // namespace

TEST_CASE("layers written by other programs stand for the floats that these decode") {
    std::size_t cases = 0;
    for (char const* const name : {"gptq", "awq", "bitsandbytes", "compressed_tensors"}) {
        auto const file =
            qtk::safetensors_file::open(folder / (std::string(name) + ".safetensors"));
        for (auto const& [layer, config] : file.metadata()) {
            CAPTURE(layer);
            // Codes times SCB / 127 and codes times SCB, over 127, differ in their last bit.
            CHECK(largest_difference(file, layer) <= (layer == "int8" ? 0x1p-22 : 0.0));
            ++cases;
        }
    }
    CHECK(cases == 27);
}

TEST_CASE("codes go from GPTQ to AWQ to compressed-tensors and back without change") {
    auto const s = qtk::parse_scheme("i4/g16/asym/f16");
    auto v1 = qtk::quantization_config_for(qtk::weight_layout::gptq, s), v2 = v1;
    v2.version = qtk::gptq_version::v2;
    auto const awq = qtk::quantization_config_for(qtk::weight_layout::awq, s);
    auto const words = qtk::quantization_config_for(qtk::weight_layout::compressed_tensors, s);
    qtk::ordered_qmatrix const first{test::random_layer(s, 24, 48), {}};
    qtk::ordered_qmatrix q = first;
    auto const start = qtk::encode_layer(first, v1);
    for (auto const& config : {v1, v2, awq, words, v2, words, awq, v1}) {
        auto const file = qtk::encode_layer(q, config);
        CHECK(file.is_exact);
        q = qtk::read_layer(qtk::layer_tensors(file, "p"), config).weight;
        CHECK(q == first);
    }
    auto const end = qtk::encode_layer(q, v1);
    for (std::size_t i = 0; i < start.tensors.size(); ++i)
        CHECK(start.tensors[i].bytes == end.tensors[i].bytes);
}

TEST_CASE("an order of columns goes from GPTQ to compressed-tensors and back") {
    auto const s = qtk::parse_scheme("i8/g16/sym/f16");
    auto const gptq = qtk::quantization_config_for(qtk::weight_layout::gptq, s);
    auto words = qtk::quantization_config_for(qtk::weight_layout::compressed_tensors, s);
    words.has_order = true;
    auto const first = test::dealt_layer(s, 8, 48);
    auto const through =
        qtk::read_layer(qtk::layer_tensors(qtk::encode_layer(first, words), "p"), words).weight;
    CHECK(through == first);
    CHECK(qtk::read_layer(qtk::layer_tensors(qtk::encode_layer(through, gptq), "p"), gptq).weight ==
          first);
}

TEST_CASE("plans, suffixes and marks are those of the tensors that are encoded") {
    for (auto const& [layout, text] :
         {std::pair(qtk::weight_layout::gptq, "i4/g16/asym"),
          std::pair(qtk::weight_layout::awq, "i4/g16/asym"),
          std::pair(qtk::weight_layout::bitsandbytes, "nf4/g32"),
          std::pair(qtk::weight_layout::bitsandbytes, "fp4/g64"),
          std::pair(qtk::weight_layout::bitsandbytes, "i8/channel"),
          std::pair(qtk::weight_layout::compressed_tensors, "i4/g16/asym"),
          std::pair(qtk::weight_layout::compressed_tensors, "e4m3/channel"),
          std::pair(qtk::weight_layout::compressed_tensors, "mxfp4"),
          std::pair(qtk::weight_layout::compressed_tensors, "nvfp4")}) {
        CAPTURE(text);
        auto const s = qtk::parse_scheme(text);
        auto const config = qtk::quantization_config_for(layout, s);
        qtk::ordered_qmatrix const q{test::random_layer(s, 8, 64), {}};
        auto const file = qtk::encode_layer(q, config);
        auto const plan = qtk::plan_layer({8, 64}, config);
        auto const known = qtk::layer_suffixes(config);
        REQUIRE(plan.size() == file.tensors.size());
        for (std::size_t i = 0; i < plan.size(); ++i) {
            CHECK(plan[i].suffix == file.tensors[i].plan.suffix);
            CHECK(plan[i].type == file.tensors[i].plan.type);
            CHECK(plan[i].shape == file.tensors[i].plan.shape);
            CHECK(std::ranges::find(known, plan[i].suffix) != known.end());
        }
        CHECK(file.find(qtk::layer_mark(config)) != nullptr);
        auto const read = qtk::read_layer(qtk::layer_tensors(file, "p"), config).weight;
        CHECK(read.matrix.scheme().element == s.element);
        auto const found = qtk::decode_in_order(read), expected = qtk::decode_in_order(q);
        for (std::size_t i = 0; i < expected.view().size(); ++i)
            CHECK(found.data()[i] == doctest::Approx(expected.data()[i]).epsilon(1e-6));
        CHECK((found == expected || !file.is_exact));
    }
}

TEST_CASE("schemes that a layout does not have are refused before anything is quantized") {
    using enum qtk::weight_layout;
    for (auto const& [layout, text] :
         {std::pair(gptq, "i5/g16"), std::pair(gptq, "nf4/g64"), std::pair(gptq, "e4m3/channel"),
          std::pair(awq, "i8/g16"), std::pair(awq, "nf4/g64"), std::pair(bitsandbytes, "i4/g64"),
          std::pair(bitsandbytes, "nf4/g48"), std::pair(bitsandbytes, "nf4/channel"),
          std::pair(bitsandbytes, "i8/channel/asym"), std::pair(compressed_tensors, "nf4/g64"),
          std::pair(compressed_tensors, "e2m1/g64"),
          std::pair(compressed_tensors, "e5m2/channel")}) {
        CAPTURE(text);
        CHECK_THROWS_AS(
            static_cast<void>(qtk::quantization_config_for(layout, qtk::parse_scheme(text))),
            qtk::value_error);
    }
    CHECK(qtk::quantization_config_for(gptq, qtk::parse_scheme("i4/tensor")).scheme.grain ==
          qtk::per_channel);
}
