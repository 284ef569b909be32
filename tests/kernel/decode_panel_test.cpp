// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx512/decode_panel.hpp>
#include <qtk/kernel/prepack.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

#if QTK_HAS_X86

TEST_CASE("decoded pieces of a panel are the decoded weights, bit for bit, wherever they are cut") {
    if (!qtk::cpu().avx512) return;
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        cases::product const p(s, {1, 45, 300});
        qtk::packed_layout const& layout = p.packed.view().layout;
        std::size_t const units = layout.depth() / qtk::unit_depth;
        auto const decode = qtk::avx512::unit_decoder_of(s.element);
        for (std::size_t const count : {std::size_t{1}, std::size_t{3}, units})
            for (std::size_t first = 0; first < units; first += count) {
                std::size_t const here = std::min(count, units - first);
                qtk::aligned_bytes bytes(here * 32 * 32 * sizeof(float));
                float const* const found = bytes.as<float>();
                decode(p.packed.view(), 1, first, here, bytes.as<float>());
                bool is_right = true;
                for (std::size_t k = 0; k < 300; ++k) {
                    std::size_t const at = layout.depth_of(k);
                    if (at / 32 < first || at / 32 >= first + here) continue;
                    for (std::size_t c = 0; c < 13; ++c)
                        is_right = is_right && found[(at - 32 * first) * 32 + c] ==
                                                   p.decoded[(32 + c) * 300 + k];
                }
                REQUIRE(is_right);
            }
    }
}

TEST_CASE("all fields of minifloats come out as their levels, infinity and NaN too") {
    if (!qtk::cpu().avx512) return;
    for (qtk::format const& f : {qtk::e3m2, qtk::e4m3, qtk::e5m2}) {
        auto const level = qtk::levels_of(f);
        qtk::any_qmatrix q({.element = f, .grain = qtk::per_channel}, 32, 256);
        std::vector<std::uint8_t> fields(256);
        for (std::size_t r = 0; r < 32; ++r) {
            for (std::size_t k = 0; k < 256; ++k)
                fields[k] = static_cast<std::uint8_t>((k * 7 + r) % level.size() %
                                                      static_cast<std::size_t>(f.patterns()));
            q.set_row(r, fields);
        }
        std::vector<qtk::tile_params> const ones(32, qtk::tile_params{1.0f, 0});
        q.set_params(ones);
        qtk::packed_matrix const packed = qtk::prepack(q);
        qtk::aligned_bytes bytes(256 * 32 * sizeof(float));
        qtk::avx512::unit_decoder_of(f)(packed.view(), 0, 0, 8, bytes.as<float>());
        for (std::size_t k = 0; k < 256; ++k)
            for (std::size_t r = 0; r < 32; ++r) {
                float const expected = level[q.field(r, k)], found = bytes.as<float>()[k * 32 + r];
                REQUIRE((found == expected || (found != found && expected != expected)));
            }
    }
}

#endif
