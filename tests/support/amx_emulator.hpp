// SPDX-License-Identifier: Apache-2.0
//
// How is code for tiles tested where the processor has none? The very same machine code runs: each
// tile instruction is an illegal one there, and a handler of that signal does what it would have
// done (Intel SDM volume 2, "Intel AMX Instruction Set Reference"), on tiles of the thread it stopped.
//
//   TEST_CASE("...") {
//       qtk_test::amx_emulation const tiles;  // in the test: doctest takes the signal before it
//       if (!tiles.can_run()) return;         // it said why
//       ... call what lies in a QTK_AMX_REGION ...
//   }
//
// Where qtk::cpu().amx nothing is emulated. Usage that the processor would refuse ends the process
// with a sentence; an illegal instruction of another kind goes to the handler from before.
#pragma once

#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/target.hpp>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if QTK_HAS_X86 && defined(__linux__)

#include <signal.h>
#include <ucontext.h>

namespace qtk_test {
namespace amx_detail {

struct tile_registers {
    bool are_configured = false;
    int rows[8] = {};
    int bytes[8] = {};
    unsigned char configuration[64] = {};
    // Nothing that a program can see depends on what lies beyond the configured rows and bytes.
    alignas(64) unsigned char data[8][16][64] = {};
};
inline constinit thread_local tile_registers tiles;
inline std::atomic<std::uint64_t> emulated_count{0};

/// One tile instruction: what follows the VEX prefix, and the address it names.
struct instruction {
    char const* name = "";
    int length = 0;
    int opcode = 0, prefix = 0;       // prefix: 0 none, 1 66h, 2 F3h, 3 F2h
    int reg = 0, rm = 0, second = 0;  // ModRM.reg, ModRM.rm, VEX.vvvv
    bool has_memory = false, has_sib = false;
    std::uint64_t base = 0, offset = 0;  // offset: index * scale, the stride of a tile
};

[[noreturn]] inline void refuse(instruction const& i, char const* sentence) {
    std::fprintf(stderr, "AMX emulation: %s %s\n", i.name, sentence);
    std::fflush(stderr);
    std::abort();
}

inline std::uint64_t general_register(greg_t const* saved, int number) {
    constexpr int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15};
    return static_cast<std::uint64_t>(saved[places[number]]);
}

inline char const* name_of(instruction const& i) {
    constexpr char const* of_49_memory[4] = {"ldtilecfg", "sttilecfg", nullptr, nullptr};
    constexpr char const* of_49[4] = {"tilerelease", nullptr, nullptr, "tilezero"};
    constexpr char const* of_4b[4] = {nullptr, "tileloaddt1", "tilestored", "tileloadd"};
    constexpr char const* of_5c[4] = {nullptr, nullptr, "tdpbf16ps", nullptr};
    constexpr char const* of_5e[4] = {"tdpbuud", "tdpbusd", "tdpbsud", "tdpbssd"};
    switch (i.opcode) {
        case 0x49:
            return (i.has_memory ? of_49_memory : of_49)[i.prefix];
        case 0x4b:
            return i.has_sib ? of_4b[i.prefix] : nullptr;
        case 0x5c:
            return i.has_memory ? nullptr : of_5c[i.prefix];
        case 0x5e:
            return i.has_memory ? nullptr : of_5e[i.prefix];
        default:
            return nullptr;
    }
}

/// The address of ModRM (`at`), which displacement bytes may follow; SDM volume 2, chapter 2.1.5.
inline void decode_address(instruction& i, unsigned char const* at, int x, int b,
                           greg_t const* saved) {
    int const mode = *at >> 6;
    int base = i.rm, index = 4;
    i.has_memory = true;
    i.length = 5;
    ++at;
    if (base == 4) {
        i.has_sib = true;
        base = *at & 7;
        index = (*at >> 3 & 7) | x;
        if (index != 4) i.offset = general_register(saved, index) << (*at >> 6);
        ++at;
        ++i.length;
    }
    std::int32_t displacement = 0;
    bool const has_no_base = mode == 0 && base == 5;
    if (mode == 1) {
        displacement = static_cast<signed char>(*at);
        i.length += 1;
    } else if (mode == 2 || has_no_base) {
        std::memcpy(&displacement, at, 4);
        i.length += 4;
    }
    if (!has_no_base)
        i.base = general_register(saved, base | b);
    else if (!i.has_sib)  // relative to the next instruction
        i.base = static_cast<std::uint64_t>(saved[REG_RIP] + i.length);
    i.base += static_cast<std::uint64_t>(std::int64_t{displacement});
}

/// False: no tile instruction stands at `at`.
inline bool decode(instruction& i, unsigned char const* at, greg_t const* saved) {
    if (at[0] != 0xc4 || (at[1] & 0x1f) != 2) return false;  // VEX with three bytes, map 0F38
    int const r = ~at[1] >> 4 & 8, x = ~at[1] >> 3 & 8, b = ~at[1] >> 2 & 8;
    if ((at[2] & 0x84) != 0) return false;  // W0, 128 bits
    i.second = ~at[2] >> 3 & 15;
    i.prefix = at[2] & 3;
    i.opcode = at[3];
    i.reg = (at[4] >> 3 & 7) | r;
    i.rm = at[4] & 7;
    if (i.opcode != 0x49 && i.opcode != 0x4b && i.opcode != 0x5c && i.opcode != 0x5e) return false;
    if (at[4] >> 6 == 3) {
        i.length = 5;
        i.rm |= b;
    } else {
        decode_address(i, at + 4, x, b, saved);
    }
    i.name = name_of(i);
    if (i.name == nullptr) return false;
    bool const is_product = i.opcode >= 0x5c;
    return i.reg < 8 && (i.has_memory || i.rm < 8) && (is_product ? i.second < 8 : i.second == 0);
}

inline void configure(instruction const& i) {
    unsigned char given[64];
    std::memcpy(given, reinterpret_cast<void const*>(i.base + i.offset), 64);
    tiles = {};
    if (given[0] == 0) return;
    if (given[0] != 1) refuse(i, "names a palette other than 0 and 1");
    if (given[1] != 0) refuse(i, "starts at a row other than 0, which is not emulated");
    for (int n = 2; n < 64; ++n)
        if ((n < 16 || (n >= 32 && n < 48) || n >= 56) && given[n] != 0)
            refuse(i, "sets a reserved byte of the configuration");
    for (int t = 0; t < 8; ++t) {
        tiles.bytes[t] = given[16 + 2 * t] | given[17 + 2 * t] << 8;
        tiles.rows[t] = given[48 + t];
        if (tiles.bytes[t] > 64) refuse(i, "asks for rows of more than 64 bytes");
        if (tiles.rows[t] > 16) refuse(i, "asks for more than 16 rows");
        if ((tiles.bytes[t] == 0) != (tiles.rows[t] == 0))
            refuse(i, "gives a tile rows without bytes, or bytes without rows");
    }
    std::memcpy(tiles.configuration, given, 64);
    tiles.are_configured = true;
}

inline void expect_tile(instruction const& i, int t) {
    if (!tiles.are_configured) refuse(i, "comes before any configuration, or after tilerelease");
    if (tiles.rows[t] == 0) refuse(i, "uses a tile to which the configuration gives no rows");
    if (tiles.bytes[t] % 4 != 0)
        refuse(i, "uses a tile whose rows are no whole numbers of 4 bytes");
}

inline void move_tile(instruction const& i) {
    bool const is_store = i.prefix == 2;
    expect_tile(i, i.reg);
    for (int row = 0; row < tiles.rows[i.reg]; ++row) {
        auto* const memory =
            reinterpret_cast<void*>(i.base + i.offset * static_cast<std::uint64_t>(row));
        auto const bytes = static_cast<std::size_t>(tiles.bytes[i.reg]);
        if (is_store)
            std::memcpy(memory, tiles.data[i.reg][row], bytes);
        else
            std::memcpy(tiles.data[i.reg][row], memory, bytes);
    }
}

inline void expect_shapes(instruction const& i) {
    int const c = i.reg, a = i.rm, b = i.second;
    expect_tile(i, c);
    expect_tile(i, a);
    expect_tile(i, b);
    if (c == a || c == b || a == b) refuse(i, "names one tile twice");
    if (tiles.rows[c] != tiles.rows[a]) refuse(i, "has results and a first factor of unequal rows");
    if (tiles.bytes[c] != tiles.bytes[b])
        refuse(i, "has results and a second factor of unequal columns");
    if (tiles.bytes[a] / 4 != tiles.rows[b])
        refuse(i, "has a first factor with other columns than the second has rows (of 4 bytes)");
}

template <typename A, typename B>
void multiply_bytes(int c, int a, int b) {
    for (int m = 0; m < tiles.rows[c]; ++m)
        for (int n = 0; n < tiles.bytes[c]; n += 4) {
            std::uint32_t sum = 0;  // unsigned: it wraps
            std::memcpy(&sum, tiles.data[c][m] + n, 4);
            for (int k = 0; k < tiles.rows[b]; ++k)
                for (int j = 0; j < 4; ++j)
                    sum += static_cast<std::uint32_t>(static_cast<A>(tiles.data[a][m][4 * k + j]) *
                                                      static_cast<B>(tiles.data[b][k][n + j]));
            std::memcpy(tiles.data[c][m] + n, &sum, 4);
        }
}

QTK_AVX2_REGION
// Even and odd products are summed apart in fused steps, then joined, then added to the result.
// Not inlined, so that the caller's rounding mode is set before any of this.
[[gnu::noinline]] inline void multiply_bfloat16(int c, int a, int b) {
    __m256i const high = _mm256_set1_epi32(-65536);
    for (int m = 0; m < tiles.rows[c]; ++m)
        for (int n = 0; n < tiles.bytes[c]; n += 32) {
            __m256 even = _mm256_setzero_ps(), odd = even;
            for (int k = 0; k < tiles.rows[b]; ++k) {
                std::int32_t pair = 0;
                std::memcpy(&pair, tiles.data[a][m] + 4 * k, 4);
                __m256i const x = _mm256_set1_epi32(pair);
                __m256i y{};
                std::memcpy(&y, tiles.data[b][k] + n, 32);
                even = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)),
                                       _mm256_castsi256_ps(_mm256_slli_epi32(y, 16)), even);
                odd = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(x, high)),
                                      _mm256_castsi256_ps(_mm256_and_si256(y, high)), odd);
            }
            __m256 sum{};
            std::memcpy(&sum, tiles.data[c][m] + n, 32);
            sum = _mm256_add_ps(sum, _mm256_add_ps(even, odd));
            std::memcpy(tiles.data[c][m] + n, &sum, 32);
        }
}
QTK_REGION_END

