// SPDX-License-Identifier: Apache-2.0
//
// Which part of a product does one call compute, and where do its activations lie? What a driver
// hands to a kernel.
#pragma once

#include <cstddef>

namespace qtk {

/// Which part of a product a call computes: rows [row, row_end) of X times panels [panel,
/// panel_end) of W.
struct product_part {
    std::size_t row = 0, row_end = 0, panel = 0, panel_end = 0;
};

/// Rows of floats along the filled-up axis: [rows, depth], `stride` apart.
struct float_rows {
    float const* data = nullptr;
    std::size_t stride = 0;
};

}  // namespace qtk
