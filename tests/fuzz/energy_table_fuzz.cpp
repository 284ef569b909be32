// SPDX-License-Identifier: Apache-2.0
//
// Any text as an energy table: a refusal, or a table that, written and read again, is the same bit for bit.
#include <qtk/energy/table_json.hpp>

#include "fuzz_target.hpp"

QTK_FUZZ_TARGET(energy_table) {
    qtk::coefficient_table table;
    try {
        table = qtk::parse_energy_table(fuzz::text_of(data, size), "fuzz");
    } catch (qtk::error const&) {
        return 0;
    }
    // Outside the try: what was accepted once must not be refused now.
    fuzz::require(qtk::parse_energy_table(qtk::json_of(table).dump(), "again") == table);
    return 0;
}
