// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/quantize_rows.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <limits>
#include <vector>

namespace {
using namespace qtk::cuda;

struct quantized {
    device_vector<std::uint8_t> codes;
    device_vector<float> scales;
    device_vector<std::int32_t> sums;
    activation_codes rows;
};
quantized quantize(device_vector<float> const& x, std::size_t m, std::size_t cols,
                   std::size_t segment, bool has_row_scales, int bits = 8) {
    quantized q;
    q.rows = {nullptr, nullptr, nullptr, m, cols, segment, has_row_scales, bits};
    q.codes.assign(m * q.rows.row_bytes(), 99);
    q.scales.assign(has_row_scales ? m : m * q.rows.segments(), -1.0f);
    q.sums.assign(m * q.rows.segments(), -1);
    q.rows.codes = q.codes.data();
    q.rows.scales = q.scales.data();
    q.rows.sums = q.sums.data();
    launch_quantize_rows({x.data(), cols, number::f32}, q.rows, {});
    wait_for_device();
    return q;
}

/// The code of column k.
int code_at(quantized const& q, std::size_t row, std::size_t k) {
    std::uint8_t const* const codes = q.codes.data() + row * q.rows.row_bytes();
    if (q.rows.bits == 8) return static_cast<std::int8_t>(codes[int8_place(k)]);
    bit_place const at = int4_place(k);
    int const field = codes[at.word * 4 + at.shift / 8] >> (at.shift % 8) & 15;
    return field < 8 ? field : field - 16;
}

template <qtk::format F>
void check_bits() {
    qtk::tile_quantizer<F, qtk::origin::fixed> const by_cpu;
    for (bool const has_row_scales : {false, true})
        for (auto const& [m, cols, segment] :
             {std::array<std::size_t, 3>{1, 64, 64}, {3, 200, 32}, {2, 333, 333}, {4, 300, 96}}) {
            auto x = on_device(random_floats(m * cols, 5));
            for (std::size_t k = 0; k < segment && k < cols; ++k) x[k] = 0.0f;  // a tile of zeros
            auto const q = quantize(x, m, cols, segment, has_row_scales, F.bits);
            std::size_t wrong = 0;
            for (std::size_t r = 0; r < m; ++r)
                for (std::size_t s = 0; s < q.rows.segments(); ++s) {
                    std::size_t const first = s * segment, end = std::min(first + segment, cols);
                    float largest = 0.0f;
                    for (std::size_t k = has_row_scales ? 0 : first;
                         k < (has_row_scales ? cols : end); ++k)
                        largest = std::max(largest, std::fabs(x[r * cols + k]));
                    auto const p = by_cpu.fit({-largest, largest});
                    wrong += q.scales[q.rows.scale_at(r, s)] != p.scale;
                    std::int32_t sum = 0;
                    for (std::size_t k = first; k < end; ++k) {
                        int const code = by_cpu.encode(x[r * cols + k], p) - (1 << (F.bits - 1));
                        sum += code;
                        wrong += code_at(q, r, k) != code;
                    }
                    wrong += q.sums[r * q.rows.segments() + s] != sum;
                }
            for (std::size_t r = 0; r < m; ++r)
                for (std::size_t k = cols; k < q.rows.depth(); ++k) wrong += code_at(q, r, k) != 0;
            CHECK(wrong == 0);
        }
}

TEST_CASE("codes, scales and sums are those of the CPU's quantizer, bit for bit") {
    check_bits<qtk::i8>();
    check_bits<qtk::i4>();
}

TEST_CASE("what is no number makes its scale NaN and its codes zero") {
    for (float const bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
        auto x = on_device(random_floats(2 * 128, 5));
        x[70] = bad;
        auto const q = quantize(x, 2, 128, 64, false);
        CHECK(q.scales[0] == q.scales[0]);
        CHECK(q.scales[1] != q.scales[1]);
        CHECK(q.sums[1] == 0);
        CHECK(q.scales[2] == q.scales[2]);
        auto const rows = quantize(x, 2, 128, 64, true);
        CHECK(rows.scales[0] != rows.scales[0]);
        CHECK(rows.scales[1] == rows.scales[1]);
    }
}
}  // namespace