inline void multiply(instruction const& i) {
    using s8 = signed char;
    using u8 = unsigned char;
    int const c = i.reg, a = i.rm, b = i.second;
    expect_shapes(i);
    if (i.opcode == 0x5c) {
        // To nearest even, subnormal operands and results are zero, nothing traps; the mode of the
        // stopped thread comes back with its other registers.
        _mm_setcsr(0x9fc0);
        multiply_bfloat16(c, a, b);
    } else if (i.prefix == 3) {
        multiply_bytes<s8, s8>(c, a, b);
    } else if (i.prefix == 2) {
        multiply_bytes<s8, u8>(c, a, b);
    } else if (i.prefix == 1) {
        multiply_bytes<u8, s8>(c, a, b);
    } else {
        multiply_bytes<u8, u8>(c, a, b);
    }
}

inline void execute(instruction const& i) {
    if (i.opcode == 0x4b)
        move_tile(i);
    else if (i.opcode >= 0x5c)
        multiply(i);
    else if (i.has_memory && i.prefix == 0)
        configure(i);
    else if (i.has_memory)
        std::memcpy(reinterpret_cast<void*>(i.base + i.offset), tiles.configuration, 64);
    else if (i.prefix == 0)
        tiles = {};
    else {
        expect_tile(i, i.reg);
        std::memset(tiles.data[i.reg], 0, sizeof tiles.data[i.reg]);
    }
}

