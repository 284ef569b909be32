// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/qmatrix.hpp>

#include <doctest/doctest.h>

#include "packing_goldens.hpp"
#include <array>

namespace {

using qtk::any_qmatrix;
using qtk::parse_scheme;
using qtk::scale_type;
using qtk::tile_params;

constexpr qtk::scheme i4_g64{.element = qtk::i4, .grain = qtk::per_group(64)};
constexpr qtk::scheme i4_g64_asym{
    .element = qtk::i4, .grain = qtk::per_group(64), .zero = qtk::origin::floating};

double bits_per_weight(char const* spelling, std::size_t rows, std::size_t cols) {
    return any_qmatrix(parse_scheme(spelling), rows, cols).bits_per_weight();
}

/// Fields that a format of `bits` bits can hold.
std::vector<std::uint8_t> some_fields(std::size_t n, int bits, std::uint64_t seed) {
    return random_fields(1, n, bits, seed).values;
}

}  // namespace

TEST_CASE("a matrix without rows or columns has no bytes and no bits per weight") {
    for (auto const& [rows, cols] : {std::array<std::size_t, 2>{0, 0}, {0, 7}, {7, 0}}) {
        any_qmatrix const q(i4_g64_asym, rows, cols);
        CHECK(q.size() == 0);
        CHECK(q.bytes() == 0);
        CHECK(q.bits_per_weight() == 0.0);
        CHECK(q.grid().count() == 0);
    }
    CHECK(any_qmatrix() == any_qmatrix(qtk::scheme{}, 0, 0));
    CHECK(qtk::qmatrix<i4_g64>().rows() == 0);
}

TEST_CASE("a new matrix is one of zeros under every format") {
    for (auto const& [name, f] : qtk::known_formats) {
        CAPTURE(name);
        any_qmatrix const q({.element = f, .grain = qtk::per_group(2)}, 2, 3);
        auto const level = qtk::levels_of(f);
        for (std::size_t r = 0; r < 2; ++r)
            for (std::size_t c = 0; c < 3; ++c) {
                auto const p = q.params(r, c / 2);
                CHECK((level[q.field(r, c)] - static_cast<float>(p.zero)) * p.scale == 0.0f);
                CHECK(q.scale(r, c) == 1.0f);
            }
    }
}

TEST_CASE("codes, scales and zeros have the sizes of the layout") {
    any_qmatrix const q(parse_scheme("i3/g64/asym/f16"), 5, 100);  // 2 groups a row
    CHECK(q.row_bytes() == 38);                                    // 300 bits
    CHECK(q.codes().size() == 5 * 38);
    CHECK(q.scales().size() == 10 * 2);
    CHECK(q.zeros().size() == 4);  // 30 bits
    CHECK(q.bytes() == 190 + 20 + 4);
    CHECK(any_qmatrix(parse_scheme("i3/g64/sym/f16"), 5, 100).zeros().empty());
    CHECK(any_qmatrix(parse_scheme("i4/b2x64"), 5, 100).scales().size() == 3 * 2 * 4);
}

TEST_CASE("bits per weight count scales and zeros") {
    CHECK(bits_per_weight("i4/g64/sym/f32", 64, 192) == 4.5);
    CHECK(bits_per_weight("i4/g64/asym/f32", 64, 192) == 4.5625);
    CHECK(bits_per_weight("nf4/g64", 64, 192) == 4.5);
    CHECK(bits_per_weight("mxfp4", 64, 192) == 4.25);
    CHECK(bits_per_weight("i2/g64/asym/f32", 64, 192) == 2.0 + 0.5 + 2.0 / 64);
    CHECK(bits_per_weight("i8/channel", 64, 192) == 8.0 + 32.0 / 192);
    CHECK(bits_per_weight("i8/tensor", 64, 192) == 8.0 + 32.0 / (64 * 192));
    // Two levels: 8 bits for 16 weights and one f32 for the tensor.
    CHECK(bits_per_weight("nvfp4", 64, 192) == 4.5 + 32.0 / (64 * 192));
    // A row that does not end on a byte is padded.
    CHECK(bits_per_weight("i3/tensor/sym/f32", 1, 3) == (16.0 + 32.0) / 3);
}

