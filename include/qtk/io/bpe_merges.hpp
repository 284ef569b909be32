// SPDX-License-Identifier: Apache-2.0
//
// Which neighbours become one token? Byte-pair encoding (Sennrich, Haddow, Birch 2016): among all
// neighbours the pair of the lowest rank is joined, the leftmost first, until no ranked pair is
// left. O(n log n) for a piece of n symbols.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <queue>
#include <unordered_map>
#include <vector>

namespace qtk {

/// The ranked pairs of a vocabulary. Symbols are any 32-bit numbers, negative ones too.
class bpe_merges {
  public:
    /// `left` and `right` join to `joined`, after all pairs added before. False, and nothing
    /// changed, if the pair has a rank.
    bool add(std::int32_t left, std::int32_t right, std::int32_t joined) {
        return add(left, right, joined, static_cast<std::uint32_t>(rules_.size()));
    }

    /// The same with a rank of the caller's: of pairs of one rank the leftmost goes first.
    bool add(std::int32_t left, std::int32_t right, std::int32_t joined, std::uint32_t rank) {
        return rules_.try_emplace(key(left, right), rule{rank, joined}).second;
    }

    [[nodiscard]] std::size_t size() const noexcept { return rules_.size(); }

    /// Replaces the symbols of one piece by its tokens.
    void apply(std::vector<std::int32_t>& piece) const {
        if (piece.size() < 2) return;
        // A chain of symbols; rule[i] is what would join i with its right neighbour.
        std::vector<link> chain(piece.size());
        std::priority_queue<candidate> queue;
        for (std::size_t i = 0; i < piece.size(); ++i) {
            chain[i].previous = i == 0 ? none : i - 1;
            chain[i].next = i + 1 == piece.size() ? none : i + 1;
        }
        auto const consider = [&](std::size_t i) {
            std::size_t const next = chain[i].next;
            rule const* const found = next == none ? nullptr : find(piece[i], piece[next]);
            chain[i].joint = found;
            if (found != nullptr) queue.push({found->rank, i});
        };
        for (std::size_t i = 0; i + 1 < piece.size(); ++i) consider(i);

        while (!queue.empty()) {
            auto const [rank, left] = queue.top();
            queue.pop();
            // Stale when one side has been joined to something else in the meantime.
            rule const* const joint = chain[left].joint;
            if (joint == nullptr || joint->rank != rank) continue;
            std::size_t const right = chain[left].next;
            piece[left] = joint->joined;
            chain[left].next = chain[right].next;
            chain[right].joint = nullptr;
            if (chain[left].next != none) chain[chain[left].next].previous = left;
            consider(left);
            if (chain[left].previous != none) consider(chain[left].previous);
        }

        std::size_t count = 0;
        for (std::size_t i = 0; i != none; i = chain[i].next) piece[count++] = piece[i];
        piece.resize(count);
    }

  private:
    struct rule {
        std::uint32_t rank;
        std::int32_t joined;
    };
    struct link {
        std::size_t previous, next;
        rule const* joint = nullptr;
    };
    struct candidate {
        std::uint32_t rank;
        std::size_t position;
        // The queue's top is its greatest element: the lowest rank, then the leftmost.
        bool operator<(candidate const& other) const noexcept {
            return rank != other.rank ? rank > other.rank : position > other.position;
        }
    };
    static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

    static std::uint64_t key(std::int32_t left, std::int32_t right) noexcept {
        return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 |
               static_cast<std::uint32_t>(right);
    }

    rule const* find(std::int32_t left, std::int32_t right) const noexcept {
        auto const found = rules_.find(key(left, right));
        return found == rules_.end() ? nullptr : &found->second;
    }

    std::unordered_map<std::uint64_t, rule> rules_;
};

}  // namespace qtk
