// SPDX-License-Identifier: Apache-2.0
//
// nf4 has fixed levels: a zero point would shift a table.
#include <qtk/quantize.hpp>

int main() {
    constexpr qtk::scheme shifted{.element = qtk::nf4, .zero = qtk::origin::floating};
    static_cast<void>(qtk::quantize<shifted>(qtk::matrix(4, 4)));
}
