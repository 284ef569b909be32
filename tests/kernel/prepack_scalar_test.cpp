// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/prepack_scalar.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <cstring>
#include <vector>

TEST_CASE("every stored scale comes back from a header") {
    for (std::uint32_t pattern = 0; pattern < 256; ++pattern) {
        CAPTURE(pattern);
        for (qtk::scale_type const type : {qtk::scale_type::e8m0, qtk::scale_type::e4m3}) {
            std::uint32_t const header = qtk::header_scale(type, pattern);
            REQUIRE(qtk::stored_scale(type, header) == pattern);
            float const canonical = qtk::load_scale(type, pattern);
            float const packed = qtk::load_scale(
                type == qtk::scale_type::e8m0 ? qtk::scale_type::bf16 : qtk::scale_type::f16,
                header);
            if (canonical == canonical)
                REQUIRE(canonical == packed);
            else
                REQUIRE(packed != packed);
        }
    }
}

TEST_CASE("a panel is what the picture of the layout says") {
    qtk::scheme const s{.element = qtk::u4,
                        .grain = qtk::per_group(32),
                        .zero = qtk::origin::floating,
                        .scale = qtk::scale_type::f16};
    qtk::any_qmatrix q(s, 32, 64);
    std::vector<std::uint8_t> fields(64);
    for (std::size_t r = 0; r < 32; ++r) {
        for (std::size_t k = 0; k < 64; ++k)
            fields[k] = static_cast<std::uint8_t>((r + 3 * k) % 16);
        q.set_row(r, fields);
    }
    std::vector<qtk::tile_params> params(64);
    for (std::size_t i = 0; i < 64; ++i)
        params[i] = {0.5f * static_cast<float>(i + 1), static_cast<int>(i % 16)};
    q.set_params(params);
    qtk::packed_matrix packed(s, 32, 64);
    qtk::scalar::pack_panel(q, packed.view().layout, 0, packed.data(), fields);
    // Two blocks of a header of two lines and a unit of eight.
    REQUIRE(packed.bytes() == 2 * 10 * 64);
    std::uint8_t const* const block = packed.view().block(0, 1);
    std::uint16_t scale = 0;
    std::memcpy(&scale, block + 2 * 5, 2);
    CHECK(qtk::f16_to_float(scale) == 0.5f * 12.0f);  // output 5, group 1 is tile 11
    CHECK(block[64 + 5] == 11);
    // Output 16 + 3, k = 32 + 8 * 2 + 4 + 1: line 2 * 2 + 1 of the unit, byte 13, high nibble.
    CHECK((block[128 + 64 * 5 + 13] >> 4) == (19 + 3 * (32 + 21)) % 16);
}
