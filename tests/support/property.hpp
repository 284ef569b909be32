// SPDX-License-Identifier: Apache-2.0
//
// Properties: 1,000 random cases each, or what RC_PARAMS says ("max_success=100000 seed=5"). The seed is
// printed, and a case that fails is shrunk.
#pragma once

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <stdlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>

namespace test {

/// Before main: RapidCheck reads its configuration once.
inline int const has_thousand_cases = ::setenv("RC_PARAMS", "max_success=1000", 0);

/// `share`: costly properties have so many times fewer cases.
template <typename F>
void property(std::string const& sentence, F const& body, int share = 1) {
    rc::detail::TestParams params = rc::detail::configuration().testParams;
    params.maxSuccess = std::max(1, params.maxSuccess / share);
    auto const result =
        rc::detail::checkTestable(body, rc::detail::TestMetadata{sentence, sentence}, params);
    rc::detail::printResultMessage(result, std::cerr << "- " << sentence << '\n');
    std::cerr << '\n';
    CHECK(result.template is<rc::detail::SuccessResult>());
}

/// A float with one of the exponents [lowest, highest], any mantissa and sign; shrinks to powers of two.
inline float float_between(int lowest, int highest) {
    int const exponent = *rc::gen::inRange(lowest, highest + 1);
    auto const mantissa = static_cast<std::uint32_t>(*rc::gen::inRange(0, 1 << 23));
    bool const is_negative = *rc::gen::arbitrary<bool>();
    float const x = std::ldexp(std::bit_cast<float>(0x3f800000u | mantissa), exponent);
    return is_negative ? -x : x;
}

/// 0, 1 and a few: shapes where loops begin and end, around `block`.
inline std::size_t length_around(std::size_t block) {
    return *rc::gen::weightedOneOf<std::size_t>(
        {{1, rc::gen::inRange<std::size_t>(0, 3)},
         {2, rc::gen::inRange<std::size_t>(block - 1, block + 2)},
         {1, rc::gen::element<std::size_t>(7, 13, 31, 61, 127, 251)},
         {2, rc::gen::inRange<std::size_t>(1, 3 * block)}});
}

/// One of a list.
template <typename List>
auto const& one_of(List const& all) {
    return all[*rc::gen::inRange<std::size_t>(0, std::size(all))];
}

}  // namespace test
