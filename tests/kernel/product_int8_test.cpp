// SPDX-License-Identifier: Apache-2.0
//
// The kernels of every instruction set against their twin: product_test.cpp. Here: what their
// chunks and pieces add, at shapes that cross them.
#include <qtk/kernel/amx/product_int8.hpp>
#include <qtk/kernel/avx2/product_int8.hpp>
#include <qtk/kernel/avx512/product_int8.hpp>
#include <qtk/kernel/portable/product_int8.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

TEST_CASE("segments longer than a chunk, groups that end inside one: the twin's bits") {
    for (qtk::scheme const& s :
         {qtk::scheme{.element = qtk::i3, .grain = qtk::per_channel},
          qtk::scheme{.element = qtk::i8, .grain = qtk::per_group(704)},
          qtk::scheme{.element = qtk::nf4, .grain = qtk::per_channel},
          qtk::scheme{
              .element = qtk::i4, .grain = qtk::per_group(96), .zero = qtk::origin::floating}})
        for (std::size_t const m : {1u, 2u, 3u, 5u, 13u, 133u}) {
            std::string const name = qtk::to_string(s);
            CAPTURE(name);
            CAPTURE(m);
            cases::product const p(s, {m, 33, 1500});
            for (auto const type : {qtk::activation_type::a8_row, qtk::activation_type::a8_group}) {
                qtk::product_options const options{.activations = type};
                std::vector<float> const expected = p.on(qtk::instruction_set::scalar, options);
                for (qtk::instruction_set const isa : cases::usable_isas()) {
                    std::string const isa_name(qtk::name_of(isa));
                    CAPTURE(isa_name);
                    REQUIRE(cases::same_bits(p.on(isa, options), expected));
                }
            }
        }
}
