// SPDX-License-Identifier: Apache-2.0
//
// Which instructions do the kernels use? `scalar` is the meaning of every kernel; `xsimd` is the
// portable vector path at whatever the compile flags allow. The environment variable QTK_ISA forces
// one, for tests and bug reports.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

namespace qtk {

/// From the plainest to the widest. avx2, avx512 and amx name kernels that are chosen at run time;
/// no kernel of this version has such a path, so no build offers them.
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
    return set == instruction_set::scalar || (QTK_HAS_XSIMD && set == instruction_set::xsimd);
}

/// The set that `wanted` names, or the widest one for an empty name. Throws value_error listing
/// what this build has.
[[nodiscard]] inline instruction_set choose_isa(std::string_view wanted) {
    instruction_set widest = instruction_set::scalar;
    std::string offered;
    for (std::size_t i = 0; i < detail::isa_names.size(); ++i) {
        auto const set = static_cast<instruction_set>(i);
        if (!is_compiled_in(set)) continue;
        if (wanted == name_of(set)) return set;
        widest = set;
        offered += ' ';
        offered += name_of(set);
    }
    if (wanted.empty()) return widest;
    throw value_error("QTK_ISA=" + std::string(wanted) +
                      ": this build has no such kernels; expected one of:" + offered +
                      (QTK_HAS_XSIMD ? "" : " (xsimd was not found or is turned off)"));
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

/// Its name, e.g. "xsimd".
[[nodiscard]] inline std::string_view isa() {
    return name_of(active_isa());
}

}  // namespace QTK_ABI_NS

static_assert(name_of(instruction_set::amx) == "amx" && is_compiled_in(instruction_set::scalar));

}  // namespace qtk