inline struct sigaction handler_before {};

inline void on_illegal_instruction(int signal, siginfo_t* info, void* context) {
    greg_t* const saved = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    bool const is_sent = info->si_code <= 0;  // by a process, not by an instruction
    instruction i;
    if (!is_sent && decode(i, reinterpret_cast<unsigned char const*>(saved[REG_RIP]), saved)) {
        execute(i);
        emulated_count.fetch_add(1, std::memory_order_relaxed);
        saved[REG_RIP] += i.length;
        return;
    }
    // The instruction fails once more, and the handler from before sees it.
    sigaction(SIGILL, &handler_before, nullptr);
    if (is_sent) raise(signal);
}

inline int users = 0;

}  // namespace amx_detail

/// While one lives, tile instructions of every thread work. Made and destroyed on one thread, before
/// the others start and after they are done.
class amx_emulation {
  public:
    amx_emulation() {
        if (!can_run())
            std::fputs("skipped: needs AMX, or AVX-512 VNNI, VBMI, BF16 and GFNI to emulate it\n",
                       stderr);
        if (!is_emulated() || amx_detail::users++ > 0) return;
        struct sigaction action {};
        action.sa_sigaction = amx_detail::on_illegal_instruction;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGILL, &action, &amx_detail::handler_before);
    }
    amx_emulation(amx_emulation const&) = delete;
    amx_emulation& operator=(amx_emulation const&) = delete;
    ~amx_emulation() {
        if (is_emulated() && --amx_detail::users == 0)
            sigaction(SIGILL, &amx_detail::handler_before, nullptr);
    }

    [[nodiscard]] static bool is_native() { return qtk::cpu().amx; }
    /// Does everything else that a QTK_AMX_REGION may use exist here?
    [[nodiscard]] static bool can_run() {
        std::uint32_t const c = qtk::detail::cpuid(7, 0).c;
        bool const has_vbmi_and_gfni = (c >> 1 & 1u) != 0 && (c >> 8 & 1u) != 0;
        return is_native() || (qtk::cpu().avx512_bf16 && has_vbmi_and_gfni);
    }
    [[nodiscard]] static bool is_emulated() { return can_run() && !is_native(); }
    /// How many instructions were emulated so far, by all threads; 0 where the processor has tiles.
    [[nodiscard]] static std::uint64_t count() { return amx_detail::emulated_count.load(); }
};

}  // namespace qtk_test

#else

namespace qtk_test {

/// Not Linux on x86-64: no tile instruction is compiled in.
class amx_emulation {
  public:
    amx_emulation() { std::fputs("skipped: tiles need Linux on x86-64\n", stderr); }
    amx_emulation(amx_emulation const&) = delete;
    amx_emulation& operator=(amx_emulation const&) = delete;
    ~amx_emulation() {}
    [[nodiscard]] static bool is_native() { return false; }
    [[nodiscard]] static bool can_run() { return false; }
    [[nodiscard]] static bool is_emulated() { return false; }
    [[nodiscard]] static std::uint64_t count() { return 0; }
};

}  // namespace qtk_test

#endif
