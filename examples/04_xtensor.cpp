// SPDX-License-Identifier: Apache-2.0
//
// xtensor in, xtensor out: containers are read in place, expressions are evaluated once.
#include <qtk/xtensor.hpp>

#include <cstdio>

int main() {
    //! [xtensor]
    constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};

    xt::xtensor<float, 2> const weight{{1.0f, -2.0f, 3.0f}, {0.5f, 0.25f, -0.125f}};
    auto const q = qtk::quantize<w8>(weight * 2.0f);
    xt::xtensor<float, 2> const back = qtk::to_xtensor(q);
    //! [xtensor]

    std::printf("codes %d %d %d, scale of row 0 %.5f, back %.3f\n", q.code(0, 0), q.code(0, 1),
                q.code(0, 2), static_cast<double>(q.scale(0, 0)), static_cast<double>(back(0, 2)));
}
