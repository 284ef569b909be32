// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/compressed_tensors_file.hpp>

#include <doctest/doctest.h>

#include "../format/packing_goldens.hpp"
#include "random_layer.hpp"
#include <string>
#include <vector>

namespace {

using qtk::compressed_format, qtk::compressed_layout, qtk::encode_compressed, qtk::read_compressed;
using test::bent_layer, test::dealt_layer, test::random_layer, test::words_in;

compressed_layout packed(int bits, int group, bool is_symmetric) {
    return {.bits = bits, .grain = {.rows = 1, .cols = group}, .is_symmetric = is_symmetric};
}
qtk::scheme scheme_of(compressed_layout const& layout) {
    return {.element = layout.format == compressed_format::float_quantized
                           ? qtk::e4m3
                           : qtk::format{.bits = layout.bits},
            .grain = layout.grain,
            .zero = layout.is_symmetric ? qtk::origin::fixed : qtk::origin::floating,
            .scale = layout.scale};
}
compressed_layout const small = packed(4, 8, false);

bent_layer bent(compressed_layout const& layout = small) {
    return {encode_compressed({random_layer(scheme_of(layout), 16, 24), {}}, layout)};
}
std::string refusal(bent_layer const& layer, compressed_layout const& layout = small) {
    return layer.refusal([&](qtk::layer_tensors const& t) { return read_compressed(t, layout); });
}
void check_round_trip(qtk::ordered_qmatrix const& q, compressed_layout const& layout) {
    auto const file = encode_compressed(q, layout);
    auto const plan = qtk::plan_compressed({q.matrix.rows(), q.matrix.cols()}, layout);
    REQUIRE(plan.size() == file.tensors.size());
    for (std::size_t i = 0; i < plan.size(); ++i) {
        std::uint64_t size = qtk::bits_of(plan[i].type) / 8;
        for (auto const side : plan[i].shape) size *= side;
        CHECK(file.tensors[i].bytes.size() == size);
    }
    CHECK(file.is_exact);
    CHECK(read_compressed({file, "p"}, layout).weight == q);
}

}  // namespace

TEST_CASE("a packed file has the golden words, one row an output") {
    qtk::any_qmatrix q(scheme_of(small), 8, 8);
    std::vector<qtk::tile_params> params;
    for (std::size_t o = 0; o < 8; ++o) {
        q.set_row(o, golden_codes().view().row(o));
        params.push_back({0.5f, golden_zeros()(o, 0)});
    }
    q.set_params(params);
    auto const file = encode_compressed({q, {}}, small);
    CHECK(words_in(file, "weight_packed") == as_vector(words_by_output));
    CHECK(words_in(file, "weight_zero_point") == std::vector<std::uint32_t>{0xedcba987});
    CHECK(words_in(file, "weight_shape") == std::vector<std::uint32_t>{8, 0, 8, 0});
    CHECK(words_in(file, "weight_scale") == std::vector<std::uint32_t>(4, 0x38003800));
}

TEST_CASE("every matrix that packed words can hold comes back from its file") {
    for (int bits = 2; bits <= 8; ++bits)
        for (int const group : {0, 8, 64})
            for (bool const is_symmetric : {false, true})
                for (auto const fill : {qtk::word_fill::stream, qtk::word_fill::whole})
                    for (auto const scale :
                         {qtk::scale_type::f32, qtk::scale_type::f16, qtk::scale_type::bf16}) {
                        CAPTURE(bits);
                        CAPTURE(group);
                        auto layout = packed(bits, group, is_symmetric);
                        layout.scale = scale, layout.fill = fill;
                        check_round_trip({random_layer(scheme_of(layout), 13, 64), {}}, layout);
                    }
}

TEST_CASE("where the count of words is the same for both fills, a note says so") {
    auto const layout = packed(3, 0, true);
    auto const note = [&](std::size_t cols) {
        auto const q = random_layer(scheme_of(layout), 2, cols);
        return read_compressed({encode_compressed({q, {}}, layout), "p"}, layout).note;
    };
    CHECK(note(10).empty());
    CHECK(note(40).starts_with("the count of words does not tell whether codes of 3 bits lie in "));
    CHECK(note(64).empty());
}

TEST_CASE("columns in an order come back from weight_g_idx") {
    auto layout = packed(4, 8, false);
    layout.has_order = true;
    check_round_trip(dealt_layer(scheme_of(layout), 3, 40), layout);
    check_round_trip({random_layer(scheme_of(layout), 3, 40), {}}, layout);
    // Some writers leave it unset.
    bent_layer layer{encode_compressed({random_layer(scheme_of(layout), 3, 40), {}}, layout)};
    for (std::size_t i = 0; i < 40; ++i) layer.set<std::int32_t>("weight_g_idx", i, -1);
    CHECK(refusal(layer, layout) == "accepted");
}

TEST_CASE("codes of 8 bits and floats come back as they are") {
    for (bool const is_symmetric : {false, true})
        for (int const group : {0, 8}) {
            auto layout = packed(8, group, is_symmetric);
            layout.format = compressed_format::int_quantized;
            check_round_trip({random_layer(scheme_of(layout), 5, 16), {}}, layout);
        }
    auto layout = packed(8, 0, true);
    layout.format = compressed_format::float_quantized;
    check_round_trip({random_layer(scheme_of(layout), 5, 16), {}}, layout);
}

