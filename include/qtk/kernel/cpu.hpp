// SPDX-License-Identifier: Apache-2.0
//
// What can this processor do, and what does the system let it? Read once from cpuid and xgetbv
// (Intel SDM volume 2, "CPUID"; volume 1, chapter 13 on XCR0). A feature counts only if the system
// saves its registers; AMX also has to be asked for, once per process, which happens here.
#pragma once

#include <qtk/kernel/target.hpp>

#include <cstdint>

#if QTK_HAS_X86
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace qtk {

/// Each one as the regions of target.hpp need it: `avx512` is F, BW, VL, DQ and VNNI together.
struct cpu_features {
    bool avx2 = false;         ///< AVX2, FMA and F16C
    bool avx_vnni = false;     ///< AVX-VNNI: vpdpbusd on 256 bits
    bool avx512 = false;       ///< AVX-512 F, BW, VL, DQ and VNNI
    bool avx512_bf16 = false;  ///< vdpbf16ps and vcvtneps2bf16
    /// The hardware's prefetcher keeps up with a stream read once. Asking for lines ahead of it costs
    /// loads and time then: a tenth to a third of a product with one row on Zen 4, where Sapphire
    /// Rapids gains as much.
    bool streams_by_itself = false;
    bool amx = false;  ///< tiles, int8 and bf16; AVX-512 VBMI, GFNI and BF16 beside them
};

namespace detail {

#if QTK_HAS_X86
struct cpuid_words {
    std::uint32_t a = 0, b = 0, c = 0, d = 0;
};
[[nodiscard]] inline cpuid_words cpuid(std::uint32_t leaf, std::uint32_t subleaf) noexcept {
    cpuid_words w;
    if (__get_cpuid_max(0, nullptr) >= leaf) __cpuid_count(leaf, subleaf, w.a, w.b, w.c, w.d);
    return w;
}

/// The register sets that the system saves (XCR0).
[[nodiscard]] inline std::uint64_t saved_register_sets() noexcept {
    std::uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return std::uint64_t{high} << 32 | low;
}

/// Asks Linux for the tile registers of this process (arch_prctl ARCH_REQ_XCOMP_PERM, XTILEDATA).
[[nodiscard]] inline bool tiles_are_permitted() noexcept {
#if defined(__linux__)
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return false;
#endif
}

[[nodiscard]] inline cpu_features read_cpu_features() noexcept {
    auto const bit = [](std::uint32_t word, int n) { return (word >> n & 1u) != 0; };
    cpu_features f;
    cpuid_words const vendor = cpuid(0, 0);
    f.streams_by_itself = vendor.b == 0x68747541u;  // "Auth"enticAMD
    cpuid_words const base = cpuid(1, 0), more = cpuid(7, 0), most = cpuid(7, 1);
    if (!bit(base.c, 27)) return f;  // OSXSAVE: without it xgetbv does not exist
    std::uint64_t const saved = saved_register_sets();
    constexpr std::uint64_t ymm = 0x6, zmm = 0xe6, tiles = 0x60000;
    f.avx2 = (saved & ymm) == ymm && bit(base.c, 28) && bit(base.c, 12) && bit(base.c, 29) &&
             bit(more.b, 5);
    f.avx_vnni = f.avx2 && bit(most.a, 4);
    f.avx512 = f.avx2 && (saved & zmm) == zmm && bit(more.b, 16) && bit(more.b, 17) &&
               bit(more.b, 30) && bit(more.b, 31) && bit(more.c, 11);
    f.avx512_bf16 = f.avx512 && bit(most.a, 5);
    bool const has_tiles = bit(more.d, 24) && bit(more.d, 25) && bit(more.d, 22);
    f.amx = f.avx512_bf16 && bit(more.c, 1) && bit(more.c, 8) && has_tiles &&
            (saved & tiles) == tiles && tiles_are_permitted();
    return f;
}
#endif

}  // namespace detail

/// What this process may use.
[[nodiscard]] inline cpu_features const& cpu() noexcept {
#if QTK_HAS_X86
    static cpu_features const features = detail::read_cpu_features();
#else
    static cpu_features const features{};
#endif
    return features;
}

}  // namespace qtk
