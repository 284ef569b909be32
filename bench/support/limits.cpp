// SPDX-License-Identifier: Apache-2.0
#include "limits.hpp"

#include <qtk/kernel/target.hpp>

#include <benchmark/benchmark.h>

#include "memory.hpp"
#include "stopwatch.hpp"
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace qtk_bench {
namespace {

using pass = void (*)(std::uint8_t* bytes, std::size_t size, long turns);

using words = std::uint64_t __attribute__((vector_size(16), may_alias));
using floats = float __attribute__((vector_size(16)));

void read_portable(std::uint8_t* bytes, std::size_t size, long turns) {
    words sum[4] = {};
    for (; turns > 0; --turns)
        for (std::size_t i = 0; i + 64 <= size; i += 64) {
            auto const* const at = reinterpret_cast<words const*>(bytes + i);
            for (int k = 0; k < 4; ++k) sum[k] ^= at[k];
        }
    words const all = sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
    benchmark::DoNotOptimize(all[0] ^ all[1]);
}

/// 12 chains: the latency of an addition after a multiplication, times two units.
void fma_portable(std::uint8_t*, std::size_t, long turns) {
    floats sum[12] = {}, a{0.5f, 0.5f, 0.5f, 0.5f}, b = a;
    benchmark::DoNotOptimize(a);
    benchmark::DoNotOptimize(b);
    for (; turns > 0; --turns) {
        QTK_UNROLL
        for (int k = 0; k < 12; ++k) sum[k] = sum[k] * a + b;
    }
    floats all{};
    for (floats const& s : sum) all += s;
    benchmark::DoNotOptimize(all[0] + all[1] + all[2] + all[3]);
}

#if QTK_HAS_X86

// Chains of one instruction in registers 0 to 11, with 12 and 13 as its operands. Assembly, because
// a compiler may move, merge or spill what intrinsics say.
#define QTK_BENCH_TWELVE(one) \
    one(0) one(1) one(2) one(3) one(4) one(5) one(6) one(7) one(8) one(9) one(10) one(11)
#define QTK_BENCH_ZERO(n) "vpxor %%xmm" #n ",%%xmm" #n ",%%xmm" #n "\n"
#define QTK_BENCH_CHAINS(name, one)                                                                \
    void name(std::uint8_t*, std::size_t, long turns) {                                            \
        __asm__ volatile(QTK_BENCH_TWELVE(QTK_BENCH_ZERO) QTK_BENCH_ZERO(12)                       \
                             QTK_BENCH_ZERO(13) "1:\n" QTK_BENCH_TWELVE(one) "dec %0\njnz 1b\n"    \
                         : "+r"(turns)                                                             \
                         :                                                                         \
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "cc");             \
    }
#define QTK_BENCH_FMA_YMM(n) "vfmadd231ps %%ymm13,%%ymm12,%%ymm" #n "\n"
#define QTK_BENCH_FMA_ZMM(n) "vfmadd231ps %%zmm13,%%zmm12,%%zmm" #n "\n"
#define QTK_BENCH_MADDUBS(n) \
    "vpmaddubsw %%ymm13,%%ymm12,%%ymm14\nvpaddw %%ymm14,%%ymm" #n ",%%ymm" #n "\n"
#define QTK_BENCH_VNNI_YMM(n) "%{vex%} vpdpbusd %%ymm13,%%ymm12,%%ymm" #n "\n"
#define QTK_BENCH_VNNI_ZMM(n) "vpdpbusd %%zmm13,%%zmm12,%%zmm" #n "\n"
#define QTK_BENCH_BF16_ZMM(n) "vdpbf16ps %%zmm13,%%zmm12,%%zmm" #n "\n"

QTK_AVX2_REGION
void read_avx2(std::uint8_t* bytes, std::size_t size, long turns) {
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (; turns > 0; --turns) {
        for (std::size_t i = 0; i + 128 <= size; i += 128) {
            auto const* const at = reinterpret_cast<__m256i const*>(bytes + i);
            a = _mm256_xor_si256(a, _mm256_load_si256(at));
            b = _mm256_xor_si256(b, _mm256_load_si256(at + 1));
            c = _mm256_xor_si256(c, _mm256_load_si256(at + 2));
            d = _mm256_xor_si256(d, _mm256_load_si256(at + 3));
        }
        __asm__ volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d) : : "memory");
    }
}
void store_avx2(std::uint8_t* bytes, std::size_t size, long turns) {
    __m256i const value = _mm256_set1_epi8(3);
    for (; turns > 0; --turns) {
        for (std::size_t i = 0; i + 32 <= size; i += 32)
            _mm256_stream_si256(reinterpret_cast<__m256i*>(bytes + i), value);
        _mm_sfence();
    }
}
QTK_BENCH_CHAINS(fma_avx2, QTK_BENCH_FMA_YMM)
QTK_BENCH_CHAINS(maddubs_avx2, QTK_BENCH_MADDUBS)
QTK_REGION_END

