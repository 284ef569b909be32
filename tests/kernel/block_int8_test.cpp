// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/kernel/amx/block_int8.hpp>

#include <doctest/doctest.h>

#include "amx_emulator.hpp"
#include <cmath>
#include <vector>

#if QTK_HAS_X86

// product_int8_test.cpp compares whole products; here: the two steps of delay, and the writer.
namespace {

struct buffers {
    alignas(64) std::int32_t first[1024] = {}, second[1024] = {};
    alignas(64) float c[1024] = {}, column[64], row[16], sum[16];
};

QTK_AMX_REGION
void one_step(qtk::amx::block_operands const& s, qtk::amx::step_range const& range,
              qtk::amx::step_shape const& shape, buffers& b) {
    qtk::amx::tile_session const session;
    qtk::amx::block_scaling const to_c{{b.row, b.row}, {b.sum, b.sum}, b.column, b.c};
    qtk::amx::run_step<true, true>(s, range, shape, b.first, b.second, to_c);  // scales zeros
    // The tiles held zeros, which are scaled now; then the step's sums are.
    qtk::amx::run_step<true, true, false>({}, {}, shape, b.second, b.first, to_c);
    qtk::amx::run_step<true, true, false>({}, {}, shape, b.first, b.second, to_c);
}
QTK_REGION_END

}  // namespace

TEST_CASE("a step's sums are scaled two steps later") {
    qtk_test::amx_emulation const tiles;
    if (!tiles.can_run()) return;
    qtk::amx::step_shape const shape(
        qtk::packed_layout({.element = qtk::i4, .grain = qtk::per_channel}, 32, 192));
    for (std::size_t steps = 1; steps <= 3; ++steps) {
        qtk::splitmix64 random(steps);
        std::vector<std::int8_t> a(2 * 3 * 1024);
        std::vector<std::uint8_t> w(3 * 2048);
        for (auto& v : a) v = static_cast<std::int8_t>(qtk::uniform_index(random, 255));
        for (auto& v : w) v = static_cast<std::uint8_t>(qtk::uniform_index(random, 256));
        buffers b;
        for (std::size_t i = 0; i < 64; ++i)
            b.column[i] = i < 32 ? 0.5f + static_cast<float>(i) : 0;
        for (std::size_t i = 0; i < 16; ++i) b.row[i] = 2.0f, b.sum[i] = 0.0f;
        one_step({a.data(), a.data() + 3 * 1024, w.data()}, {steps, 0, 1024, 0, 0}, shape, b);
        for (std::size_t r = 0; r < 32; ++r)
            for (std::size_t c = 0; c < 32; ++c) {
                int sum = 0;
                for (std::size_t k = 0; k < 64 * steps; ++k)
                    sum += a[r / 16 * 3072 + k / 64 * 1024 + r % 16 * 64 + k % 64] *
                           static_cast<std::int8_t>(w[k / 64 * 2048 + c / 16 * 1024 +
                                                      k % 64 / 4 * 64 + c % 16 * 4 + k % 4]);
                REQUIRE(b.c[r / 16 * 512 + c / 16 * 256 + r % 16 * 16 + c % 16] ==
                        static_cast<float>(sum) * (2.0f * b.column[c]));
            }
    }
}

TEST_CASE("a writer writes so many rows as it is asked for, once, and leaves zeros") {
    if (!qtk_test::amx_emulation::can_run()) return;
    alignas(64) float c[1024];
    for (std::size_t i = 0; i < 1024; ++i) c[i] = static_cast<float>(i + 1);
    std::vector<float> found(20 * 64, 7.0f);
    qtk::quantized_rows const x;
    qtk::output_rows const y(qtk::matrix_view<float>(found.data(), 20, 64));
    qtk::amx::panel_writer writer{&x, &y, c, 1, 18, 1};
    for (std::size_t const count : {5u, 0u, 9u, 100u, 3u}) qtk::amx::write_some(writer, count);
    CHECK(writer.row == 18);
    for (std::size_t r = 0; r < 20; ++r)
        for (std::size_t i = 0; i < 64; ++i) {
            std::size_t const t = r - 1, n = i - 32;
            float const expected =
                static_cast<float>(t / 16 * 512 + n / 16 * 256 + t % 16 * 16 + n % 16 + 1);
            bool const is_written = r >= 1 && r < 19 && i >= 32;
            REQUIRE(found[r * 64 + i] == (is_written ? expected : 7.0f));
        }
    for (std::size_t i = 0; i < 1024; ++i)
        REQUIRE((c[i] == 0.0f) == (i / 512 * 16 + i % 256 / 16 < 18));
}

#endif
