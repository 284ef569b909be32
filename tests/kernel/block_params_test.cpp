// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/block_params.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/prepack.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

#if QTK_HAS_X86

TEST_CASE("params of a block are what its header says, whatever scales are stored as") {
    if (!qtk::is_usable(qtk::instruction_set::avx2)) return;
    using qtk::scale_type;
    for (scale_type const type : {scale_type::f32, scale_type::f16, scale_type::bf16})
        for (qtk::origin const zero : {qtk::origin::fixed, qtk::origin::floating}) {
            qtk::scheme const s{
                .element = qtk::i5, .grain = qtk::per_group(32), .zero = zero, .scale = type};
            qtk::packed_matrix const w = qtk::prepack(cases::random_qmatrix(s, 64, 96, 3));
            qtk::packed_view view = w.view();
            view.tensor_scale = 0.7f;
            for (std::size_t g = 0; g < 3; ++g) {
                std::uint8_t const* const block = view.block(1, g);
                auto const p = qtk::avx2::read_block(view, block, 0.3f);
                CHECK(p.middle == 16.0f);
                CHECK(p.has_zero == (zero == qtk::origin::floating));
                for (std::size_t c = 0; c < qtk::panel_columns; ++c) {
                    qtk::header_params const h = qtk::read_header(view.layout, block, c);
                    REQUIRE(p.scale[c] == h.scale * 0.7f * 0.3f);
                    REQUIRE(p.zero[c] == (p.has_zero ? static_cast<float>(h.zero) : 16.0f));
                }
            }
        }
}

#endif