TEST_CASE("fields come back at their place for every width") {
    for (auto const& [name, f] : qtk::known_formats) {
        CAPTURE(name);
        std::size_t constexpr rows = 3, cols = 13;
        any_qmatrix q({.element = f, .grain = qtk::per_channel}, rows, cols);
        auto const fields = some_fields(rows * cols, f.bits, 7);
        for (std::size_t r = 0; r < rows; ++r)
            q.set_row(r, std::span(fields).subspan(r * cols, cols));
        bool same = true;
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t c = 0; c < cols; ++c) {
                same &= q.field(r, c) == fields[r * cols + c];
                same &= q.code(r, c) == fields[r * cols + c] - qtk::field_offset(f);
            }
        CHECK(same);
    }
}

TEST_CASE("a signed code is its field less the offset") {
    any_qmatrix q({.element = qtk::i4}, 1, 3);
    q.set_row(0, std::vector<std::uint8_t>{0, 8, 15});
    CHECK(q.code(0, 0) == -8);
    CHECK(q.code(0, 1) == 0);
    CHECK(q.code(0, 2) == 7);
    CHECK(q.codes()[0] == 0x80);  // the first in the low nibble
    CHECK(q.codes()[1] == 0x0f);
}

TEST_CASE("tile parameters come back for every scale type and width of zero") {
    for (auto const type :
         {scale_type::f32, scale_type::f16, scale_type::bf16, scale_type::e8m0, scale_type::e4m3})
        for (int bits = 2; bits <= 8; ++bits) {
            CAPTURE(static_cast<int>(type));
            CAPTURE(bits);
            any_qmatrix q({.element = {.bits = bits},
                           .grain = qtk::per_group(4),
                           .zero = qtk::origin::floating,
                           .scale = type},
                          3, 10);
            float const tensor_scale = type == scale_type::e4m3 ? 0.0123f : 1.0f;
            std::vector<tile_params> params(q.grid().count());
            for (std::size_t i = 0; i < params.size(); ++i)
                params[i] = {
                    qtk::rounded_scale(type, 0.37f * static_cast<float>(i + 1)) * tensor_scale,
                    static_cast<int>((i * 5) % (std::size_t{1} << bits))};
            q.set_params(params, tensor_scale);
            CHECK(q.tensor_scale() == tensor_scale);
            for (std::size_t i = 0; i < q.grid().down; ++i)
                for (std::size_t j = 0; j < q.grid().across; ++j)
                    CHECK(q.params(i, j) == params[i * q.grid().across + j]);
        }
}

TEST_CASE("every e4m3 scale comes back under any tensor scale") {
    any_qmatrix q({.element = qtk::e2m1, .grain = qtk::per_channel, .scale = scale_type::e4m3}, 126,
                  1);
    for (float const tensor_scale : {1.0f, 0.1f, 3.7e-5f, 123.456f}) {
        std::vector<tile_params> params(126);
        for (std::size_t i = 0; i < params.size(); ++i)
            params[i] = {
                qtk::load_scale(scale_type::e4m3, static_cast<std::uint32_t>(i + 1)) * tensor_scale,
                0};
        q.set_params(params, tensor_scale);
        std::size_t lost = 0;
        for (std::size_t i = 0; i < params.size(); ++i) lost += q.params(i, 0) != params[i];
        CHECK(lost == 0);
    }
}

TEST_CASE("an element finds the parameters of its tile, a partial one too") {
    any_qmatrix q(
        {.element = qtk::u4, .grain = qtk::per_block(2, 4), .zero = qtk::origin::floating}, 3, 10);
    std::vector<tile_params> params;
    for (int i = 0; i < 6; ++i) params.push_back({static_cast<float>(i + 1), i});
    q.set_params(params);
    CHECK(q.scale(0, 0) == 1.0f);
    CHECK(q.scale(1, 9) == 3.0f);
    CHECK(q.scale(2, 3) == 4.0f);
    CHECK(q.scale(2, 9) == 6.0f);
    CHECK(q.zero_point(2, 9) == 5);
    CHECK(q.grid().width(2) == 2);
    CHECK(q.grid().height(1) == 1);
}

TEST_CASE("a zero point is a code: shifted in signed formats, the code of zero in symmetric ones") {
    any_qmatrix i(i4_g64_asym, 1, 4);
    i.set_params(std::vector<tile_params>{{1.0f, 3}});
    CHECK(i.zero_point(0, 0) == -5);
    CHECK(any_qmatrix(i4_g64, 1, 4).zero_point(0, 0) == 0);
    CHECK(any_qmatrix({.element = qtk::u4}, 1, 4).zero_point(0, 0) == 8);
    CHECK(any_qmatrix({.element = qtk::nf4}, 1, 4).zero_point(0, 0) == 0);
}