QTK_AVXVNNI_REGION
QTK_BENCH_CHAINS(vnni_avx2, QTK_BENCH_VNNI_YMM)
QTK_REGION_END

QTK_AVX512_REGION
void read_avx512(std::uint8_t* bytes, std::size_t size, long turns) {
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (; turns > 0; --turns) {
        for (std::size_t i = 0; i + 256 <= size; i += 256) {
            a = _mm512_xor_si512(a, _mm512_load_si512(bytes + i));
            b = _mm512_xor_si512(b, _mm512_load_si512(bytes + i + 64));
            c = _mm512_xor_si512(c, _mm512_load_si512(bytes + i + 128));
            d = _mm512_xor_si512(d, _mm512_load_si512(bytes + i + 192));
        }
        __asm__ volatile("" : "+v"(a), "+v"(b), "+v"(c), "+v"(d) : : "memory");
    }
}
void store_avx512(std::uint8_t* bytes, std::size_t size, long turns) {
    __m512i const value = _mm512_set1_epi8(3);
    for (; turns > 0; --turns) {
        for (std::size_t i = 0; i + 64 <= size; i += 64)
            _mm512_stream_si512(reinterpret_cast<__m512i*>(bytes + i), value);
        _mm_sfence();
    }
}
QTK_BENCH_CHAINS(fma_avx512, QTK_BENCH_FMA_ZMM)
QTK_BENCH_CHAINS(vnni_avx512, QTK_BENCH_VNNI_ZMM)
QTK_REGION_END

QTK_AVX512BF16_REGION
QTK_BENCH_CHAINS(bf16_avx512, QTK_BENCH_BF16_ZMM)
QTK_REGION_END

QTK_AMX_REGION
/// All eight tiles as 16 rows of 64 bytes, all zero.
void begin_tiles() {
    alignas(64) std::uint8_t shape[64] = {1};
    for (int t = 0; t < 8; ++t) {
        shape[16 + 2 * t] = 64;
        shape[48 + t] = 16;
    }
    // g++ 12 believes that its own intrinsic reads 8 bytes; the clobber keeps all 64.
    __asm__ volatile("ldtilecfg (%0)" : : "r"(shape) : "memory");
    __asm__ volatile(
        "tilezero %%tmm0\ntilezero %%tmm1\ntilezero %%tmm2\ntilezero %%tmm3\n"
        "tilezero %%tmm4\ntilezero %%tmm5\ntilezero %%tmm6\ntilezero %%tmm7\n" ::
            : "memory");
}
void end_tiles() {
    __asm__ volatile("tilerelease" ::: "memory");
}
/// Two by two products a turn, operands in tiles 4 to 7.
void amx_int8(std::uint8_t*, std::size_t, long turns) {
    begin_tiles();
    for (; turns > 0; --turns)
        __asm__ volatile(
            "tdpbssd %%tmm6,%%tmm4,%%tmm0\ntdpbssd %%tmm7,%%tmm4,%%tmm1\n"
            "tdpbssd %%tmm6,%%tmm5,%%tmm2\ntdpbssd %%tmm7,%%tmm5,%%tmm3\n" ::
                : "memory");
    end_tiles();
}
/// The same, with the four loads from L1 that the products of a matrix need.
void amx_int8_l1(std::uint8_t* bytes, std::size_t, long turns) {
    begin_tiles();
    for (; turns > 0; --turns) {
        std::uint8_t const* const at = bytes + ((turns & 3) << 12);
        __asm__ volatile(
            "tileloadd (%0,%1,1),%%tmm4\ntileloadd 1024(%0,%1,1),%%tmm6\n"
            "tdpbssd %%tmm6,%%tmm4,%%tmm0\ntileloadd 2048(%0,%1,1),%%tmm7\n"
            "tdpbssd %%tmm7,%%tmm4,%%tmm1\ntileloadd 3072(%0,%1,1),%%tmm5\n"
            "tdpbssd %%tmm6,%%tmm5,%%tmm2\ntdpbssd %%tmm7,%%tmm5,%%tmm3\n"
            :
            : "r"(at), "r"(std::size_t{64})
            : "memory");
    }
    end_tiles();
}
void amx_bf16(std::uint8_t*, std::size_t, long turns) {
    begin_tiles();
    for (; turns > 0; --turns)
        __asm__ volatile(
            "tdpbf16ps %%tmm6,%%tmm4,%%tmm0\ntdpbf16ps %%tmm7,%%tmm4,%%tmm1\n"
            "tdpbf16ps %%tmm6,%%tmm5,%%tmm2\ntdpbf16ps %%tmm7,%%tmm5,%%tmm3\n" ::
                : "memory");
    end_tiles();
}
QTK_REGION_END

