// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx512/block_header.hpp>
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/prepack.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <array>

#if QTK_HAS_X86

namespace {

QTK_AVX512_REGION
void read_block(qtk::packed_view const& w, std::size_t g, float unit, float* scale, float* shift) {
    auto const s = qtk::avx512::load_header(w.layout, w.block(0, g), w.tensor_scale, unit,
                                            qtk::symmetric_zero(w.element));
    for (int h = 0; h < 2; ++h) {
        _mm512_storeu_ps(scale + 16 * h, s.scale[h]);
        _mm512_storeu_ps(shift + 16 * h, s.shift[h]);
    }
}
QTK_REGION_END

}  // namespace

TEST_CASE(
    "the scales and shifts of a block are those of its outputs, whatever they are stored as") {
    if (!qtk::cpu().avx512) return;
    using qtk::scale_type;
    for (auto const type :
         {scale_type::f32, scale_type::f16, scale_type::bf16, scale_type::e8m0, scale_type::e4m3})
        for (auto const zero : {qtk::origin::fixed, qtk::origin::floating}) {
            qtk::scheme const s{
                .element = qtk::i4, .grain = qtk::per_group(32), .zero = zero, .scale = type};
            qtk::packed_matrix const w = qtk::prepack(cases::random_qmatrix(s, 32, 96, 7));
            for (std::size_t g = 0; g < 3; ++g) {
                std::array<float, 32> scale{}, shift{};
                read_block(w.view(), g, 0.5f, scale.data(), shift.data());
                for (std::size_t c = 0; c < 32; ++c) {
                    qtk::header_params const p =
                        qtk::read_header(w.view().layout, w.view().block(0, g), c);
                    float const expected = p.scale * w.view().tensor_scale * 0.5f;
                    REQUIRE(scale[c] == expected);
                    REQUIRE(shift[c] == (zero == qtk::origin::floating
                                             ? expected * static_cast<float>(8 - p.zero)
                                             : 0.0f));
                }
            }
        }
}

#endif
