// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the journal beside a part file: nothing, or pieces that lie in the file; a run that goes on
// from there finds what was good, and what it adds, and nothing else.
#include <qtk/io/write_journal.hpp>

#include "scratch_folder.hpp"

QTK_FUZZ_TARGET(write_journal) {
    static fuzz::scratch_folder const folder;
    static auto const target = folder.path() / "model.safetensors";
    static qtk::staged_file const part = [] {
        qtk::staged_file file(target, 64);
        file.write(8, std::vector<std::byte>(16, std::byte{7}));
        return file;
    }();
    fuzz::write_file(qtk::journal_path(target), data, size);
    auto const found = qtk::read_journal(target);
    if (!found) return 0;
    fuzz::require(found->good_bytes <= size);
    for (auto const& entry : found->entries) {
        fuzz::require(entry.offset <= found->run.size &&
                      entry.bytes <= found->run.size - entry.offset);
        static_cast<void>(qtk::is_as_written(part, entry));
    }
    qtk::journal_entry const more{"more", 0, 0, 42};
    qtk::write_journal journal(target, *found);
    journal.add({&more, 1});
    auto const again = qtk::read_journal(target);
    fuzz::require(again && again->run == found->run &&
                  again->entries.size() == found->entries.size() + 1);
    fuzz::require(std::equal(found->entries.begin(), found->entries.end(), again->entries.begin()));
    fuzz::require(again->entries.back() == more);
    return 0;
}
