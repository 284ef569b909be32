// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gguf_codes.hpp>
#include <qtk/format/ordered_qmatrix.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include <bit>
#include <random>
#include <string>
#include <vector>

namespace {

using qtk::gguf_type;

/// Any fields, scales that the scheme can store, any zero points.
qtk::any_qmatrix random_codes(qtk::scheme const& s, std::size_t rows, std::size_t cols) {
    std::minstd_rand draw(static_cast<unsigned>(rows * 131 + cols));
    qtk::any_qmatrix q(s, rows, cols);
    auto const field = [&] {
        return static_cast<std::uint8_t>(draw() >> 8 &
                                         static_cast<unsigned>(s.element.patterns() - 1));
    };
    std::vector<std::uint8_t> row(cols);
    for (std::size_t r = 0; r < rows; ++r) {
        for (std::uint8_t& f : row) f = field();
        q.set_row(r, row);
    }
    std::vector<qtk::tile_params> params(q.grid().count());
    for (qtk::tile_params& p : params) {
        p.scale = qtk::rounded_scale(s.scale, static_cast<float>(draw() % 9973 + 1) * 0x1p-17f);
        p.zero = s.has_zero_point() ? field() : qtk::symmetric_zero(s.element);
    }
    q.set_params(params);
    return q;
}

qtk::gguf_view view_of(qtk::gguf_codes const& codes, std::size_t rows, std::size_t cols) {
    return {codes.type, codes.blocks, rows, cols};
}
qtk::matrix decoded(qtk::gguf_codes const& codes, std::size_t rows, std::size_t cols) {
    qtk::matrix values(rows, cols);
    for (std::size_t r = 0; r < rows; ++r)
        qtk::decode_gguf_row(view_of(codes, rows, cols), r, values.view().row(r));
    return values;
}
/// How many floats of the blocks are not the bits of the codes' floats. mxfp4 has no -0.
std::size_t differing(qtk::any_qmatrix const& q, qtk::gguf_codes const& codes) {
    qtk::matrix const meant = qtk::decode_in_order({q, {}}),
                      found = decoded(codes, q.rows(), q.cols());
    std::size_t count = 0;
    for (std::size_t i = 0; i < q.size(); ++i) {
        float const a = meant.data()[i], b = found.data()[i];
        bool const is_zero = codes.type == gguf_type::mxfp4 && a == 0.0f && b == 0.0f;
        if (std::bit_cast<std::uint32_t>(a) != std::bit_cast<std::uint32_t>(b) && !is_zero) ++count;
    }
    return count;
}

constexpr qtk::scheme f16_groups(qtk::format element, qtk::origin zero = qtk::origin::fixed) {
    return {.element = element,
            .grain = qtk::per_group(32),
            .zero = zero,
            .scale = qtk::scale_type::f16};
}
constexpr qtk::scheme i4_sym = f16_groups(qtk::i4), i5_sym = f16_groups(qtk::i5),
                      i8_sym = f16_groups(qtk::i8),
                      i4_asym = f16_groups(qtk::i4, qtk::origin::floating),
                      i5_asym = f16_groups(qtk::i5, qtk::origin::floating);

/// One block of codes 0, 1, 2, ... with this scale and zero point.
qtk::any_qmatrix one_block(qtk::scheme const& s, float scale, int zero) {
    qtk::any_qmatrix q(s, 1, 32);
    std::vector<std::uint8_t> row(32);
    for (std::size_t i = 0; i < 32; ++i)
        row[i] = static_cast<std::uint8_t>(i % static_cast<std::size_t>(s.element.patterns()));
    q.set_row(0, row);
    q.set_params(std::vector<qtk::tile_params>{{scale, zero}});
    return q;
}

}  // namespace

