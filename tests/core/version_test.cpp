// SPDX-License-Identifier: Apache-2.0
#include <qtk/version.hpp>

#include <doctest/doctest.h>

#include <string>

TEST_CASE("the version reads the same as numbers and as text") {
    CHECK(std::string(QTK_VERSION_STRING) == std::to_string(QTK_VERSION_MAJOR) + "." +
                                                 std::to_string(QTK_VERSION_MINOR) + "." +
                                                 std::to_string(QTK_VERSION_PATCH));
}
