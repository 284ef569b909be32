// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/compressed_tensors_packing.hpp>

#include <doctest/doctest.h>

#include "packing_goldens.hpp"

TEST_CASE("an empty weight has no compressed-tensors words") {
    qtk::row_major<std::uint8_t> const none{.rows = 3, .cols = 0};
    auto const words = qtk::pack_compressed_weight(none.view(), 4);
    CHECK(words.rows == 3);
    CHECK(words.cols == 0);
    CHECK(qtk::unpack_compressed_weight(words.view(), 4, 0) == none);
}

TEST_CASE("compressed-tensors weight_packed has the golden words, one row an output") {
    auto const words = qtk::pack_compressed_weight(golden_codes().view(), 4);
    CHECK(words.rows == 8);
    CHECK(words.cols == 1);
    CHECK(words.values == as_vector(words_by_output));
    CHECK(qtk::unpack_compressed_weight(words.view(), 4, 8) == golden_codes());
}

TEST_CASE("compressed-tensors zero points pack along the outputs") {
    auto const words = qtk::pack_compressed_zeros(golden_zeros().view(), 4);
    CHECK(words.rows == 1);
    CHECK(words.cols == 1);
    CHECK(words(0, 0) == 0xedcba987);
    CHECK(qtk::unpack_compressed_zeros(words.view(), 4, 8) == golden_zeros());
}

TEST_CASE("ten codes of 3 bits share a word and two bits stay unused") {
    qtk::row_major<std::uint8_t> const codes{
        .rows = 1, .cols = 12, .values = {1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 7, 5}};
    auto const words = qtk::pack_compressed_weight(codes.view(), 3, qtk::word_fill::whole);
    // 2 1 0 7 6 5 4 3 2 1 in octal, first code last; then 5 7
    CHECK(words.values == std::vector<std::uint32_t>{02107654321, 057});
    CHECK(qtk::unpack_compressed_weight(words.view(), 3, 12, qtk::word_fill::whole) == codes);
}

TEST_CASE("as a stream, codes of 3 bits straddle words as GPTQ's do") {
    qtk::row_major<std::uint8_t> codes{.rows = 1, .cols = 32};
    for (std::size_t i = 0; i < 32; ++i) codes(0, i) = static_cast<std::uint8_t>(i % 8);
    auto const words = qtk::pack_compressed_weight(codes.view(), 3);
    CHECK(words.values ==
          std::vector<std::uint32_t>(three_bit_words.begin(), three_bit_words.end()));
    CHECK(qtk::unpack_compressed_weight(words.view(), 3, 32) == codes);
}

TEST_CASE("unused bits are not looked at") {
    qtk::row_major<std::uint8_t> const codes{.rows = 1, .cols = 3, .values = {1, 2, 3}};
    auto words = qtk::pack_compressed_weight(codes.view(), 3);
    words(0, 0) |= 0xfffffe00u;
    CHECK(qtk::unpack_compressed_weight(words.view(), 3, 3) == codes);
}

TEST_CASE("every compressed-tensors width gives back its fields") {
    for (auto const fill : {qtk::word_fill::whole, qtk::word_fill::stream})
        for (int bits = 1; bits <= 8; ++bits)
            for (std::size_t const n : {1u, 7u, 10u, 33u, 64u}) {
                CAPTURE(bits);
                CAPTURE(n);
                auto const codes = random_fields(3, n, bits, n);
                auto const words = qtk::pack_compressed_weight(codes.view(), bits, fill);
                CHECK(words.cols == qtk::compressed_words(n, bits, fill));
                CHECK(qtk::unpack_compressed_weight(words.view(), bits, n, fill) == codes);
                auto const zeros = random_fields(n, 3, bits, n + 1);
                auto const zero_words = qtk::pack_compressed_zeros(zeros.view(), bits, fill);
                CHECK(zero_words.rows == qtk::compressed_words(n, bits, fill));
                CHECK(qtk::unpack_compressed_zeros(zero_words.view(), bits, n, fill) == zeros);
                if (32 % bits == 0) CHECK(words == qtk::pack_compressed_weight(codes.view(), bits));
            }
}

TEST_CASE("compressed-tensors refuses other widths, fields too large and wrong word counts") {
    auto const codes = golden_codes();
    for (int const bits : {-1, 0, 9, 32}) {
        CAPTURE(bits);
        CHECK_THROWS_AS(static_cast<void>(qtk::fields_per_word(bits)), qtk::value_error);
        CHECK_THROWS_AS(static_cast<void>(qtk::pack_compressed_weight(codes.view(), bits)),
                        qtk::value_error);
    }
    CHECK_THROWS_AS(static_cast<void>(qtk::pack_compressed_weight(codes.view(), 3)),
                    qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::pack_compressed_zeros(codes.view(), 3)),
                    qtk::value_error);
    qtk::row_major<std::uint32_t> const words{.rows = 2, .cols = 2};
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::unpack_compressed_weight(words.view(), 3, 21,
                                                                         qtk::word_fill::whole)),
                         "compressed-tensors weight_packed: columns: expected 3 for 21 fields of 3 "
                         "bits, found 2",
                         qtk::shape_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::unpack_compressed_zeros(words.view(), 4, 8)),
                    qtk::shape_error);
}
