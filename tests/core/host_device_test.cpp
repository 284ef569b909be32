// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/host_device.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <initializer_list>
#include <limits>

TEST_CASE("bits survive a change of type") {
    for (float const v : {0.0f, -0.0f, 1.5f, std::numeric_limits<float>::infinity()})
        CHECK(qtk::bit_cast<std::uint32_t>(qtk::bit_cast<float>(qtk::bit_cast<std::uint32_t>(v))) ==
              qtk::bit_cast<std::uint32_t>(v));
    CHECK(qtk::bit_cast<std::uint32_t>(-0.0f) == 0x80000000u);
}

TEST_CASE("a division that rounds up does not overflow at the top") {
    constexpr auto most = std::numeric_limits<std::size_t>::max();
    CHECK(qtk::div_ceil(most, 2) == most / 2 + 1);
    CHECK(qtk::div_ceil(most, most) == 1);
    CHECK(qtk::div_ceil(64, 64) == 1);
}
