// SPDX-License-Identifier: Apache-2.0
//
// How is code for AVX-VNNI tested where the processor has none? As code for tiles is: vpdpbusd on 256
// bits in its VEX form is an illegal instruction there, and a handler of that signal does what it
// would have done (Intel SDM volume 2, "VPDPBUSD") to the registers of the thread it stopped.
//
//     qtk_test::avx_vnni_emulation const emulation;  // in the test, as amx_emulation is
#pragma once

#include "amx_emulator.hpp"

#if QTK_HAS_X86 && defined(__linux__)

namespace qtk_test {
namespace avx_vnni_detail {

using amx_detail::instruction;

inline std::atomic<std::uint64_t> emulated_count{0};

/// A 256-bit register of the stopped thread. Its halves lie apart in what the system saved: the
/// lower one in the legacy area, the upper one where cpuid says (SDM volume 1, chapter 13.4).
class saved_vector {
  public:
    saved_vector(ucontext_t* context, int number)
        : area_(reinterpret_cast<unsigned char*>(context->uc_mcontext.fpregs)), number_(number) {}

    void read(unsigned char (&to)[32]) const {
        std::memcpy(to, lower(), 16);
        std::memset(to + 16, 0, 16);  // what an upper half in its initial state holds
        if ((state() & upper_halves) != 0) std::memcpy(to + 16, upper(), 16);
    }
    void write(unsigned char const (&from)[32]) const {
        if ((state() & upper_halves) == 0) std::memset(upper() - 16 * number_, 0, 16 * 16);
        std::uint64_t const now = state() | upper_halves | 2;
        std::memcpy(area_ + 512, &now, sizeof now);
        std::memcpy(lower(), from, 16);
        std::memcpy(upper(), from + 16, 16);
    }

  private:
    static constexpr std::uint64_t upper_halves = 4;

    [[nodiscard]] std::uint64_t state() const {
        std::uint64_t word = 0;
        std::memcpy(&word, area_ + 512, sizeof word);
        return word;
    }
    [[nodiscard]] unsigned char* lower() const { return area_ + 160 + 16 * number_; }
    [[nodiscard]] unsigned char* upper() const {
        static std::uint32_t const offset = qtk::detail::cpuid(13, 2).b;
        return area_ + offset + 16 * number_;
    }

    unsigned char* area_;
    int number_;
};

/// False: at `at` stands no vpdpbusd of 256 bits with a VEX prefix of three bytes.
inline bool decode_vnni(instruction& i, unsigned char const* at, greg_t const* saved) {
    if (at[0] != 0xc4 || (at[1] & 0x1f) != 2) return false;  // map 0F38
    if ((at[2] & 0x87) != 5 || at[3] != 0x50) return false;  // W0, 256 bits, 66h
    int const r = ~at[1] >> 4 & 8, x = ~at[1] >> 3 & 8, b = ~at[1] >> 2 & 8;
    i.name = "vpdpbusd";
    i.second = ~at[2] >> 3 & 15;
    i.reg = (at[4] >> 3 & 7) | r;
    i.rm = at[4] & 7;
    if (at[4] >> 6 == 3) {
        i.length = 5;
        i.rm |= b;
    } else {
        amx_detail::decode_address(i, at + 4, x, b, saved);
    }
    return true;
}

inline void execute_vnni(instruction const& i, ucontext_t* context) {
    unsigned char sum[32], a[32], b[32];
    saved_vector const to(context, i.reg);
    to.read(sum);
    saved_vector(context, i.second).read(a);
    if (i.has_memory)
        std::memcpy(b, reinterpret_cast<void const*>(i.base + i.offset), 32);
    else
        saved_vector(context, i.rm).read(b);
    for (int n = 0; n < 32; n += 4) {
        std::uint32_t lane = 0;  // unsigned: it wraps
        std::memcpy(&lane, sum + n, 4);
        for (int j = n; j < n + 4; ++j)
            lane += static_cast<std::uint32_t>(a[j] * static_cast<signed char>(b[j]));
        std::memcpy(sum + n, &lane, 4);
    }
    to.write(sum);
}

inline struct sigaction handler_before {};

inline void on_illegal_instruction(int signal, siginfo_t* info, void* context) {
    auto* const stopped = static_cast<ucontext_t*>(context);
    greg_t* const saved = stopped->uc_mcontext.gregs;
    bool const is_sent = info->si_code <= 0;
    instruction i;
    if (!is_sent && decode_vnni(i, reinterpret_cast<unsigned char const*>(saved[REG_RIP]), saved)) {
        execute_vnni(i, stopped);
        emulated_count.fetch_add(1, std::memory_order_relaxed);
        saved[REG_RIP] += i.length;
        return;
    }
    sigaction(SIGILL, &handler_before, nullptr);
    if (is_sent) raise(signal);
}

}  // namespace avx_vnni_detail

/// While one lives, vpdpbusd of 256 bits works. One at a time; made and destroyed on one thread.
class avx_vnni_emulation {
  public:
    avx_vnni_emulation() {
        if (!can_run()) std::fputs("skipped: needs AVX2\n", stderr);
        if (!is_emulated()) return;
        struct sigaction action {};
        action.sa_sigaction = avx_vnni_detail::on_illegal_instruction;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGILL, &action, &avx_vnni_detail::handler_before);
    }
    avx_vnni_emulation(avx_vnni_emulation const&) = delete;
    avx_vnni_emulation& operator=(avx_vnni_emulation const&) = delete;
    ~avx_vnni_emulation() {
        if (is_emulated()) sigaction(SIGILL, &avx_vnni_detail::handler_before, nullptr);
    }

    [[nodiscard]] static bool is_native() { return qtk::cpu().avx_vnni; }
    [[nodiscard]] static bool can_run() { return qtk::cpu().avx2; }
    [[nodiscard]] static bool is_emulated() { return can_run() && !is_native(); }
    /// How many instructions were emulated so far; 0 where the processor has them.
    [[nodiscard]] static std::uint64_t count() { return avx_vnni_detail::emulated_count.load(); }
};

}  // namespace qtk_test

#endif