TEST_CASE("a scheme has the GGUF type with its grid, or none") {
    CHECK(qtk::gguf_type_for(i4_sym) == gguf_type::q4_0);
    CHECK(qtk::gguf_type_for(i4_asym) == gguf_type::q4_1);
    CHECK(qtk::gguf_type_for(i5_sym) == gguf_type::q5_0);
    CHECK(qtk::gguf_type_for(i5_asym) == gguf_type::q5_1);
    CHECK(qtk::gguf_type_for(i8_sym) == gguf_type::q8_0);
    CHECK(qtk::gguf_type_for(qtk::mxfp4) == gguf_type::mxfp4);
    CHECK(qtk::gguf_type_for(f16_groups(qtk::u8)) == gguf_type::q8_0);
    CHECK(qtk::gguf_type_for({.element = qtk::i4, .grain = qtk::per_channel}) == gguf_type::q4_0);
    for (char const* const none : {"i3/g32/sym/f16", "i8/g32/asym/f16", "i4/g16/sym/f16",
                                   "i4/g48/sym/f16", "nf4/g32", "e2m1/g32/sym/f16", "nvfp4"}) {
        CAPTURE(none);
        CHECK(!qtk::gguf_type_for(qtk::parse_scheme(none)));
    }
}

TEST_CASE("blocks are the floats of the codes, and give the codes back") {
    for (qtk::scheme const& s : {i4_sym, i5_sym, i8_sym, qtk::mxfp4}) {
        CAPTURE(qtk::to_string(s));
        qtk::any_qmatrix const q = random_codes(s, 7, 96);
        qtk::gguf_codes const codes = qtk::encode_gguf_codes(q);
        CHECK(codes.is_exact);
        CHECK(codes.largest_change == 0.0);
        CHECK(differing(q, codes) == 0);
        CHECK(qtk::decode_gguf_codes(view_of(codes, 7, 96)) == q);
    }
}

TEST_CASE("a wider tile is its blocks, each with its scale") {
    for (char const* const text : {"i4/g64/sym/f16", "i5/channel/sym/f16", "i8/tensor/sym/f16",
                                   "u4/b2x32/sym/f16", "e2m1/g64/sym/e8m0"}) {
        CAPTURE(text);
        qtk::any_qmatrix const q = random_codes(qtk::parse_scheme(text), 5, 128);
        qtk::gguf_codes const codes = qtk::encode_gguf_codes(q);
        CHECK(codes.is_exact);
        CHECK(differing(q, codes) == 0);
    }
}

TEST_CASE("zero points become lowest values, exactly where a half can hold them") {
    for (qtk::scheme const& s : {i4_asym, i5_asym}) {
        CAPTURE(qtk::to_string(s));
        for (int zero = 0; zero < s.element.patterns(); ++zero) {
            // Six bits, and up to five more of the zero point: eleven.
            qtk::any_qmatrix const q = one_block(s, 45.0f * 0x1p-9f, zero);
            qtk::gguf_codes const codes = qtk::encode_gguf_codes(q);
            CHECK(codes.is_exact);
            CHECK(differing(q, codes) == 0);
            CHECK(qtk::decode_gguf_codes(view_of(codes, 1, 32)) == q);
        }
    }
}

TEST_CASE("a lowest value that has to be rounded is reported") {
    // 3 * 2047 = 6141 needs 13 bits; the nearest half is 6140.
    qtk::any_qmatrix const q = one_block(i4_asym, 2047.0f * 0x1p-12f, 3);
    qtk::gguf_codes const codes = qtk::encode_gguf_codes(q);
    CHECK(!codes.is_exact);
    CHECK(codes.largest_change == 1.0 / 6141.0);
    CHECK(decoded(codes, 1, 32)(0, 3) == 0x1p-12f);  // a zero that is none any more
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::decode_gguf_codes(view_of(codes, 1, 32))),
        "gguf: row 0, block 0: the lowest value -1.499023 is no whole multiple of -0.499756 up to "
        "15, so no code is zero",
        qtk::value_error);

    qtk::any_qmatrix const many = random_codes(i5_asym, 9, 160);
    qtk::gguf_codes const some = qtk::encode_gguf_codes(many);
    CHECK(!some.is_exact);
    CHECK(some.largest_change <= 0x1p-11);
    qtk::matrix const meant = qtk::decode_in_order({many, {}}), found = decoded(some, 9, 160);
    for (std::size_t r = 0; r < 9; ++r)
        for (std::size_t c = 0; c < 160; ++c)
            CHECK(std::abs(found(r, c) - meant(r, c)) <= 31.0f * 0x1p-11f * many.scale(r, c));
}

