// SPDX-License-Identifier: Apache-2.0
//
// A pointer has no shape.
#include <qtk/quantize.hpp>

int main() {
    float weights[16] = {};
    float const* first = weights;
    static_cast<void>(qtk::quantize<qtk::scheme{}>(first));
}
