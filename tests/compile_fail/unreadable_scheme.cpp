// SPDX-License-Identifier: Apache-2.0
//
// A spelling is read at compile time, so its complaint is one, too.
#include <qtk/core/spelling.hpp>

constexpr qtk::scheme unknown = qtk::parse_scheme("i4/row");
int main() {
    static_cast<void>(unknown);
}
