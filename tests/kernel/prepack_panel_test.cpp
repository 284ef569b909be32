// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/prepack_panel.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include <cstring>
#include <vector>

TEST_CASE("a panel is packed where it lies and nowhere else") {
    for (qtk::scheme const& s : cases::schemes_of_products())
        for (std::size_t const cols : {std::size_t{40}, std::size_t{1100}}) {
            qtk::any_qmatrix const q = cases::random_qmatrix(s, 70, cols, 3);
            qtk::packed_layout const to(s, 70, cols);
            std::vector<std::uint8_t> fields(cols), expected(to.panel_bytes);
            for (qtk::instruction_set const isa : cases::usable_isas()) {
                qtk::qmatrix_view const view(q);
                qtk::detail::panel_packer const packer(isa, view, to);
                for (std::size_t p = 0; p < 3; ++p) {
                    qtk::aligned_bytes found(to.panel_bytes + 64);
                    std::memset(found.data(), 0x5a, found.size());
                    packer.pack(p, found.data());
                    qtk::scalar::pack_panel(view, to, p, expected.data(), fields);
                    REQUIRE(std::memcmp(found.data(), expected.data(), to.panel_bytes) == 0);
                    for (std::size_t i = 0; i < 64; ++i)
                        REQUIRE(found.data()[to.panel_bytes + i] == 0x5a);
                }
            }
        }
}

TEST_CASE("unpacking a panel leaves the bytes around its rows alone") {
    for (qtk::format const& f : {qtk::i2, qtk::i3, qtk::i4, qtk::i5, qtk::i6, qtk::i8}) {
        qtk::scheme const s{.element = f, .grain = qtk::per_group(32)};
        qtk::any_qmatrix const q = cases::random_qmatrix(s, 32, 96, 4);
        qtk::packed_matrix const packed = qtk::prepack(q);
        std::size_t const stride = q.row_bytes() + 3;
        for (qtk::instruction_set const isa : cases::usable_isas()) {
            std::vector<std::uint8_t> rows(32 * stride, 0xa5);
            qtk::detail::unpack_panel_codes(qtk::detail::unit_packer_for(isa, f.bits),
                                            packed.view(), f.bits, 0, rows.data(), stride);
            for (std::size_t r = 0; r < 32; ++r)
                for (std::size_t i = 0; i < stride; ++i)
                    REQUIRE(rows[r * stride + i] == (i < q.row_bytes() ? q.row_codes(r)[i] : 0xa5));
        }
    }
}
