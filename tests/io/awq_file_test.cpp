// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/awq_file.hpp>

#include <doctest/doctest.h>

#include "../format/packing_goldens.hpp"
#include "random_layer.hpp"
#include <string>
#include <vector>

namespace {

using qtk::awq_layout, qtk::encode_awq, qtk::read_awq;
using test::bent_layer, test::dealt_layer, test::random_layer, test::words_in;

qtk::scheme scheme_of(int group, bool is_symmetric = false) {
    return {.element = qtk::i4,
            .grain = {.rows = 1, .cols = group},
            .zero = is_symmetric ? qtk::origin::fixed : qtk::origin::floating,
            .scale = qtk::scale_type::f16};
}
bent_layer bent() {
    return {encode_awq({random_layer(scheme_of(8), 16, 24), {}}, {8})};
}
std::string refusal(bent_layer const& layer, std::size_t group = 8) {
    return layer.refusal([&](qtk::layer_tensors const& t) { return read_awq(t, {group}); });
}

}  // namespace

TEST_CASE("an AWQ file has the golden words") {
    qtk::any_qmatrix q(scheme_of(8), 8, 8);
    std::vector<qtk::tile_params> params;
    for (std::size_t o = 0; o < 8; ++o) {
        q.set_row(o, golden_codes().view().row(o));
        params.push_back({0.5f, golden_zeros()(o, 0)});
    }
    q.set_params(params);
    auto const file = encode_awq({q, {}}, {8});
    CHECK(words_in(file, "qweight") == as_vector(words_by_input));
    CHECK(words_in(file, "qzeros") == std::vector<std::uint32_t>{0xeca8db97});
    CHECK(words_in(file, "scales") == std::vector<std::uint32_t>(4, 0x38003800));
    CHECK(read_awq({file, "p"}, {8}).weight.matrix == q);
}

TEST_CASE("every matrix that AWQ can hold comes back from its file") {
    for (int const group : {0, 4, 24, 48})
        for (std::size_t const rows : {8u, 32u}) {
            CAPTURE(group);
            awq_layout const layout{static_cast<std::size_t>(group)};
            auto const q = random_layer(scheme_of(group), rows, 48);
            auto const file = encode_awq({q, {}}, layout);
            auto const plan = qtk::plan_awq({rows, 48}, layout);
            REQUIRE(plan.size() == file.tensors.size());
            for (std::size_t i = 0; i < plan.size(); ++i)
                CHECK(plan[i].shape == file.tensors[i].plan.shape);
            CHECK(file.is_exact);
            CHECK(read_awq({file, "p"}, layout).weight == qtk::ordered_qmatrix{q, {}});
        }
}

TEST_CASE("symmetric codes become codes whose zero point is the middle, with the same weight") {
    auto const q = random_layer(scheme_of(8, true), 8, 16);
    auto const read = read_awq({encode_awq({q, {}}, {8}), "p"}, {8}).weight;
    CHECK(read.matrix.scheme().has_zero_point());
    CHECK(qtk::decode_in_order(read) == qtk::decode_in_order({q, {}}));
}

TEST_CASE("what AWQ cannot hold is refused") {
    CHECK_THROWS_WITH_AS(
        static_cast<void>(encode_awq({random_layer(scheme_of(8), 12, 8), {}}, {8})),
        "awq: outputs: expected a multiple of 8, found 12", qtk::shape_error);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(encode_awq({random_layer(scheme_of(8), 8, 12), {}}, {8})),
        "awq: input columns: expected a multiple of 8, found 12", qtk::shape_error);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(encode_awq(dealt_layer(scheme_of(8), 8, 16), {8})),
        "awq: expected groups of neighbouring columns, found columns in an order. Hint: GPTQ and "
        "compressed-tensors files can hold one",
        qtk::value_error);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(encode_awq({random_layer({.element = qtk::i8}, 8, 8), {}}, {8})),
        "awq: expected codes of i4, found i8/tensor/sym/f32", qtk::value_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(encode_awq({random_layer(scheme_of(4), 8, 8), {}}, {8})),
                         "awq: expected one scale for 8 columns, found i4/g4/asym/f16",
                         qtk::value_error);
}

TEST_CASE("a malformed AWQ layer gets one clear error") {
    CHECK(refusal(bent()) == "accepted");
    CHECK(refusal(bent().erase("qweight")) == "the tensor qweight is missing");
    CHECK(refusal(bent().erase("qzeros")) == "the tensor qzeros is missing");
    CHECK(refusal(bent().erase("scales")) == "the tensor scales is missing");
    CHECK(refusal(bent().retype("qweight", qtk::dtype::f32)) ==
          "qweight: expected I32 with two axes that are not empty, found F32 [24, 2]");
    CHECK(refusal(bent().reshape("qzeros", {3, 1})) ==
          "qzeros: expected I32 [3, 2], found I32 [3, 1]");
    CHECK(refusal(bent().reshape("scales", {16, 3})) ==
          "scales: expected F16, BF16 or F32 [3, 16], found F16 [16, 3]");
    CHECK(refusal(bent(), 16) == "qweight: rows: expected a multiple of 16, found 24");
    CHECK(refusal(bent().set<std::uint16_t>("scales", 0, 0xfc00)) ==
          "scales: expected finite scales, found NaN or infinity at row 0, group 0");
}