#endif  // QTK_HAS_X86

/// The widest loads of this machine.
pass widest_read() {
#if QTK_HAS_X86
    if (qtk::cpu().avx512) return read_avx512;
    if (qtk::cpu().avx2) return read_avx2;
#endif
    return read_portable;
}

struct limit {
    std::string name;
    pass run = nullptr;
    bool moves_bytes = false;
    double work = 0.0;      ///< of one turn and thread: bytes or operations
    std::size_t bytes = 0;  ///< that each thread walks over, less where several share the cache
    double alone = 0.0, together = 0.0;  ///< per second: one thread; threads()
};

constexpr std::size_t kib = 1024, mib = 1024 * kib;

/// What this machine has. The first level is half of the cache, so that nothing else pushes it out.
std::vector<limit> describe_limits() {
    bool const smoke = run_extent() == extent::smoke;
    auto const team = static_cast<std::size_t>(threads());
    std::vector<limit> list;
    auto const add_memory = [&](char const* name, pass run, std::size_t bytes) {
        bytes = bytes / (4 * kib) * (4 * kib);
        list.push_back({name, run, true, static_cast<double>(bytes), bytes});
    };
    auto const add_peak = [&](char const* name, pass run, double operations) {
        list.push_back({name, run, false, operations, 16 * kib});
    };
    add_memory("limit/read/l1", widest_read(), caches().l1 / 2);
    add_memory("limit/read/l2", widest_read(), caches().l2 / 2);
    // Shared between the threads; large ones are slices, where 8.4 MB is what one core finds near.
    std::size_t const share = std::min<std::size_t>(8'400'000, caches().l3 / 2 / team);
    if (share > caches().l2) add_memory("limit/read/l3", widest_read(), share);
    std::size_t const dram = (smoke ? 2 * mib : 512 * mib) / team;
    add_memory("limit/read/dram", widest_read(), dram);
#if QTK_HAS_X86
    qtk::cpu_features const& has = qtk::cpu();
    if (has.avx2) add_memory("limit/store/nt", has.avx512 ? store_avx512 : store_avx2, dram / 2);
#endif
    add_peak("limit/peak/fma/portable", fma_portable, 12 * 8);
#if QTK_HAS_X86
    if (has.avx2) {
        add_peak("limit/peak/fma/avx2", fma_avx2, 12 * 16);
        add_peak("limit/peak/maddubs/avx2", maddubs_avx2, 12 * 64);
    }
    if (has.avx_vnni) add_peak("limit/peak/vnni/avx2", vnni_avx2, 12 * 64);
    if (has.avx512) {
        add_peak("limit/peak/fma/avx512", fma_avx512, 12 * 32);
        add_peak("limit/peak/vnni/avx512", vnni_avx512, 12 * 128);
    }
    if (has.avx512_bf16) add_peak("limit/peak/bf16/avx512", bf16_avx512, 12 * 64);
    if (has.amx) {
        add_peak("limit/peak/amx/int8", amx_int8, 4 * 2 * 16 * 16 * 64);
        add_peak("limit/peak/amx/int8-l1", amx_int8_l1, 4 * 2 * 16 * 16 * 64);
        add_peak("limit/peak/amx/bf16", amx_bf16, 4 * 2 * 16 * 16 * 32);
    }
#endif
    return list;
}

std::vector<limit>& all_limits() {
    static std::vector<limit> list = describe_limits();
    return list;
}

/// Every thread does `turns` over bytes of its own, at the same time, and looks at its own clock:
/// starting and gathering them is no part of a limit. Returns the harmonic mean of their seconds.
double seconds_of(limit const& l, huge_buffer const& buffer, int team, long turns) {
    double per_second = 0.0;
#if defined(_OPENMP)
#pragma omp parallel num_threads(team) reduction(+ : per_second) if (team > 1)
    {
        auto const own = static_cast<std::size_t>(omp_get_thread_num()) * l.bytes;
#pragma omp barrier
        stopwatch const watch(1);
        l.run(buffer.data() + own, l.bytes, turns);
        per_second += 1.0 / watch.seconds();
    }
#else
    static_cast<void>(team);
    stopwatch const watch(1);
    l.run(buffer.data(), l.bytes, turns);
    per_second = 1.0 / watch.seconds();
#endif
    return team / per_second;
}

/// Touched once, so that the system has given the pages.
huge_buffer operand_of(limit const& l, int team) {
    huge_buffer buffer(l.bytes * static_cast<std::size_t>(team));
    std::memset(buffer.data(), 1, buffer.size());
    return buffer;
}

