// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/packed_layout.hpp>
#if QTK_HAS_XSIMD
#include <qtk/kernel/portable/decoded_panel.hpp>
#endif

#include <doctest/doctest.h>

#include "product_cases.hpp"

#if QTK_HAS_XSIMD

TEST_CASE("decoded units hold (level - shift) scale of every field") {
    for (auto const& [name, f] : qtk::known_formats) {
        std::string const spelled(name);
        CAPTURE(spelled);
        qtk::bit_planes const planes = qtk::planes_of(f.bits);
        std::size_t const bytes =
            2 * qtk::cache_line * static_cast<std::size_t>(planes.low + planes.high);
        qtk::splitmix64 random(3);
        std::vector<std::uint8_t> units(2 * bytes);
        for (std::uint8_t& byte : units)
            byte = static_cast<std::uint8_t>(qtk::uniform_index(random, 256));
        auto level = qtk::levels_of(f);
        for (float& l : level)
            if (!(l == l)) l = 0.0f;
        if (f.bits == 7)
            for (std::size_t i = 0; i < 256; ++i) level[i] = static_cast<float>(i);
        std::vector<float> const shift = qtk::gaussian_vector(32, 1),
                                 scale = qtk::gaussian_vector(32, 2);
        std::vector<float> found(2 * qtk::unit_depth * qtk::panel_columns);
        qtk::portable::panel_decoder const decode{planes, f.is_integer(), level};
        decode(units.data(), 2, bytes, shift.data(), scale.data(), found.data());
        for (std::size_t k = 0; k < 64; ++k)
            for (std::size_t c = 0; c < 32; ++c) {
                float const expected =
                    (level[qtk::unit_field(units.data() + k / 32 * bytes, planes, c, k % 32)] -
                     shift[c]) *
                    scale[c];
                float const got = found[k * 32 + c];
                REQUIRE((got == expected || (got != got && expected != expected)));
            }
    }
}

TEST_CASE("rows times decoded weights are the sums of their products") {
    std::vector<float> w(70 * 32), x(7 * 75), c(7 * 32, 0.5f);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i * 37 % 255) - 128.0f;
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 91 % 254) - 127.0f;
    qtk::portable::add_rows(w.data(), x.data(), 75, 70, 7, c.data());
    for (std::size_t r = 0; r < 7; ++r)
        for (std::size_t i = 0; i < 32; ++i) {
            float sum = 0.5f;
            for (std::size_t k = 0; k < 70; ++k) sum += x[r * 75 + k] * w[k * 32 + i];
            REQUIRE(c[r * 32 + i] == sum);  // small enough to be exact
        }
}

#endif
