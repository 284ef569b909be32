// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/checked.hpp>

#include <doctest/doctest.h>

namespace {
constexpr auto largest = std::numeric_limits<std::uint64_t>::max();
constexpr auto largest_signed = std::numeric_limits<std::int64_t>::max();
constexpr auto smallest_signed = std::numeric_limits<std::int64_t>::min();
}  // namespace

static_assert(qtk::checked_add(2, 3) == 5 && qtk::checked_sub(2, 3) == -1);
static_assert(qtk::checked_mul<std::int8_t>(-16, 8) == -128);

TEST_CASE("results at the edge of the type are given") {
    CHECK(qtk::checked_add(largest - 1, std::uint64_t{1}) == largest);
    CHECK(qtk::checked_sub(largest, largest) == 0);
    CHECK(qtk::checked_mul(largest, std::uint64_t{1}) == largest);
    CHECK(qtk::checked_mul(largest, std::uint64_t{0}) == 0);
    CHECK(qtk::checked_mul(std::uint64_t{1} << 32, (std::uint64_t{1} << 32) - 1) ==
          largest - ((std::uint64_t{1} << 32) - 1));
    CHECK(qtk::checked_add(smallest_signed, largest_signed) == -1);
}

TEST_CASE("results past the edge are refused with both numbers") {
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::checked_add(largest, std::uint64_t{1})),
                         "the sum 18446744073709551615 + 1 overflows", qtk::value_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::checked_sub(2u, 3u)),
                         "the difference 2 - 3 overflows", qtk::value_error);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::checked_mul(std::uint64_t{1} << 32, std::uint64_t{1} << 32)),
        "the product 4294967296 x 4294967296 overflows", qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::checked_sub(smallest_signed, std::int64_t{1})),
                    qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::checked_mul(smallest_signed, std::int64_t{-1})),
                    qtk::value_error);
}

TEST_CASE("narrowing keeps the number or is refused") {
    CHECK(qtk::checked_cast<std::uint8_t>(255) == 255);
    CHECK(qtk::checked_cast<std::int8_t>(std::uint64_t{127}) == 127);
    CHECK(qtk::checked_cast<std::uint64_t>(largest_signed) == largest / 2);
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::checked_cast<std::uint8_t>(256)),
                         "the number 256 does not fit its integer type", qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::checked_cast<std::uint64_t>(-1)), qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(qtk::checked_cast<std::int64_t>(largest)), qtk::value_error);
}

TEST_CASE("division rounds up without a sum that could wrap") {
    CHECK(qtk::div_ceil(0, 8) == 0);
    CHECK(qtk::div_ceil(1, 8) == 1);
    CHECK(qtk::div_ceil(8, 8) == 1);
    CHECK(qtk::div_ceil(9, 8) == 2);
    CHECK(qtk::div_ceil(~std::size_t{0}, 2) == std::size_t{1} << 63);
}
