// SPDX-License-Identifier: Apache-2.0
//
// Any text as measured kernels: a refusal, or observations that become rows of finite amounts or are
// refused by name.
#include "../../examples/apps/quant_energy/observation_file.hpp"
#include "fuzz_target.hpp"
#include <cmath>

QTK_FUZZ_TARGET(observations) {
    fuzz::memory_file const file(data, size);
    try {
        auto const record = app::find_observations(file.path());
        fuzz::require(record.has_value());
        auto const kernels = record->observations();
        auto const columns = qtk::columns_in(kernels);
        auto const amounts = qtk::amounts_of(kernels, columns);
        fuzz::require(amounts.values.size() == kernels.size() * columns.size());
    } catch (qtk::error const&) {
    }
    return 0;
}
