// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/amx/operands.hpp>
#include <qtk/kernel/avx512/operands.hpp>

#include <doctest/doctest.h>

#include "amx_emulator.hpp"
#include "cases.hpp"
#include <array>

#if QTK_HAS_X86

namespace {

/// A unit of random fields and what its operands must be: [half][operand][64].
struct unit_case {
    alignas(64) std::array<std::uint8_t, 1024> unit{};
    std::array<std::uint8_t, 1024> fields{};

    explicit unit_case(qtk::format const& f) {
        qtk::splitmix64 random(31);
        qtk::bit_planes const planes = qtk::planes_of(f.bits);
        auto const patterns = static_cast<std::uint64_t>(f.patterns());
        for (std::size_t c = 0; c < 32; ++c)
            for (std::size_t k = 0; k < 32; ++k) {
                auto const field = static_cast<std::uint8_t>(qtk::uniform_index(random, patterns));
                qtk::set_unit_field(unit.data(), planes, c, k, field);
                fields[c / 16 * 512 + k / 4 * 64 + 4 * (c % 16) + k % 4] = field;
            }
    }
};

QTK_AVX512_REGION
template <int Kind>
void unpack_on_vectors(std::uint8_t const* unit, std::uint8_t* to) {
    qtk::avx512::unpack_unit<Kind>(unit, _mm512_setzero_si512(), to, to + 512);
}
QTK_REGION_END

QTK_AMX_REGION
template <int Kind>
void unpack_for_tiles(qtk::avx512::int8_context const& job, std::uint8_t const* unit,
                      std::uint8_t* to) {
    qtk::amx::unpack_unit<Kind>(unit, qtk::amx::constant_of<Kind>(job), to, 512);
}
QTK_REGION_END

template <int Kind>
void check_unit(qtk::format const& f) {
    std::string const name(qtk::name_of(f));
    CAPTURE(name);
    unit_case const c(f);
    alignas(64) std::array<std::uint8_t, 1024> found{};
    if constexpr (Kind != qtk::avx512::looked_up) {
        unpack_on_vectors<Kind>(c.unit.data(), found.data());
        CHECK(found == c.fields);
    }
    if (!qtk_test::amx_emulation::can_run()) return;
    qtk::packed_view w;
    w.element = f;
    qtk::avx512::int8_context const job(w, qtk::quantized_rows{});
    unpack_for_tiles<Kind>(job, c.unit.data(), found.data());
    auto const level = qtk::integer_levels_of(f);
    for (std::size_t i = 0; i < 1024; ++i)
        REQUIRE(static_cast<std::int8_t>(found[i]) == level[c.fields[i]]);
}

}  // namespace

TEST_CASE("every field becomes its byte: without sign for vectors, its level for tiles") {
    if (!qtk::cpu().avx512) return;
    check_unit<2>(qtk::i2);
    check_unit<3>(qtk::i3);
    check_unit<4>(qtk::i4);
    check_unit<5>(qtk::i5);
    check_unit<6>(qtk::i6);
    check_unit<8>(qtk::i7);
    check_unit<8>(qtk::i8);
    check_unit<qtk::avx512::looked_up>(qtk::nf4);
    check_unit<qtk::avx512::looked_up>(qtk::fp4);
    check_unit<qtk::avx512::looked_up>(qtk::e2m1);
}

#endif
