// SPDX-License-Identifier: Apache-2.0
//
// Who gets which request next? A rank that has room gets one that nobody had. Ranks that died give back what
// they were at; where nobody can tell whether a rank died, a request that takes more than twice as long as any
// other, and a second, is given to somebody else too, and the first answer counts.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace app {

using work_clock = std::chrono::steady_clock;

/// What a rank was asked and has not answered, in this round or in an earlier one.
struct held_request {
    std::uint64_t round = 0;
    std::size_t request = 0;
    work_clock::time_point since{};
};

struct rank_load {
    std::size_t capacity = 0;  ///< Requests at a time; 0: gets none.
    std::vector<held_request> held{};
};

/// The requests of one round. Rank 0 is the one that asks; it has room for one at least.
class request_board {
  public:
    /// `ranks` lives on from round to round: a rank that still owes answers of an earlier one gets nothing.
    request_board(std::vector<rank_load>& ranks, std::uint64_t round, std::size_t requests)
        : ranks_(ranks), round_(round), is_answered_(requests), left_(requests) {
        for (std::size_t i = 0; i < requests; ++i) waiting_.push_back(i);
    }

    [[nodiscard]] bool is_done() const noexcept { return left_ == 0; }

    /// The request that `rank` is to do now, which it holds from then on.
    [[nodiscard]] std::optional<std::size_t> next_for(std::size_t rank) {
        auto& [capacity, held] = ranks_[rank];
        auto const now = work_clock::now();
        bool const is_trusted =
            rank == 0 || std::none_of(held.begin(), held.end(), [&](held_request const& h) {
                return h.round != round_ || is_late(h, now);
            });
        if (held.size() >= capacity || !is_trusted) return {};
        std::optional<std::size_t> request;
        if (rank == 0) request = take(for_first_);
        if (!request) request = take(waiting_);
        if (!request) request = late_request(rank, now);
        if (request) held.push_back({round_, *request, now});
        return request;
    }

    /// `rank` answered: is it the first answer to a request of this round?
    [[nodiscard]] bool settle(std::size_t rank, std::uint64_t round, std::size_t request) {
        if (auto const since = release(rank, round, request); since && round == round_)
            longest_ =
                std::max(longest_.value_or(work_clock::duration{}), work_clock::now() - *since);
        if (!is_open(round, request)) return false;
        is_answered_[request] = true;
        --left_;
        return true;
    }

    /// `rank` could not do it: the first rank will see why.
    void refuse(std::size_t rank, std::uint64_t round, std::size_t request) {
        static_cast<void>(release(rank, round, request));
        if (is_open(round, request)) for_first_.push_back(request);
    }

    /// `rank` is no more.
    void lose(std::size_t rank) {
        for (held_request const& h : ranks_[rank].held)
            if (is_open(h.round, h.request)) waiting_.push_front(h.request);
        ranks_[rank] = {};
    }

  private:
    [[nodiscard]] bool is_open(std::uint64_t round, std::size_t request) const {
        return round == round_ && !is_answered_.at(request);
    }

    [[nodiscard]] bool is_late(held_request const& h, work_clock::time_point now) const {
        return longest_ && now - h.since > 2 * *longest_ + std::chrono::seconds(1);
    }

    [[nodiscard]] std::optional<std::size_t> take(std::deque<std::size_t>& from) {
        while (!from.empty()) {
            std::size_t const request = from.front();
            from.pop_front();
            if (!is_answered_[request]) return request;
        }
        return {};
    }

    /// A request for which everybody who has it is late, and `rank` has not.
    [[nodiscard]] std::optional<std::size_t> late_request(std::size_t rank,
                                                          work_clock::time_point now) const {
        auto const is_for_rank = [&](std::size_t request) {
            for (rank_load const& load : ranks_)
                for (held_request const& h : load.held)
                    if (h.round == round_ && h.request == request &&
                        (&load == &ranks_[rank] || !is_late(h, now)))
                        return false;
            return true;
        };
        for (rank_load const& load : ranks_)
            for (held_request const& h : load.held)
                if (is_open(h.round, h.request) && is_for_rank(h.request)) return h.request;
        return {};
    }

    /// Since when the rank held the request that it no longer holds.
    std::optional<work_clock::time_point> release(std::size_t rank, std::uint64_t round,
                                                  std::size_t request) {
        auto& held = ranks_[rank].held;
        auto const at = std::find_if(held.begin(), held.end(), [&](held_request const& h) {
            return h.round == round && h.request == request;
        });
        if (at == held.end()) return {};
        auto const since = at->since;
        held.erase(at);
        return since;
    }

    std::vector<rank_load>& ranks_;
    std::uint64_t round_;
    std::vector<bool> is_answered_;
    std::size_t left_;
    std::deque<std::size_t> waiting_, for_first_;
    std::optional<work_clock::duration> longest_{};  // of all answers in this round
};

}  // namespace app
