// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/abi.hpp>

#include <doctest/doctest.h>

#include <string>

#define QTK_TEST_TEXT_(name) #name
#define QTK_TEST_TEXT(name) QTK_TEST_TEXT_(name)

namespace flags_apart {
inline namespace QTK_ABI_NS {
constexpr int answer = 42;
}
}  // namespace flags_apart

// The namespace is inline: callers do not name it, the linker does.
static_assert(flags_apart::answer == 42 && flags_apart::QTK_ABI_NS::answer == 42);

TEST_CASE("the inline namespace names each flag that changes machine code") {
    std::string const name = QTK_TEST_TEXT(QTK_ABI_NS);
    CAPTURE(name);
    CHECK(name.rfind("abi_", 0) == 0);
    CHECK(name.find(QTK_HAS_XSIMD ? "_xsimd_" : "_plain_") != name.npos);
#if defined(_OPENMP)
    CHECK(name.find("_omp_") != name.npos);
#else
    CHECK(name.find("_single_") != name.npos);
#endif
#if defined(NDEBUG)
    CHECK(name.find("_release") != name.npos);
#else
    CHECK(name.find("_debug") != name.npos);
#endif
    // Every part was replaced by its value.
    CHECK(name.find("QTK") == name.npos);
}
