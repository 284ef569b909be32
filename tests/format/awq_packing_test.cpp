// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/awq_packing.hpp>

#include <doctest/doctest.h>

#include "packing_goldens.hpp"

TEST_CASE("an empty weight has no AWQ words") {
    qtk::row_major<std::uint8_t> const none{.rows = 16, .cols = 0};
    auto const words = qtk::pack_awq(none.view());
    CHECK(words.rows == 0);
    CHECK(words.cols == 2);
    CHECK(qtk::unpack_awq(words.view()) == none);
}

TEST_CASE("AWQ qweight and qzeros have the golden words") {
    auto const words = qtk::pack_awq(golden_codes().view());
    CHECK(words.rows == 8);
    CHECK(words.cols == 1);
    CHECK(words.values == as_vector(words_by_input));
    CHECK(qtk::unpack_awq(words.view()) == golden_codes());

    auto const zeros = qtk::pack_awq(golden_zeros().view());
    CHECK(zeros.values == std::vector<std::uint32_t>{0xeca8db97});
    CHECK(qtk::unpack_awq(zeros.view()) == golden_zeros());
}

TEST_CASE("AWQ gives back codes and words of any shape") {
    auto const codes = random_fields(24, 7, 4, 1);
    auto const words = qtk::pack_awq(codes.view());
    CHECK(words.rows == 7);
    CHECK(words.cols == 3);
    CHECK(qtk::unpack_awq(words.view()) == codes);

    qtk::splitmix64 random(2);
    qtk::row_major<std::uint32_t> any{.rows = 5, .cols = 4};
    for (auto& word : any.values) word = static_cast<std::uint32_t>(random());
    CHECK(qtk::pack_awq(qtk::unpack_awq(any.view()).view()) == any);
}

TEST_CASE("AWQ refuses a number of outputs that does not fill words, and 5-bit codes") {
    qtk::row_major<std::uint8_t> fields{.rows = 12, .cols = 2};
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::pack_awq(fields.view())),
                         "awq: outputs: expected a multiple of 8, found 12", qtk::shape_error);
    fields = {.rows = 8, .cols = 2};
    fields(3, 1) = 16;
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::pack_awq(fields.view())),
                         "awq: expected fields below 16, found 16 at row 3, column 1",
                         qtk::value_error);
}
