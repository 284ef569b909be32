// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/compressed_fp4_file.hpp>

#include <doctest/doctest.h>

#include "random_layer.hpp"
#include <string>
#include <vector>

namespace {

using qtk::encode_compressed_fp4, qtk::read_compressed_fp4;
using test::bent_layer, test::random_layer;

bent_layer bent(qtk::scheme const& s = qtk::nvfp4) {
    return {encode_compressed_fp4({random_layer(s, 3, 64), {}})};
}
std::string refusal(bent_layer const& layer, qtk::scheme const& s = qtk::nvfp4) {
    return layer.refusal([&](qtk::layer_tensors const& t) { return read_compressed_fp4(t, s); });
}

}  // namespace

TEST_CASE("the first code of two lies in the low nibble, and the tensor's scale divides") {
    auto q = random_layer(qtk::nvfp4, 1, 16);
    std::vector<std::uint8_t> fields(16, 0);
    fields[0] = 2, fields[1] = 5;  // 1 and 3
    q.set_row(0, fields);
    q.set_params(std::vector<qtk::tile_params>{{0.25f, 0}}, 0.125f);
    auto const file = encode_compressed_fp4({q, {}});
    CHECK(file.find("weight_packed")->bytes[0] == std::byte{0x52});
    CHECK(file.find("weight_scale")->bytes == std::vector<std::byte>{std::byte{0x40}});  // 2
    CHECK(test::words_in(file, "weight_global_scale") == std::vector<std::uint32_t>{0x41000000});
    CHECK(qtk::decode_in_order(read_compressed_fp4({file, "p"}, qtk::nvfp4).weight)(0, 1) == 0.75f);
}

TEST_CASE("matrices of mxfp4 and nvfp4 come back from their files") {
    for (qtk::scheme const& s : {qtk::mxfp4, qtk::nvfp4}) {
        auto const q = random_layer(s, 5, 96);
        auto const file = encode_compressed_fp4({q, {}});
        auto const plan = qtk::plan_compressed_fp4({5, 96}, s);
        REQUIRE(plan.size() == file.tensors.size());
        for (std::size_t i = 0; i < plan.size(); ++i)
            CHECK(plan[i].shape == file.tensors[i].plan.shape);
        CHECK(file.is_exact);
        CHECK(read_compressed_fp4({file, "p"}, s).weight == qtk::ordered_qmatrix{q, {}});
    }
}

TEST_CASE("a tensor's scale whose reciprocal is rounded is told") {
    auto q = random_layer(qtk::nvfp4, 1, 16);
    for (float scale = 1.0f; scale < 2.0f; scale += 0.0137f) {
        q.set_params(std::vector<qtk::tile_params>{{scale, 0}}, scale);
        auto const file = encode_compressed_fp4({q, {}});
        auto const read = read_compressed_fp4({file, "p"}, qtk::nvfp4).weight.matrix;
        CHECK(file.is_exact == (read == q));
        CHECK(file.largest_scale_change < 0x1p-23);
    }
}

TEST_CASE("other schemes, and rows that do not end with a group, are refused") {
    CHECK_THROWS_WITH_AS(
        static_cast<void>(encode_compressed_fp4({random_layer({.element = qtk::i4}, 2, 32), {}})),
        "compressed-tensors of 4-bit floats: expected mxfp4 or nvfp4, found i4/tensor/sym/f32",
        qtk::value_error);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(encode_compressed_fp4({random_layer(qtk::mxfp4, 2, 48), {}})),
        "compressed-tensors: input columns: expected a multiple of 32, found 48", qtk::shape_error);
    CHECK_THROWS_AS(static_cast<void>(encode_compressed_fp4(test::dealt_layer(qtk::mxfp4, 2, 64))),
                    qtk::value_error);
}

TEST_CASE("a malformed layer of 4-bit floats gets one clear error") {
    CHECK(refusal(bent()) == "accepted");
    CHECK(refusal(bent(qtk::mxfp4), qtk::mxfp4) == "accepted");
    CHECK(refusal(bent().erase("weight_packed")) == "the tensor weight_packed is missing");
    CHECK(refusal(bent().erase("weight_global_scale")) ==
          "the tensor weight_global_scale is missing");
    CHECK(refusal(bent().reshape("weight_packed", {3, 12})) ==
          "compressed-tensors: input columns: expected a multiple of 16, found 24");
    CHECK(refusal(bent(), qtk::mxfp4) == "weight_scale: expected U8 [3, 2], found F8_E4M3 [3, 4]");
    CHECK(refusal(bent().set("weight_global_scale", 0, 0.0f))
              .starts_with("weight_global_scale: expected a positive number"));
    CHECK(refusal(bent().set<std::uint8_t>("weight_scale", 5, 0x7f)) ==
          "weight_scale: expected finite scales, found NaN or infinity at row 1, group 1");
    CHECK(refusal(bent(qtk::mxfp4).set<std::uint8_t>("weight_scale", 5, 255), qtk::mxfp4) ==
          "weight_scale: expected finite scales, found NaN or infinity at row 2, group 1");
}
