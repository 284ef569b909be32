// SPDX-License-Identifier: Apache-2.0
//
// A block of no rows holds nothing.
#include <qtk/quantize.hpp>

int main() {
    constexpr qtk::scheme no_rows{.element = qtk::i4, .grain = qtk::per_block(0, 16)};
    static_cast<void>(qtk::quantize<no_rows>(qtk::matrix(4, 4)));
}
