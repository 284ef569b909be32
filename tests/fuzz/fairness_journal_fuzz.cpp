// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the journal of quant-fairness: a refusal that changes nothing, or losses that are still
// there, with those that were added, when the file is opened again.
#include "../../examples/apps/quant_fairness/journal.hpp"
#include "fuzz_target.hpp"

QTK_FUZZ_TARGET(fairness_journal) {
    fuzz::memory_file const file(data, size);
    std::size_t found = 0;
    try {
        app::journal journal(file.path());
        found = journal.found();
        fuzz::require(journal.find("fuzz, added") == nullptr || found > 0);
        journal.add({{"fuzz, added", {1.5, -0.0}}});
    } catch (qtk::io_error const&) {
        return 0;
    }
    // Outside the try: what was accepted once must not be refused now.
    app::journal const again(file.path());
    std::vector<double> const* const added = again.find("fuzz, added");
    fuzz::require(again.found() == found + 1 || again.found() == found);
    fuzz::require(added != nullptr && added->size() == 2 && (*added)[0] == 1.5);
    return 0;
}
