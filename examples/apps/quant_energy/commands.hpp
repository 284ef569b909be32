// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace CLI {
class App;
}

namespace app {

void add_calibrate(CLI::App& program);

}  // namespace app
