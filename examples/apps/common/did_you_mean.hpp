// SPDX-License-Identifier: Apache-2.0
//
// Which word was meant? The nearest of those that there are by the number of letters that were left out, put in,
// replaced or swapped with their neighbour (Damerau 1964, each pair swapped once), if that is less than half of the
// word and at most two.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace app {

/// O(a b) time; for words, not for texts.
[[nodiscard]] inline std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        now[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            now[j] = std::min({last[j] + 1, now[j - 1] + 1,
                               last[j - 1] + (a[i - 1] == b[j - 1] ? std::size_t{0} : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = std::min(now[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(now);
    }
    return last[b.size()];
}

/// " Did you mean x?", or "x or y" where two are equally near; empty where nothing is.
[[nodiscard]] inline std::string did_you_mean(std::string_view word,
                                              std::span<std::string const> names) {
    constexpr std::size_t most_edits = 2, most_names = 3;
    std::size_t nearest = most_edits + 1;
    std::vector<std::string> found;
    for (std::string const& name : names) {
        std::size_t const distance = edit_distance(word, name);
        if (2 * distance >= std::max(word.size(), name.size()) || distance > nearest) continue;
        if (distance < nearest) found.clear();
        nearest = distance;
        found.push_back(name);
    }
    if (nearest > most_edits || found.size() > most_names) return {};
    std::string text = " Did you mean ";
    for (std::size_t i = 0; i < found.size(); ++i)
        text += (i == 0 ? "" : i + 1 == found.size() ? " or " : ", ") + found[i];
    return text + "?";
}

}  // namespace app
