// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace CLI {
class App;
}

namespace app {

/// quant-fairness sweep: every block quantized alone, and every block protected alone.
void add_sweep(CLI::App& program);

}  // namespace app
