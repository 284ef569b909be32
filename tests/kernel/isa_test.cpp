// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/isa.hpp>

#include <doctest/doctest.h>

using qtk::instruction_set;

TEST_CASE("without a wish the widest set of this build is taken") {
    CHECK(qtk::choose_isa("") ==
          (QTK_HAS_XSIMD ? instruction_set::xsimd : instruction_set::scalar));
}

TEST_CASE("a wish is taken if this build has it") {
    CHECK(qtk::choose_isa("scalar") == instruction_set::scalar);
    for (auto const set : {instruction_set::scalar, instruction_set::xsimd, instruction_set::avx2,
                           instruction_set::avx512, instruction_set::amx})
        if (qtk::is_compiled_in(set)) CHECK(qtk::choose_isa(qtk::name_of(set)) == set);
}

TEST_CASE("an unknown name and one that is not compiled in are refused with what there is") {
    for (char const* name : {"sse9", "amx", "avx2", "Scalar", "scalar "}) {
        CAPTURE(name);
        std::string text;
        try {
            static_cast<void>(qtk::choose_isa(name));
        } catch (qtk::value_error const& e) {
            text = e.what();
        }
        CHECK(text.find(std::string("QTK_ISA=") + name) != std::string::npos);
        CHECK(text.find("expected one of: scalar") != std::string::npos);
        CHECK((text.find("xsimd") != std::string::npos));
    }
}

TEST_CASE("the process uses what QTK_ISA says") {
    char const* const wanted = std::getenv("QTK_ISA");
    CHECK(qtk::active_isa() == qtk::choose_isa(wanted != nullptr ? wanted : ""));
    CHECK(qtk::isa() == qtk::name_of(qtk::active_isa()));
}
