// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/gptq_file.hpp>

#include <doctest/doctest.h>

#include "../format/packing_goldens.hpp"
#include "random_layer.hpp"
#include <string>
#include <vector>

namespace {

using qtk::encode_gptq, qtk::gptq_layout, qtk::gptq_version, qtk::read_gptq;
using test::bent_layer, test::dealt_layer, test::random_layer, test::words_in;

qtk::scheme scheme_of(int bits, int group, bool is_symmetric) {
    return {.element = {.bits = bits},
            .grain = {.rows = 1, .cols = group},
            .zero = is_symmetric ? qtk::origin::fixed : qtk::origin::floating,
            .scale = qtk::scale_type::f16};
}

qtk::any_qmatrix golden_matrix() {
    qtk::any_qmatrix q(scheme_of(4, 8, false), 8, 8);
    std::vector<qtk::tile_params> params;
    for (std::size_t o = 0; o < 8; ++o) {
        q.set_row(o, golden_codes().view().row(o));
        params.push_back({0.5f, golden_zeros()(o, 0)});
    }
    q.set_params(params);
    return q;
}

gptq_layout const small{.bits = 4, .group = 8};

/// 16 outputs, 24 inputs in three groups of 8.
bent_layer bent(gptq_layout const& layout = small) {
    return {encode_gptq({random_layer(scheme_of(layout.bits, 8, layout.is_symmetric), 16, 24), {}},
                        layout)};
}
std::string refusal(bent_layer const& layer, gptq_layout const& layout = small) {
    return layer.refusal([&](qtk::layer_tensors const& t) { return read_gptq(t, layout); });
}

}  // namespace

TEST_CASE("a GPTQ file has the golden words, in both versions") {
    auto const v2 = encode_gptq({golden_matrix(), {}}, {.group = 8, .version = gptq_version::v2});
    CHECK(words_in(v2, "qweight") == as_vector(words_by_output));
    CHECK(words_in(v2, "qzeros") == std::vector<std::uint32_t>{0xedcba987});
    auto const v1 = encode_gptq({golden_matrix(), {}}, {.group = 8});
    CHECK(words_in(v1, "qweight") == as_vector(words_by_output));
    CHECK(words_in(v1, "qzeros") == std::vector<std::uint32_t>{0xdcba9876});
    CHECK(words_in(v1, "g_idx") == std::vector<std::uint32_t>(8, 0));
    CHECK(words_in(v1, "scales") == std::vector<std::uint32_t>(4, 0x38003800));
    CHECK(v1.is_exact);

    qtk::any_qmatrix three(scheme_of(3, 32, true), 32, 32);
    std::vector<std::uint8_t> fields(32);
    for (std::size_t i = 0; i < 32; ++i) fields[i] = static_cast<std::uint8_t>(i % 8);
    for (std::size_t o = 0; o < 32; ++o) three.set_row(o, fields);
    auto const words = words_in(
        encode_gptq({three, {}}, {.bits = 3, .group = 32, .is_symmetric = true}), "qweight");
    for (std::size_t w = 0; w < 3; ++w) CHECK(words[32 * w] == three_bit_words[w]);
}

TEST_CASE("every matrix that GPTQ can hold comes back from its file") {
    for (int const bits : {2, 3, 4, 8})
        for (int const group : {0, 24, 64})
            for (bool const is_symmetric : {false, true})
                for (auto const version : {gptq_version::v1, gptq_version::v2})
                    for (bool const is_dealt : {false, true}) {
                        CAPTURE(bits);
                        CAPTURE(group);
                        auto const s = scheme_of(bits, group, is_symmetric);
                        auto q = dealt_layer(s, 32, 64);
                        if (!is_dealt || group == 0 || group == 64) q.order.clear();
                        gptq_layout const layout{bits, static_cast<std::size_t>(group),
                                                 is_symmetric, version};
                        auto const file = encode_gptq(q, layout);
                        auto const plan = qtk::plan_gptq({32, 64}, layout);
                        REQUIRE(plan.size() == file.tensors.size());
                        for (std::size_t i = 0; i < plan.size(); ++i) {
                            CHECK(plan[i].suffix == file.tensors[i].plan.suffix);
                            CHECK(plan[i].shape == file.tensors[i].plan.shape);
                        }
                        CHECK(file.is_exact);
                        auto const read = read_gptq({file, "p"}, layout);
                        CHECK(read.weight == q);
                        CHECK(read.note.empty());
                    }
}

