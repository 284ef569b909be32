// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/amx/panel_reader.hpp>
#include <qtk/kernel/prepack.hpp>

#include <doctest/doctest.h>

#include "amx_emulator.hpp"
#include "cases.hpp"

#if QTK_HAS_X86

namespace {

QTK_AMX_REGION
void read_step(qtk::amx::panel_reader& r, qtk::amx::panel_reader::place& at,
               qtk::amx::step_shape const& shape, std::uint8_t* to) {
    __m512i const constant = qtk::amx::constant_of<4>(*r.job);
    qtk::amx::read_unit<4, 0, 1024>(r, at, constant, to, shape.half);
    if (shape.units == 2) qtk::amx::read_unit<4, 1, 1024>(r, at, constant, to, shape.half);
}
QTK_REGION_END

/// Byte of output c at depth k of a step.
std::int8_t code_at(std::uint8_t const* step, qtk::amx::step_shape const& shape, std::size_t c,
                    std::size_t k) {
    return static_cast<std::int8_t>(step[c / 16 * shape.half + k / 4 * 64 + 4 * (c % 16) + k % 4]);
}

}  // namespace

TEST_CASE("segments are walked in order, panel after panel") {
    qtk::packed_matrix const w = qtk::prepack(
        cases::random_qmatrix({.element = qtk::i4, .grain = qtk::per_group(160)}, 40, 224, 3));
    qtk::segment_plan const plan(w.view().layout, 2);  // 5 units, then 2: 2 + 2 + 1, 2
    std::size_t count = 0;
    std::size_t const units[] = {2, 2, 1, 2};
    for (qtk::amx::segment_cursor at{&w.view(), &plan, 0, 2}; !at.is_done();
         at.advance(at.units())) {
        REQUIRE(at.panel == count / 4);
        REQUIRE(at.index == count % 4);
        REQUIRE(at.units() == units[count % 4]);
        REQUIRE(at.is_last_of_panel() == (count % 4 == 3));
        REQUIRE(at.header() == w.view().block(count / 4, count % 4 / 3));
        ++count;
    }
    CHECK(count == 8);
}

TEST_CASE("steps are whole tiles of activations where segments begin on them, else half ones") {
    auto const units_of = [](int group, std::size_t cols) {
        return qtk::amx::step_shape(
                   qtk::packed_layout({.element = qtk::i4, .grain = {.rows = 1, .cols = group}}, 32,
                                      cols))
            .units;
    };
    CHECK(units_of(32, 128) == 1);
    CHECK(units_of(96, 192) == 1);
    CHECK(units_of(64, 128) == 2);
    CHECK(units_of(128, 160) == 2);
    CHECK(units_of(0, 96) == 2);
    qtk::amx::step_shape const half(
        qtk::packed_layout({.element = qtk::i4, .grain = qtk::per_group(32)}, 32, 128));
    CHECK(half.offset(3, 1024) == 1024 + 32);
}

TEST_CASE("a reader yields every code of a panel, zeros past the end of segments, and all scales") {
    if (!qtk_test::amx_emulation::can_run()) return;
    for (int const group : {32, 64, 96, 128, 0}) {
        CAPTURE(group);
        qtk::any_qmatrix const q = cases::random_qmatrix(
            {.element = qtk::i4, .grain = {.rows = 1, .cols = group}}, 32, 288, 5);
        qtk::packed_matrix const w = qtk::prepack(q);
        qtk::packed_layout const& layout = w.view().layout;
        qtk::segment_plan const plan(layout, 16);
        qtk::avx512::int8_context const job(w.view(), qtk::quantized_rows{});
        qtk::amx::step_shape const shape(layout);
        alignas(64) float scales[16 * qtk::amx::scales_of_segment];
        alignas(64) std::uint8_t step[2048];
        qtk::amx::panel_reader reader{&job, {&w.view(), &plan, 0, 1}, scales, 16};
        qtk::amx::panel_reader::place at;
        std::size_t const deep = shape.units * 32;
        for (std::size_t k0 = 0; k0 < layout.depth(); k0 += deep) {
            read_step(reader, at, shape, step);
            for (std::size_t c = 0; c < 32; ++c)
                for (std::size_t k = 0; k < deep; ++k)
                    REQUIRE(code_at(step, shape, c, k) ==
                            (k0 + k < 288 ? static_cast<int>(q.field(c, k0 + k)) - 8 : 0));
        }
        CHECK(reader.slot == plan.total % 16);
        for (std::size_t s = 0; s < layout.groups; ++s)
            for (std::size_t c = 0; c < 32; ++c)
                REQUIRE(scales[s * qtk::amx::scales_of_segment + c] == q.params(c, s).scale);
        // Nothing is left: reading on is harmless.
        read_step(reader, at, shape, step);
    }
}

#endif
