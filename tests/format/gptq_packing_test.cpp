// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gptq_packing.hpp>
#include <qtk/format/pack.hpp>

#include <doctest/doctest.h>

#include "packing_goldens.hpp"

namespace {
using qtk::gptq_version;
}

TEST_CASE("an empty weight has no GPTQ words") {
    qtk::row_major<std::uint8_t> const none{.rows = 4, .cols = 0};
    auto const words = qtk::pack_gptq_weight(none.view(), 4);
    CHECK(words.rows == 0);
    CHECK(words.cols == 4);
    CHECK(qtk::unpack_gptq_weight(words.view(), 4) == none);
}

TEST_CASE("GPTQ qweight has the golden words") {
    auto const words = qtk::pack_gptq_weight(golden_codes().view(), 4);
    CHECK(words.rows == 1);
    CHECK(words.cols == 8);
    CHECK(words.values == as_vector(words_by_output));
    CHECK(qtk::unpack_gptq_weight(words.view(), 4) == golden_codes());
}

TEST_CASE("GPTQ qzeros has the golden word in both versions") {
    auto const zeros = golden_zeros();
    auto const v1 = qtk::pack_gptq_zeros(zeros.view(), 4, gptq_version::v1);
    auto const v2 = qtk::pack_gptq_zeros(zeros.view(), 4, gptq_version::v2);
    CHECK(v2.values == std::vector<std::uint32_t>{0xedcba987});
    CHECK(v1.values == std::vector<std::uint32_t>{0xdcba9876});
    CHECK(qtk::unpack_gptq_zeros(v1.view(), 4, gptq_version::v1) == zeros);
    CHECK(qtk::unpack_gptq_zeros(v2.view(), 4, gptq_version::v2) == zeros);
}

TEST_CASE("GPTQ of 3 bits is one stream down each column") {
    qtk::row_major<std::uint8_t> codes{.rows = 2, .cols = 32};
    for (std::size_t i = 0; i < 32; ++i) codes(1, i) = static_cast<std::uint8_t>(i % 8);
    auto const words = qtk::pack_gptq_weight(codes.view(), 3);
    CHECK(words.rows == 3);
    for (std::size_t w = 0; w < 3; ++w) {
        CHECK(words(w, 0) == 0);
        CHECK(words(w, 1) == three_bit_words[w]);
    }
}

TEST_CASE("every GPTQ width gives back its codes and its zero points") {
    for (int const bits : {2, 3, 4, 8}) {
        CAPTURE(bits);
        auto const codes = random_fields(5, 96, bits, 1);
        CHECK(qtk::unpack_gptq_weight(qtk::pack_gptq_weight(codes.view(), bits).view(), bits) ==
              codes);
        auto const zeros = random_fields(64, 3, bits, 2);
        for (auto const version : {gptq_version::v1, gptq_version::v2}) {
            auto const words = qtk::pack_gptq_zeros(zeros.view(), bits, version);
            CHECK(words.rows == 3);
            CHECK(qtk::unpack_gptq_zeros(words.view(), bits, version) == zeros);
        }
    }
}

TEST_CASE("every word of GPTQ survives being read and written") {
    for (int const bits : {2, 3, 4, 8}) {
        CAPTURE(bits);
        qtk::splitmix64 random(3);
        qtk::row_major<std::uint32_t> words{.rows = 6, .cols = 9};
        for (auto& word : words.values) word = static_cast<std::uint32_t>(random());
        CHECK(qtk::pack_gptq_weight(qtk::unpack_gptq_weight(words.view(), bits).view(), bits) ==
              words);
        for (auto const version : {gptq_version::v1, gptq_version::v2}) {
            auto const zeros = qtk::unpack_gptq_zeros(words.view(), bits, version);
            CHECK(qtk::pack_gptq_zeros(zeros.view(), bits, version) == words);
        }
    }
}

TEST_CASE("a GPTQ zero point of 0 wraps in its own field under v1") {
    for (int const bits : {2, 3, 4, 8}) {
        CAPTURE(bits);
        qtk::row_major<std::uint8_t> zeros{.rows = 32, .cols = 1};
        zeros(1, 0) = 1;
        auto const words = qtk::pack_gptq_zeros(zeros.view(), bits, gptq_version::v1);
        auto const stored = qtk::unpack_gptq_zeros(words.view(), bits, gptq_version::v2);
        CHECK(stored(0, 0) == (1 << bits) - 1);
        CHECK(stored(1, 0) == 0);
        CHECK(stored(2, 0) == (1 << bits) - 1);
        CHECK(qtk::unpack_gptq_zeros(words.view(), bits, gptq_version::v1) == zeros);
    }
}

TEST_CASE("a GPTQ column holds the bytes of a qmatrix row") {
    for (int const bits : {2, 3, 4, 8}) {
        CAPTURE(bits);
        auto const codes = random_fields(3, 64, bits, 4);
        auto const words = qtk::pack_gptq_weight(codes.view(), bits);
        for (std::size_t o = 0; o < codes.rows; ++o) {
            std::vector<std::uint8_t> row(qtk::packed_bytes(codes.cols, bits));
            qtk::pack_fields(codes.view().row(o), bits, row);
            std::vector<std::uint8_t> column;
            for (std::size_t w = 0; w < words.rows; ++w)
                for (int b = 0; b < 4; ++b)
                    column.push_back(static_cast<std::uint8_t>(words(w, o) >> (8 * b)));
            CHECK(column == row);
        }
    }
}

TEST_CASE("qweight is read through a view with a stride") {
    auto const whole = qtk::pack_gptq_weight(golden_codes().view(), 4);
    qtk::matrix_view<std::uint32_t const> const left(whole.values.data(), 1, 5, 8);
    auto const codes = qtk::unpack_gptq_weight(left, 4);
    CHECK(codes.rows == 5);
    CHECK(codes(4, 7) == golden_codes()(4, 7));
}

TEST_CASE("GPTQ refuses other widths, codes too large and broken streams") {
    auto const codes = golden_codes();
    for (int const bits : {-1, 0, 1, 5, 6, 7, 9, 32}) {
        CAPTURE(bits);
        CHECK_THROWS_AS(static_cast<void>(qtk::pack_gptq_weight(codes.view(), bits)),
                        qtk::value_error);
        CHECK_THROWS_AS(static_cast<void>(qtk::unpack_gptq_weight({}, bits)), qtk::value_error);
        CHECK_THROWS_AS(
            static_cast<void>(qtk::pack_gptq_zeros(codes.view(), bits, gptq_version::v1)),
            qtk::value_error);
        CHECK_THROWS_AS(static_cast<void>(qtk::unpack_gptq_zeros({}, bits, gptq_version::v1)),
                        qtk::value_error);
    }
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::pack_gptq_weight(codes.view(), 2)),
                         "gptq qweight: expected fields below 4, found 6 at row 0, column 1",
                         qtk::value_error);
    auto const odd = random_fields(9, 9, 3, 5);
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::pack_gptq_weight(odd.view(), 4)),
                         "gptq qweight: input columns: expected a multiple of 8, found 9",
                         qtk::shape_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::pack_gptq_zeros(odd.view(), 3, gptq_version::v2)),
                         "gptq qzeros: outputs: expected a multiple of 32, found 9",
                         qtk::shape_error);
    qtk::row_major<std::uint32_t> const words{.rows = 4, .cols = 4};
    CHECK_THROWS_AS(static_cast<void>(qtk::unpack_gptq_weight(words.view(), 3)), qtk::shape_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::unpack_gptq_zeros(words.view(), 3, gptq_version::v1)),
                    qtk::shape_error);
}