TEST_CASE("the scale of a tensor is read as one number, and written once a row") {
    compressed_layout layout = packed(8, 0, true);
    layout.format = compressed_format::int_quantized;
    auto const q = random_layer({.element = qtk::i8, .scale = qtk::scale_type::f16}, 4, 6);
    auto const written = encode_compressed({q, {}}, layout);
    CHECK(qtk::decode_in_order(read_compressed({written, "p"}, layout).weight) ==
          qtk::decode_in_order({q, {}}));
    layout.grain = qtk::per_tensor;
    bent_layer layer{written};
    for (auto const& shape : {std::vector<std::uint64_t>{1}, std::vector<std::uint64_t>{}}) {
        layer.reshape("weight_scale", shape);
        CHECK(read_compressed({layer.layer, "p"}, layout).weight.matrix == q);
    }
    layer.reshape("weight_scale", {2});
    CHECK(refusal(layer, layout) ==
          "weight_scale: expected F16, BF16 or F32 [1, 1], found F16 [2]");
}

TEST_CASE("zero points of older files are bytes") {
    auto const q = random_layer(scheme_of(small), 16, 24);
    bent_layer layer{encode_compressed({q, {}}, small)};
    layer.at("weight_zero_point").plan.type = qtk::dtype::i8;
    layer.reshape("weight_zero_point", {16, 3});
    for (std::size_t o = 0; o < 16; ++o)
        for (std::size_t g = 0; g < 3; ++g)
            layer.set("weight_zero_point", 3 * o + g,
                      static_cast<std::int8_t>(q.params(o, g).zero - 8));
    CHECK(read_compressed({layer.layer, "p"}, small).weight.matrix == q);
    layer.set<std::int8_t>("weight_zero_point", 4, 8);
    CHECK(refusal(layer) == "weight_zero_point: expected numbers from -8 to 7, found 8");
}

TEST_CASE("what compressed-tensors cannot hold is refused") {
    auto const refused = [](qtk::scheme const& s, compressed_layout const& layout) {
        CHECK_THROWS_AS(static_cast<void>(encode_compressed({random_layer(s, 4, 24), {}}, layout)),
                        qtk::error);
    };
    refused(scheme_of(packed(4, 8, true)), packed(3, 8, true));
    refused(scheme_of(packed(4, 8, false)), packed(4, 8, true));
    refused(scheme_of(packed(4, 16, true)), packed(4, 16, true));  // a short last group
    refused({.element = qtk::nf4, .grain = qtk::per_group(8)}, packed(4, 8, true));
    refused(scheme_of(packed(4, 8, true)), packed(9, 8, true));
    CHECK_THROWS_WITH_AS(
        static_cast<void>(encode_compressed(dealt_layer(scheme_of(small), 4, 24), small)),
        "compressed-tensors: expected groups of neighbouring columns, found columns in an order. "
        "Hint: set has_order of a packed layout",
        qtk::value_error);
}

TEST_CASE("a malformed compressed-tensors layer gets one clear error") {
    CHECK(refusal(bent()) == "accepted");
    CHECK(refusal(bent().erase("weight_packed")) == "the tensor weight_packed is missing");
    CHECK(refusal(bent().erase("weight_shape")) == "the tensor weight_shape is missing");
    CHECK(refusal(bent().erase("weight_scale")) == "the tensor weight_scale is missing");
    CHECK(refusal(bent().erase("weight_zero_point")) == "the tensor weight_zero_point is missing");
    CHECK(refusal(bent().retype("weight_shape", qtk::dtype::f32)) ==
          "weight_shape: expected I64 or I32 [2], found F32 [2]");
    CHECK(refusal(bent().set<std::int64_t>("weight_shape", 1, -24)) ==
          "weight_shape: expected two positive numbers, found 16, -24");
    CHECK(refusal(bent().set<std::int64_t>("weight_shape", 1, 1ll << 60)) ==
          "weight_shape: expected two positive numbers, found 16, 1152921504606846976");
    CHECK(refusal(bent().set<std::int64_t>("weight_shape", 0, 15)) ==
          "weight_packed: expected 15 rows, found I32 [16, 3]");
    CHECK(refusal(bent().set<std::int64_t>("weight_shape", 1, 32)) ==
          "compressed-tensors weight_packed: columns: expected 4 for 32 fields of 4 bits, found 3");
    CHECK(refusal(bent().set<std::int64_t>("weight_shape", 1, 20)) ==
          "compressed-tensors: input columns: expected a multiple of 8, found 20");
    CHECK(refusal(bent().reshape("weight_scale", {16, 2})) ==
          "weight_scale: expected F16, BF16 or F32 [16, 3], found F16 [16, 2]");
    CHECK(refusal(bent().reshape("weight_zero_point", {16, 3})) ==
          "weight_zero_point: expected I32 [2, 3], found I32 [16, 3]");
    CHECK(refusal(bent().set<std::uint16_t>("weight_scale", 4, 0x7c00)) ==
          "weight_scale: expected finite scales, found NaN or infinity at row 1, group 1");
    auto ordered = packed(4, 8, true);
    ordered.has_order = true;
    CHECK(refusal(bent(ordered).set<std::int32_t>("weight_g_idx", 0, 7), ordered) ==
          "weight_g_idx: expected groups from 0 to 2, found 7 at input 0");
    CHECK(refusal(bent(), packed(9, 8, true)) ==
          "compressed-tensors: expected 2 to 8 bits, found 9 bits");
    auto floats = packed(8, 0, true);
    floats.format = compressed_format::float_quantized;
    CHECK(refusal(bent(floats).set<std::uint8_t>("weight", 3, 0xff), floats) ==
          "weight: expected numbers, found NaN");
}
