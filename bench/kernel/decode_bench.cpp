// SPDX-License-Identifier: Apache-2.0
//
// How fast do packed codes become floats? First what bounds it: a copy of as many floats, and with
// AVX-512 a loop that looks every nibble up in one table and a loop that only stores around the
// caches. Rows named l2 write 65,536 values, rows named dram 65 million; `nt` stores go around.
#include <qtk/core/random.hpp>
#include <qtk/kernel/decode.hpp>

#include "rates.hpp"
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr std::size_t row = 4096;

struct buffers {
    buffers(std::size_t count, qtk::format const& f)
        : n(count),
          codes({.element = f, .grain = qtk::per_group(128)}, count / row, row),
          values(count + 16) {
        while (reinterpret_cast<std::uintptr_t>(values.data() + at) % 64 != 0) ++at;
        std::vector<std::uint8_t> fields(row);
        qtk::splitmix64 random(1);
        for (std::uint8_t& field : fields) {
            field = static_cast<std::uint8_t>(random() & (static_cast<unsigned>(f.patterns()) - 1));
            // Infinity and NaN are not weights.
            if (f.kind == qtk::numeral::minifloat &&
                (field & (f.patterns() / 2 - 1)) > qtk::minifloat_top(f))
                field = 1;
        }
        for (std::size_t r = 0; r < codes.rows(); ++r) codes.set_row(r, fields);
    }
    float* out() { return values.data() + at; }

    std::size_t n, at = 0;
    qtk::any_qmatrix codes;
    std::vector<float> values;
};

template <typename Decode>
void run(benchmark::State& state, qtk::format const& f, Decode const& decode) {
    buffers b(static_cast<std::size_t>(state.range(0)), f);
    for (auto _ : state) {
        decode(b);
        benchmark::DoNotOptimize(b.values.data());
        benchmark::ClobberMemory();
    }
    // Bytes of the float side alone, so that rows of all formats compare.
    qtk_bench::set_rates(state, b.n * sizeof(float), b.n);
}

#if QTK_HAS_X86
QTK_AVX512_REGION
void table_loop(buffers& b) {
    __m512 const table = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    std::uint8_t const* const codes = b.codes.codes().data();
    float* const out = b.out();
    for (std::size_t i = 0; i < b.n; i += 32) {
        __m512i const bytes =
            _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(codes + i / 2)));
        _mm512_store_ps(out + i, _mm512_permutexvar_ps(bytes, table));
        _mm512_store_ps(out + i + 16, _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table));
    }
}
void nt_store_loop(buffers& b) {
    for (std::size_t i = 0; i < b.n; i += 16) _mm512_stream_ps(b.out() + i, _mm512_set1_ps(3.0f));
    _mm_sfence();
}
QTK_REGION_END
#endif

template <typename Decode>
void register_sizes(std::string const& name, qtk::format const& f, Decode const& decode,
                    bool is_slow = false) {
    for (auto const& [where, n] : {std::pair{"l2", 65'536}, std::pair{"dram", 65'536'000}})
        if (!is_slow || n == 65'536)
            benchmark::RegisterBenchmark(
                (name + "/" + std::to_string(n) + "/" + where).c_str(),
                [f, decode](benchmark::State& state) { run(state, f, decode); })
                ->Arg(n)
                ->Unit(benchmark::kMicrosecond);
}

int const registered = [] {
    register_sizes("decode/f32/memcpy", qtk::i8, [](buffers& b) {
        std::memcpy(b.out() + b.n / 2, b.out(), b.n / 2 * sizeof(float));
    });
#if QTK_HAS_X86
    if (qtk::is_usable(qtk::instruction_set::avx512)) {
        register_sizes("decode/i4/tensor/sym/table_loop", qtk::i4, table_loop);
        register_sizes("decode/f32/nt_store_loop", qtk::i4, nt_store_loop);
    }
#endif
    for (qtk::format const& f :
         {qtk::i4, qtk::i8, qtk::i2, qtk::i3, qtk::i5, qtk::nf4, qtk::e2m1, qtk::e3m2, qtk::e4m3}) {
        using enum qtk::instruction_set;
        for (qtk::instruction_set const set : {scalar, xsimd, avx2, avx512}) {
            if (!qtk::is_usable(set)) continue;
            std::string const name = "decode/" + std::string(qtk::name_of(f)) + "/g128/sym/f32/" +
                                     std::string(qtk::name_of(set));
            register_sizes(
                name, f,
                [set](buffers& b) {
                    qtk::row_decoder(b.codes, set).decode(0, b.codes.rows(), b.out());
                },
                set <= xsimd);
            if (set > xsimd)
                register_sizes(name + "/nt", f, [set](buffers& b) {
                    qtk::row_decoder decoder(b.codes, set);
                    for (std::size_t r = 0; r < b.codes.rows(); ++r)
                        decoder.stream(r, b.out() + r * row);
                    qtk::stream_fence();
                });
        }
    }
    return 0;
}();

}  // namespace
