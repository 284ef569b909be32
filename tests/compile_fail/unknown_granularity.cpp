// SPDX-License-Identifier: Apache-2.0
//
// Four rows of no stated width are no tile: neither a channel, nor a group, nor a block.
#include <qtk/quantize.hpp>

int main() {
    constexpr qtk::scheme four_rows{.element = qtk::i4, .grain = qtk::granularity{.rows = 4}};
    static_cast<void>(qtk::quantize<four_rows>(qtk::matrix(4, 4)));
}
