// SPDX-License-Identifier: Apache-2.0
//
// What does the first rank do with the others? It hands out requests, collects answers, and lets the ranks go.
#pragma once

#include "mailbox.hpp"
#include "mpi_ranks.hpp"
#include "request_board.hpp"
#include "work_sharing.hpp"
#include "worker_threads.hpp"
#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>
#include <vector>

namespace app {

/// What the first rank asks of the others.
class leader {
  public:
    leader(mpi_ranks const& ranks, mailbox& mail)
        : ranks_(ranks),
          mail_(mail),
          presence_(ranks.count(), presence::here),
          loads_(ranks.count()) {}

    void share_out(std::vector<std::string> const& requests, std::size_t threads,
                   answer_function const& answer, answer_received const& received) {
        request_board board(loads_, ++round_, requests.size());
        loads_[0] = {threads, {}};
        worker_threads own(threads, answer);
        auto const settle = [&](std::size_t rank, std::uint64_t round, std::size_t request,
                                std::string const& text) {
            if (board.settle(rank, round, request)) received(request, text);
        };
        while (!board.is_done()) {
            note_losses(board);
            while (auto const letter = mail_.next()) {
                auto const rank = static_cast<std::size_t>(letter->rank);
                if (letter->about == subject::answer)
                    settle(rank, letter->round, letter->number, letter->text);
                else if (letter->about == subject::failure)
                    board.refuse(rank, letter->round, letter->number);
                else if (note(*letter); letter->about == subject::leaving && letter->number != 0)
                    tell_user(rank, "ended with an error; the others do its work");
            }
            hand_out(board, requests, own);
            auto const piece = own.finished(between_looks);
            if (!piece) continue;
            if (piece->failure) std::rethrow_exception(piece->failure);
            settle(0, piece->round, piece->request, piece->text);
        }
    }

    /// True if every rank said goodbye, so that MPI can be ended in order.
    [[nodiscard]] bool say_goodbye() {
        tell_all({0, subject::leave});
        auto const is_awaited = [&](std::size_t rank) {
            return presence_[rank] == presence::here && !ranks_.is_dead(rank);
        };
        static_cast<void>(wait_until(std::chrono::seconds(5), [&] {
            while (auto const letter = mail_.next()) note(*letter);
            for (std::size_t rank = 1; rank < ranks_.count(); ++rank)
                if (is_awaited(rank)) return false;
            return true;
        }));
        bool is_in_order = true;
        for (std::size_t rank = 1; rank < ranks_.count(); ++rank) {
            if (presence_[rank] == presence::here) tell_user(rank, "does not answer any more");
            is_in_order = is_in_order && presence_[rank] == presence::left;
        }
        tell_all({0, subject::end, is_in_order ? 1u : 0u});
        return wait_until(std::chrono::seconds(1), [&] { return mail_.is_all_sent(); }) &&
               is_in_order;
    }

  private:
    enum class presence { here, left, dead };

    template <typename Condition>
    [[nodiscard]] static bool wait_until(std::chrono::seconds patience, Condition const& is_so) {
        auto const end = work_clock::now() + patience;
        while (!is_so()) {
            if (work_clock::now() > end) return false;
            std::this_thread::sleep_for(between_looks);
        }
        return true;
    }

    void tell_all(letter what) {
        for (std::size_t rank = 1; rank < ranks_.count(); ++rank) {
            what.rank = static_cast<int>(rank);
            if (presence_[rank] != presence::dead && !mail_.post(what))
                presence_[rank] = presence::dead;
        }
    }

    static void tell_user(std::size_t rank, char const* what) {
        std::fprintf(stderr, "warning: rank %zu %s\n", rank, what);
    }

    /// Who is ready, who is leaving.
    void note(letter const& l) {
        auto const rank = static_cast<std::size_t>(l.rank);
        if (l.about == subject::ready) loads_[rank].capacity = l.number;
        if (l.about == subject::leaving) presence_[rank] = presence::left;
    }

    void note_losses(request_board& board) {
        for (std::size_t rank = 1; rank < ranks_.count(); ++rank) {
            if (presence_[rank] == presence::here && ranks_.is_dead(rank)) {
                tell_user(rank, "has died; the others do its work");
                presence_[rank] = presence::dead;
            }
            if (presence_[rank] != presence::here) board.lose(rank);
        }
    }

    void hand_out(request_board& board, std::vector<std::string> const& requests,
                  worker_threads& own) {
        while (auto const request = board.next_for(0))
            own.start({round_, *request, requests[*request]});
        for (std::size_t rank = 1; rank < ranks_.count(); ++rank)
            while (auto const request = board.next_for(rank)) {
                if (mail_.post({static_cast<int>(rank), subject::request, *request, round_,
                                requests[*request]}))
                    continue;
                tell_user(rank, "cannot be reached; the others do its work");
                presence_[rank] = presence::dead;
                board.lose(rank);
            }
    }

    mpi_ranks const& ranks_;
    mailbox& mail_;
    std::vector<presence> presence_;
    std::vector<rank_load> loads_;
    std::uint64_t round_ = 0;
};

}  // namespace app