TEST_CASE("columns of a group come back in rising order, with the same weight") {
    auto q = dealt_layer(scheme_of(4, 8, false), 8, 24);
    std::swap(q.order[1], q.order[6]);
    auto const read = read_gptq({encode_gptq(q, small), "p"}, small).weight;
    CHECK(read.order != q.order);
    CHECK(qtk::decode_in_order(read) == qtk::decode_in_order(q));
    // Within a run of neighbours an order is none.
    qtk::ordered_qmatrix near{random_layer(scheme_of(4, 8, false), 8, 16), {}};
    near.order = {7, 6, 5, 4, 3, 2, 1, 0, 8, 9, 10, 11, 12, 13, 14, 15};
    auto const sorted = read_gptq({encode_gptq(near, small), "p"}, small).weight;
    CHECK(sorted.order.empty());
    CHECK(qtk::decode_in_order(sorted) == qtk::decode_in_order(near));
}

TEST_CASE(
    "unsigned codes, scales of other types and tiles of several rows are held where they can be") {
    auto s = scheme_of(4, 8, false);
    s.element = qtk::u4, s.scale = qtk::scale_type::f32;
    auto const unsigned_codes = random_layer(s, 8, 16);
    auto const exact = encode_gptq({unsigned_codes, {}}, small);
    CHECK(exact.is_exact);
    CHECK(qtk::decode_in_order(read_gptq({exact, "p"}, small).weight) ==
          qtk::decode_in_order({unsigned_codes, {}}));
    s.grain = {.rows = 4, .cols = 8};
    auto const blocks = random_layer(s, 8, 16);
    CHECK(qtk::decode_in_order(read_gptq({encode_gptq({blocks, {}}, small), "p"}, small).weight) ==
          qtk::decode_in_order({blocks, {}}));
}

TEST_CASE("a scale that f16 rounds is told, and one that it cannot hold is refused") {
    auto s = scheme_of(4, 8, false);
    s.scale = qtk::scale_type::f32;
    auto q = random_layer(s, 8, 8);
    std::vector<qtk::tile_params> params(8, {1.0f, 3});
    params[2].scale = 1.0f + 0x1p-12f;
    q.set_params(params);
    auto const rounded = encode_gptq({q, {}}, small);
    CHECK_FALSE(rounded.is_exact);
    CHECK(rounded.largest_scale_change == doctest::Approx(0x1p-12).epsilon(1e-3));
    params[5].scale = 1e6f;
    q.set_params(params);
    CHECK_THROWS_WITH_AS(static_cast<void>(encode_gptq({q, {}}, small)),
                         "the scale of row 5, group 0 is 1000000.000000, expected a finite number "
                         "that f16 can hold",
                         qtk::value_error);
}

TEST_CASE("what GPTQ cannot hold is refused") {
    auto const refused = [](qtk::scheme const& s, std::size_t rows, std::size_t cols,
                            gptq_layout const& layout = small) {
        CHECK_THROWS_AS(static_cast<void>(encode_gptq({random_layer(s, rows, cols), {}}, layout)),
                        qtk::error);
    };
    refused(scheme_of(5, 8, false), 8, 8, {.bits = 5, .group = 8});
    refused(scheme_of(4, 16, false), 8, 32);  // another group
    refused(scheme_of(4, 8, false), 8, 8, {.bits = 4, .group = 8, .is_symmetric = true});
    refused(scheme_of(4, 8, false), 7, 8);   // zero points do not fill words
    refused(scheme_of(4, 8, false), 8, 12);  // nor do columns
    refused({.element = qtk::nf4, .grain = qtk::per_group(8)}, 8, 8);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(encode_gptq({random_layer(scheme_of(8, 8, true), 8, 8), {}}, small)),
        "gptq: expected codes of i4, found i8/g8/sym/f16", qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(encode_gptq({golden_matrix(), {0, 1}}, small)),
                    qtk::shape_error);
}

