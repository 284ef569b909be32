// SPDX-License-Identifier: Apache-2.0
//
// Codes of nine bits do not fit a byte.
#include <qtk/quantize.hpp>

int main() {
    constexpr qtk::scheme nine_bits{.element = qtk::format{.bits = 9}};
    static_cast<void>(qtk::quantize<nine_bits>(qtk::matrix(4, 4)));
}
