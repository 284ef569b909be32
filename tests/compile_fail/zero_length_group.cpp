// SPDX-License-Identifier: Apache-2.0
//
// Nobody shares a scale in a group of no columns.
#include <qtk/quantize.hpp>

int main() {
    constexpr qtk::scheme no_columns{.element = qtk::i4, .grain = qtk::per_group(0)};
    static_cast<void>(qtk::quantize<no_columns>(qtk::matrix(4, 4)));
}
