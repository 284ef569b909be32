// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/isa.hpp>

#include <doctest/doctest.h>

#include <array>

using qtk::instruction_set;

namespace {

constexpr std::array all{instruction_set::scalar, instruction_set::xsimd, instruction_set::avx2,
                         instruction_set::avx512, instruction_set::amx};

std::string refusal_of(std::string_view wanted) {
    try {
        static_cast<void>(qtk::choose_isa(wanted));
    } catch (qtk::value_error const& e) {
        return e.what();
    }
    return {};
}

}  // namespace

TEST_CASE("without a wish the widest set that this process can run is taken") {
    instruction_set widest = instruction_set::scalar;
    for (instruction_set const set : all)
        if (qtk::is_usable(set)) widest = set;
    CHECK(qtk::choose_isa("") == widest);
}

TEST_CASE(
    "a set that the build has and the processor has not is refused, one that both have taken") {
    for (instruction_set const set : all) {
        std::string_view const name = qtk::name_of(set);
        CAPTURE(name);
        if (qtk::is_usable(set))
            CHECK(qtk::choose_isa(name) == set);
        else
            CHECK(refusal_of(name).find(std::string("QTK_ISA=") + std::string(name) + ": this ") ==
                  0);
    }
}

TEST_CASE("an unknown name is refused with what there is") {
    for (char const* name : {"sse9", "Scalar", "scalar ", "avx"}) {
        CAPTURE(name);
        std::string const text = refusal_of(name);
        CHECK(text.find(std::string("QTK_ISA=") + name + ": no instruction set has that name; ") ==
              0);
        CHECK(text.find("expected one of: scalar") != std::string::npos);
        for (instruction_set const set : all)
            CHECK((text.find(" " + std::string(qtk::name_of(set))) != std::string::npos) ==
                  qtk::is_usable(set));
    }
}

TEST_CASE("the process uses what QTK_ISA says") {
    char const* const wanted = std::getenv("QTK_ISA");
    CHECK(qtk::active_isa() == qtk::choose_isa(wanted != nullptr ? wanted : ""));
    CHECK(qtk::isa() == qtk::name_of(qtk::active_isa()));
}
