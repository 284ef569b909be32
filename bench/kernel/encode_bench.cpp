// SPDX-License-Identifier: Apache-2.0
//
// How fast do floats become packed codes? First the loops that one would write: a scalar one, and
// with AVX-512 absmax, one multiplication, bytes stored; it neither divides nor packs. Rows named
// l2 hold 65,536 values, rows named dram 65 million.
#include <qtk/kernel/encode_row.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include "rates.hpp"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace {

using qtk::origin;
using qtk::rounding;
using qtk::scale_type;

constexpr std::size_t row = 4096;

/// Values that lie on their own cache lines, and room for their codes.
struct buffers {
    explicit buffers(std::size_t count)
        : n(count), values(count + 16), codes(count + 64), params(count / 16) {
        while (reinterpret_cast<std::uintptr_t>(values.data() + at) % 64 != 0) ++at;
        std::vector<float> const some = qtk::gaussian_vector(1 << 16, 1);
        for (std::size_t i = 0; i < n; ++i) values[at + i] = some[i % some.size()];
    }
    float const* x() const { return values.data() + at; }

    std::size_t n, at = 0;
    std::vector<float> values;
    std::vector<std::uint8_t> codes;
    std::vector<qtk::tile_params> params;
};

template <typename Encode>
void run(benchmark::State& state, Encode const& encode) {
    buffers b(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        encode(b);
        benchmark::DoNotOptimize(b.codes.data());
        benchmark::ClobberMemory();
    }
    // Bytes of the float side alone, so that rows of all formats compare.
    qtk_bench::set_rates(state, b.n * sizeof(float), b.n);
}

void float_loop(buffers& b) {
    for (std::size_t i = 0; i < b.n; ++i)
        b.codes[i] = static_cast<std::uint8_t>(
            std::clamp(std::nearbyint(b.x()[i] / 0.037f), -7.0f, 7.0f) + 8.0f);
}

#if QTK_HAS_X86
QTK_AVX512_REGION
void absmax_int8_loop(buffers& b) {
    float const* const x = b.x();
    for (std::size_t g = 0; g < b.n; g += 128) {
        __m512 v[8], most = _mm512_setzero_ps();
        QTK_UNROLL
        for (std::size_t k = 0; k < 8; ++k) {
            v[k] = _mm512_load_ps(x + g + 16 * k);
            most = _mm512_max_ps(most, _mm512_abs_ps(v[k]));
        }
        __m512 const factor = _mm512_set1_ps(127.0f / _mm512_reduce_max_ps(most));
        QTK_UNROLL
        for (std::size_t k = 0; k < 8; ++k)
            _mm_storeu_si128(
                reinterpret_cast<__m128i*>(b.codes.data() + g + 16 * k),
                _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(v[k], factor))));
    }
}
QTK_REGION_END
#endif

template <typename Q>
void quantize_rows(qtk::instruction_set set, Q const& q, std::size_t tile, buffers& b) {
    std::size_t const bytes = qtk::packed_bytes(row, Q::element.bits);
    for (std::size_t r = 0; r < b.n / row; ++r)
        if (!qtk::quantize_row(set, q, std::span<float const>(b.x() + r * row, row), tile,
                               {1, r * row}, b.params.data() + r * (row / tile),
                               b.codes.data() + r * bytes))
            std::abort();
}

template <typename Encode>
void register_sizes(std::string const& name, Encode const& encode, bool is_scalar = false) {
    for (auto const& [where, n] : {std::pair{"l2", 65'536}, std::pair{"dram", 65'536'000}}) {
        if (is_scalar && n > 65'536) continue;
        benchmark::RegisterBenchmark((name + "/" + std::to_string(n) + "/" + where).c_str(),
                                     [encode](benchmark::State& state) { run(state, encode); })
            ->Arg(n)
            ->Unit(benchmark::kMicrosecond);
    }
}

template <typename Q>
void register_scheme(std::string const& scheme, Q const& q, std::size_t tile) {
    using enum qtk::instruction_set;
    for (qtk::instruction_set const set : {scalar, xsimd, avx2, avx512})
        if (qtk::is_usable(set))
            register_sizes(
                "encode/" + scheme + "/f32-in/" + std::string(qtk::name_of(set)),
                [=](buffers& b) { quantize_rows(set, q, tile, b); }, set <= xsimd);
}

template <qtk::format F, origin Zero = origin::fixed, rounding Round = rounding::nearest_even>
using codes_of = qtk::tile_quantizer<F, Zero, Round>;

int const registered = [] {
    register_sizes("encode/i4/tensor/sym/f32-in/float_loop", float_loop, true);
#if QTK_HAS_X86
    if (qtk::is_usable(qtk::instruction_set::avx512))
        register_sizes("encode/i8/g128/sym/f32-in/absmax_int8_loop", absmax_int8_loop);
#endif
    register_scheme("i4/g128/sym", codes_of<qtk::i4>{}, 128);
    register_scheme("i4/g128/asym", codes_of<qtk::i4, origin::floating>{}, 128);
    register_scheme("i4/g32/sym", codes_of<qtk::i4>{}, 32);
    register_scheme("i4/channel/sym", codes_of<qtk::i4>{}, row);
    register_scheme("i8/g128/sym", codes_of<qtk::i8>{}, 128);
    register_scheme("i3/g128/sym", codes_of<qtk::i3>{}, 128);
    register_scheme("i2/g128/sym", codes_of<qtk::i2>{}, 128);
    register_scheme("i4/g128/sym/stochastic",
                    codes_of<qtk::i4, origin::fixed, rounding::stochastic>{}, 128);
    register_scheme("nf4/g64/sym", codes_of<qtk::nf4>{}, 64);
    register_scheme("fp4/g64/sym", codes_of<qtk::fp4>{}, 64);
    register_scheme("e2m1/g32/sym/e8m0", codes_of<qtk::e2m1>(scale_type::e8m0), 32);
    register_scheme("e4m3/g128/sym", codes_of<qtk::e4m3>{}, 128);
    return 0;
}();

}  // namespace