TEST_CASE("a matrix is rebuilt from its parts") {
    any_qmatrix q(parse_scheme("i5/g8/asym/f16"), 4, 19);
    for (std::size_t r = 0; r < 4; ++r) q.set_row(r, some_fields(19, 5, r));
    std::vector<tile_params> params(q.grid().count(), {0.5f, 30});
    q.set_params(params);
    auto const copy = [](std::span<std::uint8_t const> part) {
        return std::vector<std::uint8_t>(part.begin(), part.end());
    };
    any_qmatrix const again(q.scheme(), 4, 19, copy(q.codes()), copy(q.scales()), copy(q.zeros()));
    CHECK(again == q);
    any_qmatrix other = q;
    other.set_row(3, some_fields(19, 5, 99));
    CHECK_FALSE(other == q);
}

TEST_CASE("parts of the wrong size are refused by name") {
    // 2 x 64 codes of 4 bits, 2 scales, 2 zeros of 4 bits
    auto const make = [](std::size_t codes, std::size_t scales, std::size_t zeros) {
        return any_qmatrix(i4_g64_asym, 2, 64, std::vector<std::uint8_t>(codes),
                           std::vector<std::uint8_t>(scales), std::vector<std::uint8_t>(zeros));
    };
    CHECK_NOTHROW(make(64, 8, 1));
    CHECK_THROWS_WITH_AS(make(63, 8, 1),
                         "qmatrix i4/g64/asym/f32 [2, 64]: expected 64 of codes, found 63",
                         qtk::shape_error);
    CHECK_THROWS_WITH_AS(make(64, 9, 1),
                         "qmatrix i4/g64/asym/f32 [2, 64]: expected 8 of scales, found 9",
                         qtk::shape_error);
    CHECK_THROWS_WITH_AS(make(64, 8, 0),
                         "qmatrix i4/g64/asym/f32 [2, 64]: expected 1 of zeros, found 0",
                         qtk::shape_error);
    CHECK_THROWS_AS(any_qmatrix(i4_g64, 2, 64, std::vector<std::uint8_t>(64),
                                std::vector<std::uint8_t>(8), std::vector<std::uint8_t>(1)),
                    qtk::shape_error);
    any_qmatrix q(i4_g64, 2, 64);
    CHECK_THROWS_AS(q.set_params(std::vector<tile_params>(3)), qtk::shape_error);
}

TEST_CASE("a zero that its field cannot hold is refused") {
    any_qmatrix q(i4_g64_asym, 1, 128);
    for (int const zero : {-1, 16, 1000}) {
        CAPTURE(zero);
        std::vector<tile_params> const params{{1.0f, 3}, {1.0f, zero}};
        CHECK_THROWS_AS(q.set_params(params), qtk::value_error);
    }
    CHECK_THROWS_WITH_AS(q.set_params(std::vector<tile_params>{{1.0f, 16}, {1.0f, 3}}),
                         "qmatrix i4/g64/asym/f32: the zero of tile 0 is 16, expected 0 to 15",
                         qtk::value_error);
    CHECK(q == any_qmatrix(i4_g64_asym, 1, 128));
}

TEST_CASE("sizes that overflow are refused, not wrapped") {
    auto const huge = std::size_t{1} << 62;
    CHECK_THROWS_AS(any_qmatrix(i4_g64, huge, huge), qtk::value_error);
    CHECK_THROWS_AS(any_qmatrix(i4_g64, huge, huge, {}, {}, {}), qtk::error);
}

TEST_CASE("a scheme that makes no sense is refused with the reason") {
    qtk::scheme const bad{.element = qtk::nf4, .zero = qtk::origin::floating};
    CHECK_THROWS_WITH_AS(any_qmatrix(bad, 1, 1),
                         "qmatrix: only integer formats have a zero point: nf4, fp4 and minifloats "
                         "need origin::fixed",
                         qtk::value_error);
}

TEST_CASE("a typed matrix takes only its own scheme") {
    CHECK(qtk::qmatrix<i4_g64>(any_qmatrix(i4_g64, 2, 64)).rows() == 2);
    CHECK(qtk::qmatrix<i4_g64>(2, 64) == any_qmatrix(i4_g64, 2, 64));
    CHECK_THROWS_WITH_AS(qtk::qmatrix<i4_g64>(any_qmatrix(i4_g64_asym, 2, 64)),
                         "qmatrix: expected the scheme i4/g64/sym/f32, found i4/g64/asym/f32",
                         qtk::value_error);
}
