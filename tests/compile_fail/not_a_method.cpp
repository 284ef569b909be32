// SPDX-License-Identifier: Apache-2.0
//
// A number is neither a range estimator nor a method.
#include <qtk/quantize.hpp>

int main() {
    static_cast<void>(qtk::quantize<qtk::scheme{}>(qtk::matrix(4, 4), 0.99f));
}
