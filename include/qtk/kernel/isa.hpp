// SPDX-License-Identifier: Apache-2.0
//
// Which instructions do the kernels use? `scalar` is the meaning of every kernel; `xsimd` is the
// portable vector path at whatever the compile flags allow; avx2, avx512 and amx are compiled into
// every x86-64 program and taken where the processor has them. The environment variable QTK_ISA
// forces one, for tests and bug reports.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/target.hpp>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

namespace qtk {

/// From the plainest to the widest. Where one has no kernel of its own for an operation, the next
/// plainer one that has serves: amx names int8 and bf16 tiles beside the kernels of avx512.
enum class instruction_set { scalar, xsimd, avx2, avx512, amx };

namespace detail {
inline constexpr std::array<std::string_view, 5> isa_names{"scalar", "xsimd", "avx2", "avx512",
                                                           "amx"};
}  // namespace detail

/// The one spelling of an instruction set.
[[nodiscard]] constexpr std::string_view name_of(instruction_set set) noexcept {
    return detail::isa_names[static_cast<std::size_t>(set)];
}

inline namespace QTK_ABI_NS {

/// Is there a path for `set` in this build?
[[nodiscard]] constexpr bool is_compiled_in(instruction_set set) noexcept {
    if (set == instruction_set::scalar) return true;
    return set == instruction_set::xsimd ? QTK_HAS_XSIMD != 0 : QTK_HAS_X86 != 0;
}

/// Can this process run the path of `set`?
[[nodiscard]] inline bool is_usable(instruction_set set) noexcept {
    switch (set) {
        case instruction_set::avx2:
            return cpu().avx2;
        case instruction_set::avx512:
            return cpu().avx512;
        case instruction_set::amx:
            return cpu().amx;
        case instruction_set::scalar:
        case instruction_set::xsimd:
            break;
    }
    return is_compiled_in(set);
}

/// The set that `wanted` names, or the widest one for an empty name. Throws value_error that says
/// why it cannot be had and lists what can.
[[nodiscard]] inline instruction_set choose_isa(std::string_view wanted) {
    instruction_set widest = instruction_set::scalar;
    std::string offered;
    char const* reason = "no instruction set has that name";
    for (std::size_t i = 0; i < detail::isa_names.size(); ++i) {
        auto const set = static_cast<instruction_set>(i);
        if (is_usable(set)) {
            if (wanted == name_of(set)) return set;
            widest = set;
            offered += ' ';
            offered += name_of(set);
        } else if (wanted == name_of(set)) {
            reason = is_compiled_in(set)             ? "this processor or system does not have it"
                     : set == instruction_set::xsimd ? "xsimd was not found or is turned off"
                                                     : "this build is for another architecture";
        }
    }
    if (wanted.empty()) return widest;
    throw value_error("QTK_ISA=" + std::string(wanted) + ": " + reason +
                      "; expected one of:" + offered);
}

/// What the kernels of this process use; QTK_ISA is read once. Throws like choose_isa, at every
/// call until the variable is right.
[[nodiscard]] inline instruction_set active_isa() {
    static instruction_set const chosen = [] {
        char const* const wanted = std::getenv("QTK_ISA");
        return choose_isa(wanted != nullptr ? wanted : "");
    }();
    return chosen;
}

/// Its name, e.g. "avx512".
[[nodiscard]] inline std::string_view isa() {
    return name_of(active_isa());
}

}  // namespace QTK_ABI_NS

static_assert(name_of(instruction_set::amx) == "amx" && is_compiled_in(instruction_set::scalar));

}  // namespace qtk
