// SPDX-License-Identifier: Apache-2.0
//
// The library's layer: picks the kernel by the number of rows, splits K where blocks are few, takes any shape,
// groups, zero points and codebooks, and adds bias, activation function and residual on the way out.
#include "matmul.hpp"

int main() {
    using namespace qtk::cuda;
    //! [linear]
    workspace space;
    return matmul::run("06_library", 8, 1e-5, [&](matmul::problem& p, unsigned copy) {
        linear const& layer = p.packed[copy];
        if (space.empty()) space = make_workspace(layer.workspace_bytes(p.m), {});
        layer.multiply({p.x.data(), layer.in()}, p.m, {p.y.data(), layer.out(), number::f32, {}},
                       space, {});
    });
    //! [linear]
}
