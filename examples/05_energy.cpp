// SPDX-License-Identifier: Apache-2.0
//
// How much energy would fewer bits save? The same layer under two published tables: with one word from DRAM per
// multiply-accumulate the answer is almost the ratio of the bits.
#include <qtk/energy/model.hpp>
#include <qtk/energy/published.hpp>

#include <cstdio>

int main() {
    auto const layer = [](qtk::operand weight) {
        return qtk::work_of({.out = 4096,
                             .in = 4096,
                             .weight = weight,
                             .weight_storage_bits = 4096.0 * 4096.0 * weight.bits});
    };
    //! [energy]
    qtk::layer_work const full[] = {layer(qtk::operand::floating(32))};
    qtk::layer_work const four[] = {layer(qtk::operand_of(qtk::i4))};
    double const simple = qtk::savings(qtk::estimate_energy<qtk::quadratic_linear_1_200>(full),
                                       qtk::estimate_energy<qtk::quadratic_linear_1_200>(four));
    double const horowitz = qtk::savings(qtk::estimate_energy<qtk::horowitz_45nm>(full),
                                         qtk::estimate_energy<qtk::horowitz_45nm>(four));
    //! [energy]
    std::printf(
        "4-bit weights save %.4f %% (1:200 model), %.2f %% (45 nm table, float arithmetic)\n",
        100.0 * simple, 100.0 * horowitz);
}