TEST_CASE("zero points of the other version are told, never changed") {
    gptq_layout const v1{.bits = 4, .group = 8, .is_symmetric = true},
        v2{.bits = 4, .group = 8, .is_symmetric = true, .version = gptq_version::v2};
    auto const q = random_layer(scheme_of(4, 8, true), 8, 8);
    auto const told = read_gptq({encode_gptq({q, {}}, v2), "p"}, v1);
    CHECK(
        told.note.starts_with("every field of qzeros is 8, which is the middle of the codes in "
                              "the version gptq_v2, but the file is read as checkpoint_format "
                              "gptq."));
    CHECK(told.weight.matrix.zero_point(0, 0) == 1);
    CHECK(read_gptq({encode_gptq({q, {}}, v1), "p"}, v2)
              .note.starts_with("every field of qzeros is 7"));
    CHECK(read_gptq({encode_gptq({q, {}}, v1), "p"}, v1).note.empty());
}

TEST_CASE("g_idx may be missing, and scales may be of other types") {
    auto const q = random_layer(scheme_of(4, 8, false), 16, 24);
    CHECK(read_gptq({bent().erase("g_idx").layer, "p"}, small).weight.matrix == q);
    auto layer = bent();
    layer.at("scales").plan.type = qtk::dtype::bf16;
    CHECK(read_gptq({layer.layer, "p"}, small).weight.matrix.scheme().scale ==
          qtk::scale_type::bf16);
}

TEST_CASE("a malformed GPTQ layer gets one clear error") {
    CHECK(refusal(bent()) == "accepted");
    CHECK(refusal(bent().erase("qweight")) == "the tensor qweight is missing");
    CHECK(refusal(bent().erase("qzeros")) == "the tensor qzeros is missing");
    CHECK(refusal(bent().erase("scales")) == "the tensor scales is missing");
    CHECK(refusal(bent().retype("qweight", qtk::dtype::u32)) ==
          "qweight: expected I32 with two axes that are not empty, found U32 [3, 16]");
    CHECK(refusal(bent().reshape("qweight", {48})) ==
          "qweight: expected I32 with two axes that are not empty, found I32 [48]");
    CHECK(refusal(bent().reshape("qweight", {0, std::uint64_t{1} << 60})) ==
          "qweight: expected I32 with two axes that are not empty, found I32 [0, "
          "1152921504606846976]");
    CHECK(refusal(bent().reshape("qzeros", {3, 3})) ==
          "qzeros: expected I32 [3, 2], found I32 [3, 3]");
    CHECK(refusal(bent().retype("scales", qtk::dtype::i16)) ==
          "scales: expected F16, BF16 or F32 [3, 16], found I16 [3, 16]");
    CHECK(refusal(bent().reshape("scales", {2, 16})) ==
          "scales: expected F16, BF16 or F32 [3, 16], found F16 [2, 16]");
    CHECK(refusal(bent().set<std::uint16_t>("scales", 17, 0x7e00)) ==
          "scales: expected finite scales, found NaN or infinity at row 1, group 1");
    CHECK(refusal(bent().retype("g_idx", qtk::dtype::i64)) ==
          "g_idx: expected I32 [24], found I64 [24]");
    CHECK(refusal(bent().set<std::int32_t>("g_idx", 5, 3)) ==
          "g_idx: expected groups from 0 to 2, found 3 at input 5");
    CHECK(refusal(bent().set<std::int32_t>("g_idx", 5, -1)) ==
          "g_idx: expected groups from 0 to 2, found -1 at input 5");
    CHECK(refusal(bent().set<std::int32_t>("g_idx", 5, 1)) ==
          "g_idx: expected 8 inputs in group 1, found more");
    CHECK(refusal(bent(), {.bits = 5, .group = 8}) ==
          "gptq: expected codes of 2, 3, 4 or 8 bits, found 5");
    CHECK(refusal(bent(), {.bits = 4, .group = 16}) ==
          "qzeros: expected I32 [2, 2], found I32 [3, 2]");
    CHECK(refusal(bent(), {.bits = 8, .group = 8}) ==
          "qzeros: expected I32 [2, 4], found I32 [3, 2]");
    CHECK(refusal(bent().reshape("qweight", {4, 16}), {.bits = 3, .group = 8}) ==
          "qweight: rows: expected a multiple of 3, found 4");
}
