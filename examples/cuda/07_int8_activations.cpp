// SPDX-License-Identifier: Apache-2.0
//
// W4A8: activations become int8 on the way, one scale for 128 columns, and the integer tensor core multiplies them with
// the weights as they are stored, at twice the rate of halves. Worth it from some 40 rows on, where a T4 no longer waits
// for memory; the price is the rounding of activations, about half a percent.
#include "matmul.hpp"

int main() {
    using namespace qtk::cuda;
    workspace space;
    return matmul::run("07_int8_activations", 64, 1e-2,
                       [&](matmul::problem& p, unsigned copy) {
                           linear const& layer = p.packed[copy];
                           if (space.empty())
                               space = make_workspace(layer.workspace_bytes(p.m), {});
                           layer.multiply({p.x.data(), layer.in()}, p.m,
                                          {p.y.data(), layer.out(), number::f32, {}}, space, {});
                       },
                       {.activations = device_activations::a8_group});
}