TEST_CASE("scales that are no halves are rounded and reported") {
    for (char const* const text : {"i4/g32/sym/f32", "i8/g32/sym/bf16"}) {
        CAPTURE(text);
        qtk::any_qmatrix q(qtk::parse_scheme(text), 1, 64);
        q.set_params(std::vector<qtk::tile_params>{{0.5f, 0}, {1.5f * 0x1p-24f, 0}});
        qtk::gguf_codes const codes = qtk::encode_gguf_codes(q);
        CHECK(!codes.is_exact);
        CHECK(codes.largest_change == 1.0 / 3.0);  // 1.5 units become 2
    }
    qtk::any_qmatrix const q = one_block(qtk::parse_scheme("i4/g32/sym/f32"), 0x1p-60f, 8);
    CHECK(decoded(qtk::encode_gguf_codes(q), 1, 32)(0, 9) == 0x1p-24f);  // never zero
}

TEST_CASE("blocks that a quantizer has made give codes with their floats") {
    std::vector<float> const x = cases::golden_input();
    for (gguf_type const type :
         {gguf_type::q4_0, gguf_type::q5_0, gguf_type::q8_0, gguf_type::mxfp4}) {
        CAPTURE(qtk::name_of(type));
        std::vector<std::uint8_t> bytes;
        qtk::detail::with_code_block(type, [&]<typename Block>() {
            for (std::size_t i = 0; i < 256; i += 32) {
                auto const block = std::bit_cast<std::array<std::uint8_t, sizeof(Block)>>(
                    Block::encode(std::span<float const>(x).subspan(i).template first<32>()));
                bytes.insert(bytes.end(), block.begin(), block.end());
            }
        });
        qtk::gguf_view const blocks{type, bytes, 4, 64};
        qtk::any_qmatrix const q = qtk::decode_gguf_codes(blocks);
        CHECK(differing(q, {.blocks = bytes, .type = type}) == 0);
        CHECK(qtk::encode_gguf_codes(q).blocks == bytes);
    }
}

TEST_CASE("blocks without a zero point are refused") {
    qtk::q4_1_block block{};
    block.d = qtk::detail::f16_bytes(0.5f);
    auto const codes_of = [&](float low) {
        block.m = qtk::detail::f16_bytes(low);
        auto const bytes = std::bit_cast<std::array<std::uint8_t, sizeof block>>(block);
        return qtk::decode_gguf_codes({gguf_type::q4_1, bytes, 1, 32});
    };
    CHECK(codes_of(-7.5f).params(0, 0).zero == 15);
    CHECK(codes_of(0.0f).params(0, 0).zero == 0);
    CHECK_THROWS_AS(static_cast<void>(codes_of(-8.0f)), qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(codes_of(0.5f)), qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(codes_of(-0.25f)), qtk::value_error);
}

TEST_CASE("what has no blocks gets one clear error") {
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::encode_gguf_codes(qtk::any_qmatrix({.element = qtk::i3}, 1, 32))),
        ("gguf: no block type has the grid of i3/tensor/sym/f32; expected " +
         std::string(qtk::gguf_code_schemes))
            .c_str(),
        qtk::value_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::encode_gguf_codes(qtk::any_qmatrix(i4_sym, 2, 40))),
                         "gguf: q4_0 of 2 x 40: expected columns in a multiple of 32, the values "
                         "of a block",
                         qtk::shape_error);
    for (qtk::any_qmatrix const& too_large :
         {one_block(qtk::parse_scheme("i4/g32/sym/f32"), 70000.0f, 8),
          one_block(qtk::parse_scheme("i4/g32/asym/f32"), 30000.0f, 3)})
        CHECK_THROWS_AS(static_cast<void>(qtk::encode_gguf_codes(too_large)), qtk::value_error);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::decode_gguf_codes({gguf_type::q4_K, {}, 0, 0})),
        "gguf: the blocks of q4_K hold no codes of a scheme; expected q4_0, q4_1, q5_0, q5_1, "
        "q8_0 or mxfp4",
        qtk::value_error);
}

TEST_CASE("an empty matrix has no blocks") {
    CHECK(qtk::encode_gguf_codes(qtk::any_qmatrix(i4_sym, 0, 64)).blocks.empty());
    CHECK(qtk::encode_gguf_codes(qtk::any_qmatrix(i4_sym, 3, 0)).blocks.empty());
}
