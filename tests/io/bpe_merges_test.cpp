// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/bpe_merges.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;

ids merged(qtk::bpe_merges const& merges, ids piece) {
    merges.apply(piece);
    return piece;
}

// The definition, word for word: look for the best pair from the left, join it, start again.
ids merged_by_search(std::map<std::pair<int, int>, std::pair<int, int>> const& rules, ids piece) {
    for (;;) {
        std::size_t best = piece.size();
        int best_rank = 0;
        for (std::size_t i = 0; i + 1 < piece.size(); ++i) {
            auto const found = rules.find({piece[i], piece[i + 1]});
            if (found == rules.end()) continue;
            if (best == piece.size() || found->second.first < best_rank) {
                best = i;
                best_rank = found->second.first;
            }
        }
        if (best == piece.size()) return piece;
        piece[best] = rules.at({piece[best], piece[best + 1]}).second;
        piece.erase(piece.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
}

}  // namespace

TEST_CASE("nothing, one symbol, and symbols without a rule stay as they are") {
    qtk::bpe_merges merges;
    CHECK(merged(merges, {}).empty());
    CHECK(merged(merges, {7}) == ids{7});
    CHECK(merged(merges, {7, 8, 9}) == ids{7, 8, 9});
    merges.add(1, 2, 3);
    CHECK(merged(merges, {2, 1}) == ids{2, 1});
}

TEST_CASE("a pair is ranked once") {
    qtk::bpe_merges merges;
    CHECK(merges.add(1, 2, 3));
    CHECK_FALSE(merges.add(1, 2, 4));
    CHECK(merges.size() == 1);
    CHECK(merged(merges, {1, 2}) == ids{3});
}

TEST_CASE("the lowest rank goes first, whatever the position") {
    qtk::bpe_merges merges;
    merges.add(2, 3, 10);  // b c
    merges.add(1, 2, 11);  // a b
    CHECK(merged(merges, {1, 2, 3}) == ids{1, 10});
    CHECK(merged(merges, {1, 2, 1}) == ids{11, 1});
}

TEST_CASE("equal ranks are joined from the left") {
    qtk::bpe_merges merges;
    merges.add(1, 1, 2);
    CHECK(merged(merges, {1, 1, 1}) == ids{2, 1});
    CHECK(merged(merges, {1, 1, 1, 1, 1}) == ids{2, 2, 1});
    merges.add(2, 2, 3);
    CHECK(merged(merges, {1, 1, 1, 1, 1}) == ids{3, 1});
}

TEST_CASE("joined symbols are joined further, in both directions") {
    qtk::bpe_merges merges;
    merges.add(2, 3, 10);
    merges.add(1, 10, 11);
    merges.add(11, 4, 12);
    CHECK(merged(merges, {1, 2, 3, 4}) == ids{12});
}

TEST_CASE("the queue finds what a search from the definition finds") {
    qtk::splitmix64 random(20);
    for (int trial = 0; trial < 400; ++trial) {
        qtk::bpe_merges merges;
        std::map<std::pair<int, int>, std::pair<int, int>> rules;
        int next = 4;  // four symbols to begin with
        for (int r = 0; r < 12; ++r) {
            int const left = static_cast<int>(qtk::uniform_index(random, 6));
            int const right = static_cast<int>(qtk::uniform_index(random, 6));
            int const joined = next++;
            bool const is_new = merges.add(left, right, joined);
            CHECK(is_new == rules.try_emplace({left, right}, r, joined).second);
        }
        ids piece(qtk::uniform_index(random, 40));
        for (auto& symbol : piece)
            symbol = static_cast<std::int32_t>(qtk::uniform_index(random, 4));
        CHECK(merged(merges, piece) == merged_by_search(rules, piece));
    }
}

TEST_CASE("a piece of a million symbols is one of many, not a hang") {
    qtk::bpe_merges merges;
    merges.add(1, 1, 2);
    merges.add(2, 2, 3);
    ids const piece = merged(merges, ids(1'000'001, 1));
    CHECK(piece.size() == 250'001);
    CHECK(piece.front() == 3);
    CHECK(piece.back() == 1);
}
