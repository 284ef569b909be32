// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/normal_form_tables.hpp>

#include <doctest/doctest.h>

#include <cstddef>

namespace {

// Runs of `width` numbers that begin with first and last: in order, without overlap.
template <typename Table>
bool are_sorted_runs(Table const& table, std::size_t width) {
    for (std::size_t i = 0; i < table.size(); i += width) {
        if (table[i] > table[i + 1]) return false;
        if (i > 0 && table[i] <= table[i - width + 1]) return false;
    }
    return table.size() % width == 0;
}

template <typename Table>
bool are_sorted_pairs(Table const& table) {
    for (std::size_t i = 3; i < table.size(); i += 3)
        if (table[i - 3] > table[i] || (table[i - 3] == table[i] && table[i - 2] >= table[i + 1]))
            return false;
    return table.size() % 3 == 0;
}

}  // namespace

TEST_CASE("the tables are sorted, so that they can be searched") {
    CHECK(are_sorted_runs(qtk::detail::nfc_changed, 2));
    CHECK(are_sorted_runs(qtk::detail::combining_classes, 3));
    CHECK(are_sorted_pairs(qtk::detail::composed_small));
    CHECK(are_sorted_pairs(qtk::detail::composed_large));
}

TEST_CASE("they hold what Unicode has") {
    // 941 characters compose of two others, besides the syllables of Hangul.
    CHECK(qtk::detail::composed_small.size() + qtk::detail::composed_large.size() == 3 * 941);
    CHECK(qtk::detail::combining_classes.front() == 0x300);
    CHECK(qtk::detail::combining_classes[2] == 230);
    CHECK(qtk::detail::nfc_changed.front() == 0x340);
}
