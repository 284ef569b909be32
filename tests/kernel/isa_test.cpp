// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/isa.hpp>

#include <doctest/doctest.h>

TEST_CASE("scalar can always be chosen") {
    CHECK(qtk::choose_isa("scalar") == qtk::instruction_set::scalar);
}

TEST_CASE("no wish takes the widest there is") {
    CHECK(qtk::choose_isa("") ==
          (QTK_HAS_XSIMD ? qtk::instruction_set::xsimd : qtk::instruction_set::scalar));
}

TEST_CASE("a set that this build lacks is an error that names those it has") {
    CHECK_THROWS_AS((void)qtk::choose_isa("mmx"), qtk::value_error);
    CHECK_THROWS_WITH((void)qtk::choose_isa("avx9"), doctest::Contains("scalar"));
}

TEST_CASE("the name in use is one of the names") {
    CHECK((qtk::isa() == "scalar" || qtk::isa() == "xsimd"));
}
