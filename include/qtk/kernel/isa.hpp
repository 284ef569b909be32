// SPDX-License-Identifier: Apache-2.0
//
// Which instructions do the kernels use? `scalar` is the meaning of every kernel; `xsimd` is the
// portable vector path at whatever the compile flags allow. The environment variable QTK_ISA forces
// one, for tests and bug reports.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>

#include <cstdlib>
#include <string>
#include <string_view>

namespace qtk {

enum class instruction_set { scalar, xsimd };

[[nodiscard]] constexpr std::string_view name_of(instruction_set set) noexcept {
    return set == instruction_set::scalar ? "scalar" : "xsimd";
}

inline namespace QTK_ABI_NS {

/// The set that `wanted` names, or the widest one for an empty name. Throws value_error listing
/// what this build has.
[[nodiscard]] inline instruction_set choose_isa(std::string_view wanted) {
    if (wanted == "scalar") return instruction_set::scalar;
    if (QTK_HAS_XSIMD && (wanted.empty() || wanted == "xsimd")) return instruction_set::xsimd;
    if (wanted.empty()) return instruction_set::scalar;
    throw value_error(
        "QTK_ISA=" + std::string(wanted) + ": this build has " +
        (QTK_HAS_XSIMD ? "scalar and xsimd" : "scalar (xsimd was not found or is turned off)"));
}

/// What the kernels of this process use; QTK_ISA is read once.
[[nodiscard]] inline instruction_set active_isa() {
    static instruction_set const chosen = [] {
        char const* const wanted = std::getenv("QTK_ISA");
        return choose_isa(wanted != nullptr ? wanted : "");
    }();
    return chosen;
}

/// Its name: "scalar" or "xsimd".
[[nodiscard]] inline std::string_view isa() {
    return name_of(active_isa());
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
