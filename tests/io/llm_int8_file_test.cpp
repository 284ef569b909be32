// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/llm_int8_file.hpp>

#include <doctest/doctest.h>

#include "random_layer.hpp"
#include <limits>
#include <string>
#include <vector>

namespace {

using qtk::encode_llm_int8, qtk::read_llm_int8;
using test::bent_layer, test::random_layer;

qtk::scheme const by_row{.element = qtk::i8, .grain = qtk::per_channel};

bent_layer bent() {
    return {encode_llm_int8({random_layer(by_row, 3, 5), {}})};
}
std::string refusal(bent_layer const& layer) {
    return layer.refusal([](qtk::layer_tensors const& t) { return read_llm_int8(t); });
}

}  // namespace

TEST_CASE("codes are two's complement and SCB is what 127 stands for") {
    qtk::any_qmatrix q(by_row, 1, 3);
    q.set_row(0, std::vector<std::uint8_t>{128 - 127, 128, 128 + 5});
    q.set_params(std::vector<qtk::tile_params>{{0.5f, 128}});
    auto const file = encode_llm_int8({q, {}});
    CHECK(file.find("weight")->bytes ==
          std::vector<std::byte>{std::byte{0x81}, std::byte{0}, std::byte{5}});
    CHECK(test::words_in(file, "SCB") == std::vector<std::uint32_t>{0x427e0000});  // 63.5
    CHECK(file.is_exact);
    CHECK(read_llm_int8({file, "p"}).weight.matrix == q);
}

TEST_CASE("scales differ by a unit in the last place, and encoding says so") {
    auto q = random_layer(by_row, 1000, 2);
    auto const gauss = qtk::gaussian_vector(1000, 3);
    std::vector<qtk::tile_params> params;
    for (float const x : gauss) params.push_back({x * x + 0.01f, 128});
    q.set_params(params);
    auto const file = encode_llm_int8({q, {}});
    CHECK(file.largest_scale_change < 0x1p-23);
    auto const read = read_llm_int8({file, "p"}).weight.matrix;
    CHECK(file.is_exact == (read == q));
    for (std::size_t r = 0; r < 1000; ++r)
        CHECK(read.scale(r, 0) == doctest::Approx(params[r].scale).epsilon(1e-6));
}

TEST_CASE("other schemes are refused") {
    for (char const* const text : {"i8/g4", "i8/channel/asym", "i4/channel", "e4m3/channel"})
        CHECK_THROWS_AS(
            static_cast<void>(encode_llm_int8({random_layer(qtk::parse_scheme(text), 3, 8), {}})),
            qtk::value_error);
    // One scale of all is one of each row.
    CHECK(encode_llm_int8({random_layer({.element = qtk::i8}, 3, 8), {}}).tensors.size() == 3);
}

TEST_CASE("a malformed layer of LLM.int8() gets one clear error") {
    CHECK(refusal(bent()) == "accepted");
    CHECK(refusal(bent().erase("weight_format")) == "accepted");
    CHECK(refusal(bent().erase("weight")) == "the tensor weight is missing");
    CHECK(refusal(bent().erase("SCB")) == "the tensor SCB is missing");
    CHECK(refusal(bent().retype("weight", qtk::dtype::u8)) ==
          "weight: expected I8 with two axes that are not empty, found U8 [3, 5]");
    CHECK(refusal(bent().reshape("SCB", {4})) == "SCB: expected F32 [3], found F32 [4]");
    CHECK(refusal(bent().set("SCB", 1, std::numeric_limits<float>::infinity()))
              .starts_with("SCB: expected finite values, found 1 NaN or infinite, the first at "
                           "index 1"));
    CHECK(refusal(bent().set<std::uint8_t>("weight_format", 0, 2)) ==
          "weight_format: expected one U8 of 0: rows as they are, found U8 []");
}