/// Enough turns for a sample of 1 ms; of 10 ms where threads have to meet for it.
long turns_of(limit const& l, huge_buffer const& buffer, int team) {
    if (run_extent() == extent::smoke) return 1;
    double const enough = team > 1 ? 0.01 : 0.001;
    long turns = 1;
    while (seconds_of(l, buffer, team, turns) < enough) turns *= 2;
    return turns;
}

/// Work per second: the median of samples of 0.2 s, at least 5.
double measure(limit const& l, int team) {
    bool const smoke = run_extent() == extent::smoke;
    huge_buffer const buffer = operand_of(l, team);
    long const turns = turns_of(l, buffer, team);
    std::vector<double> samples;
    for (stopwatch const watch(1);
         samples.size() < (smoke ? 1 : 5) || (!smoke && watch.seconds() < 0.2);)
        samples.push_back(seconds_of(l, buffer, team, turns));
    return l.work * static_cast<double>(turns) * team / median(std::move(samples));
}

/// Per second, or nothing where this machine has no such limit.
std::optional<double> figure(std::string_view name, int team) {
    for (limit const& l : all_limits())
        if (l.name == name) return team > 1 ? l.together : l.alone;
    return std::nullopt;
}

/// One more measurement, as a row.
void report(benchmark::State& state, limit& l) {
    int const team = threads();
    huge_buffer const buffer = operand_of(l, team);
    long const turns = turns_of(l, buffer, team);
    std::vector<double> samples;
    for (auto _ : state) samples.push_back(seconds_of(l, buffer, team, turns));
    double const rate = l.work * static_cast<double>(turns) * team / median(std::move(samples));
    double const at_start = *figure(l.name, team);
    state.counters[l.moves_bytes ? "bytes_per_second" : "ops_per_second"] = rate;
    state.counters["limit"] = at_start;
    state.counters["of_limit"] = rate / at_start;
    state.counters["threads"] = team;
}

/// Before the static objects of the benches: limits are the first rows.
__attribute__((constructor(1000))) void register_limits() {
    for (limit& l : all_limits())
        benchmark::RegisterBenchmark(l.name.c_str(),
                                     [&l](benchmark::State& state) { report(state, l); });
}

}  // namespace

level level_of(std::size_t bytes) {
    if (bytes <= caches().l1) return level::l1;
    if (bytes <= caches().l2) return level::l2;
    return bytes <= caches().l3 ? level::l3 : level::dram;
}

void measure_limits() {
    static bool const measured = [] {
        for (limit& l : all_limits()) {
            l.alone = measure(l, 1);
            if (threads() > 1) l.together = measure(l, threads());
        }
        return true;
    }();
    static_cast<void>(measured);
}

double bandwidth(level from, int team) {
    measure_limits();
    constexpr char const* names[] = {"limit/read/l1", "limit/read/l2", "limit/read/l3",
                                     "limit/read/dram"};
    // Where there is no third level, what does not fit into the second comes from memory.
    return figure(names[static_cast<int>(from)], team)
        .value_or(figure("limit/read/dram", team).value_or(0.0));
}

double peak(arithmetic unit, qtk::instruction_set isa, int team) {
    measure_limits();
    using qtk::instruction_set;
    auto const of = [&](char const* name) { return figure(name, team).value_or(0.0); };
    bool const wide = isa == instruction_set::avx512 || isa == instruction_set::amx;
    double const f32 = wide                           ? of("limit/peak/fma/avx512")
                       : isa == instruction_set::avx2 ? of("limit/peak/fma/avx2")
                                                      : of("limit/peak/fma/portable");
    switch (unit) {
        case arithmetic::int8:
            if (isa == instruction_set::amx) return of("limit/peak/amx/int8");
            if (wide) return of("limit/peak/vnni/avx512");
            if (isa == instruction_set::avx2)
                return std::max(of("limit/peak/vnni/avx2"), of("limit/peak/maddubs/avx2"));
            return f32;
        case arithmetic::bf16:
            if (isa == instruction_set::amx) return of("limit/peak/amx/bf16");
            return wide ? std::max(f32, of("limit/peak/bf16/avx512")) : f32;
        case arithmetic::f32:
        case arithmetic::none:
            break;
    }
    return f32;
}

double seconds_at_limit(work const& w) {
    double const read_rate = bandwidth(w.from, w.threads);
    double const streamed = figure("limit/store/nt", w.threads).value_or(read_rate);
    double const write_rate = w.from == level::dram ? streamed : read_rate;
    double const moving = w.bytes_read / read_rate + w.bytes_written / write_rate;
    if (w.unit == arithmetic::none) return moving;
    return std::max(moving, w.operations / peak(w.unit, w.isa, w.threads));
}

}  // namespace qtk_bench
