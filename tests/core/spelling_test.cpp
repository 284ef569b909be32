// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/spelling.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace {

using qtk::parse_scheme;
using qtk::to_string;

/// What parse_scheme says about a spelling; empty if it takes it.
std::string complaint(std::string_view text) {
    try {
        static_cast<void>(parse_scheme(text));
        return {};
    } catch (qtk::value_error const& e) {
        return e.what();
    }
}

}  // namespace

static_assert(parse_scheme("i4/g128") ==
              qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(128)});
static_assert(parse_scheme("u8/b16x32/asym/bf16/away").grain == qtk::per_block(16, 32));
static_assert(parse_scheme("nvfp4") == qtk::nvfp4);

TEST_CASE("every scheme comes back from its spelling, and no two share one") {
    std::set<std::string> spellings;
    std::size_t schemes = 0;
    for (auto const& [name, element] : qtk::known_formats)
        for (auto const& grain :
             {qtk::per_tensor, qtk::per_channel, qtk::per_group(1), qtk::per_group(128),
              qtk::per_block(16, 16), qtk::per_block(2, 1), qtk::per_group(999999999)})
            for (auto const zero : {qtk::origin::fixed, qtk::origin::floating})
                for (auto const scale :
                     {qtk::scale_type::f32, qtk::scale_type::f16, qtk::scale_type::bf16,
                      qtk::scale_type::e8m0, qtk::scale_type::e4m3})
                    for (auto const round :
                         {qtk::rounding::nearest_even, qtk::rounding::nearest_away,
                          qtk::rounding::stochastic}) {
                        qtk::scheme const s{element, grain, zero, scale, round};
                        if (!qtk::is_valid(s)) continue;
                        ++schemes;
                        spellings.insert(to_string(s));
                        if (parse_scheme(to_string(s)) != s) FAIL_CHECK(to_string(s));
                    }
    CHECK(schemes == (14 * 2 + 6) * 7 * 5 * 3);
    CHECK(spellings.size() == schemes);
}

TEST_CASE("format, grain, symmetry and scale are always printed, rounding when it is special") {
    CHECK(to_string(qtk::scheme{}) == "i8/tensor/sym/f32");
    CHECK(to_string(parse_scheme("i4/g128/asym/f16")) == "i4/g128/asym/f16");
    CHECK(to_string(parse_scheme("mxfp4")) == "e2m1/g32/sym/e8m0");
    CHECK(to_string(parse_scheme("nf4/channel/even")) == "nf4/channel/sym/f32");
    CHECK(to_string(parse_scheme("u3/b4x8/stochastic")) == "u3/b4x8/sym/f32/stochastic");
    CHECK(to_string(parse_scheme("i4/b1x64")) == "i4/g64/sym/f32");
}

TEST_CASE("fields may be left out, not reordered") {
    auto const full = parse_scheme("i4/g64/asym/f16/away");
    CHECK(parse_scheme("i4/g64/asym/away").scale == qtk::scale_type::f32);
    CHECK(parse_scheme("i4/g64/f16/away").zero == qtk::origin::fixed);
    CHECK(parse_scheme("i4/g64/away").round == full.round);
    CHECK_FALSE(complaint("i4/g64/f16/asym").empty());
    CHECK_FALSE(complaint("i4/g64/away/f16").empty());
    CHECK_FALSE(complaint("g64/i4").empty());
}

TEST_CASE("a bad format is named with the known ones") {
    for (auto const* text : {"", "/", "i1/tensor", "i9/tensor", "I4/tensor", " i4/tensor", "int4",
                             "i4 /tensor", "e4m2/tensor", "fp32", "MXFP4", "mxfp4/g32"}) {
        CAPTURE(text);
        CHECK(complaint(text) ==
              "scheme \"" + std::string(text) +
                  "\": the format is none of i2..i8, u2..u8, nf4, fp4, e2m1, e3m2, e4m3, e5m2. A "
                  "scheme is FORMAT/GRAIN[/sym|asym][/SCALE][/ROUNDING], e.g. i4/g128/asym/f16");
    }
}

TEST_CASE("a bad granularity is named with the known ones") {
    for (auto const* text : {"i4/",
                             "i4/g",
                             "i4/g0",
                             "i4/g-1",
                             "i4/g+1",
                             "i4/g064",
                             "i4/g64x",
                             "i4/g6 4",
                             "i4/row",
                             "i4/b",
                             "i4/b4",
                             "i4/b4x",
                             "i4/bx4",
                             "i4/b0x4",
                             "i4/b4x0",
                             "i4/b4x4x4",
                             "i4/b4X4",
                             "i4/g1000000000",
                             "i4/g99999999999999999999",
                             "i4/Tensor",
                             "i4/sym"}) {
        CAPTURE(text);
        CHECK(complaint(text).find("the granularity is none of tensor, channel, g<N>, b<R>x<C>") !=
              std::string::npos);
    }
    CHECK(complaint("i4").find("it has no granularity") != std::string::npos);
}

TEST_CASE("a bad optional field is named with its place") {
    CHECK(complaint("i4/g64/sim").find("field 3 (\"sim\") is not expected there") !=
          std::string::npos);
    CHECK(complaint("i4/g64/sym/f64").find("field 4 (\"f64\")") != std::string::npos);
    CHECK(complaint("i4/g64/sym/f32/up").find("field 5 (\"up\")") != std::string::npos);
    CHECK(complaint("i4/g64/").find("field 3 (\"\")") != std::string::npos);
    CHECK(complaint("i4/g64/sym/sym").find("field 4 (\"sym\")") != std::string::npos);
    CHECK(complaint("i4/g64/sym/f32/even/").find("more than five fields") != std::string::npos);
}

TEST_CASE("a scheme that makes no sense is refused with the reason") {
    CHECK(complaint("nf4/g64/asym").find("only integer formats have a zero point") !=
          std::string::npos);
    CHECK(complaint("e2m1/g32/asym/e8m0").find("only integer formats") != std::string::npos);
}
