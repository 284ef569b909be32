// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/convert.hpp>
#include <qtk/cuda/layout.hpp>
#include <qtk/format/levels.hpp>

#include <doctest/doctest.h>

namespace {
using namespace qtk::cuda;

/// The two halves of a word.
float half_of(std::uint32_t word, int e) {
    return qtk::f16_to_float(static_cast<std::uint16_t>(word >> (16 * e)));
}
/// The field of row g + 8 h and column e of four in a packed word.
std::uint32_t field_of(std::uint32_t word, int h, std::uint32_t e) {
    return word >> weight_layout{16, 64, 64, 4}.field(static_cast<std::size_t>(8 * h), e).shift &
           15u;
}

TEST_CASE("every pair of nibbles and every zero becomes two exact halves") {
    for (std::uint32_t zero = 0; zero < 16; ++zero)
        for (std::uint32_t pair = 0; pair < 256; ++pair) {
            std::uint32_t const word = pair * 0x01010101u;
            half_operands out;
            integer_levels(zero, 15 - zero).decode(word, out);
            for (int step = 0; step < 2; ++step)
                for (int h = 0; h < 2; ++h)
                    for (int e = 0; e < 2; ++e) {
                        auto const column = static_cast<std::uint32_t>(2 * step + e);
                        int const z = static_cast<int>(h == 0 ? zero : 15 - zero);
                        CHECK(half_of(out[step][h], e) ==
                              static_cast<float>(static_cast<int>(field_of(word, h, column)) - z));
                    }
        }
}

TEST_CASE("every 16-bit pattern of fields finds its levels") {
    for (qtk::format const f : {qtk::nf4, qtk::fp4, qtk::e2m1}) {
        auto const level = qtk::levels_of(f);
        level_bytes const bytes(level);
        table_levels const table(bytes);
        for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
            std::uint32_t const word = pattern | (pattern * 40503u & 0xffffu) << 16;
            half_operands out;
            table.decode(word, out);
            bool is_right = true;
            for (int step = 0; step < 2; ++step)
                for (int h = 0; h < 2; ++h)
                    for (int e = 0; e < 2; ++e) {
                        auto const column = static_cast<std::uint32_t>(2 * step + e);
                        float const expected =
                            qtk::f16_to_float(qtk::float_to_f16(level[field_of(word, h, column)]));
                        is_right = is_right && half_of(out[step][h], e) == expected;
                    }
            REQUIRE(is_right);
        }
    }
}
}  // namespace
