// SPDX-License-Identifier: Apache-2.0
//
// The control: everything that the other programs do wrong, done right, compiles.
#include <qtk/core/spelling.hpp>
#include <qtk/quantize.hpp>

int main() {
    constexpr qtk::scheme grouped{
        .element = qtk::i4, .grain = qtk::per_group(2), .zero = qtk::origin::floating};
    constexpr qtk::scheme blocked{.element = qtk::nf4,
                                  .grain = qtk::granularity{.rows = 4, .cols = 4}};
    constexpr qtk::scheme spelled = qtk::parse_scheme("i4/channel");
    qtk::matrix const weight(4, 4);
    static_cast<void>(qtk::quantize<grouped>(weight, qtk::minmax_range{}));
    static_cast<void>(qtk::quantize<blocked>(weight));
    static_cast<void>(qtk::quantize<spelled>(weight.view()));
}
