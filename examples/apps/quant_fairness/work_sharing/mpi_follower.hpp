// SPDX-License-Identifier: Apache-2.0
//
// What does a rank other than the first do? It answers requests with its threads, and ends when the first rank
// lets it go or is no more, whatever its threads are at.
#pragma once

#include <unistd.h>

#include "mailbox.hpp"
#include "mpi_ranks.hpp"
#include "worker_threads.hpp"
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace app {

/// What main() tells the thread that reads the letters, on ranks other than the first.
struct intention {
    std::size_t threads = 0;
    answer_function const* answer = nullptr;  // to serve with
    std::optional<int> exit_code{};           // to leave with
};

/// What a rank other than the first does all its life.
class follower {
  public:
    follower(mpi_ranks const& ranks, mailbox& mail) : ranks_(ranks), mail_(mail) {}

    void tell(intention what) {
        std::lock_guard const lock(mutex_);
        told_ = what;
    }

    [[noreturn]] void run() {
        for (;;) {
            listen_to_main();
            while (auto const letter = mail_.next()) read(*letter);
            say_goodbye();
            if (ranks_.is_dead(0)) _exit(EXIT_FAILURE);
            if (!workers_)
                std::this_thread::sleep_for(10 * between_looks);
            else if (auto piece = workers_->finished(between_looks); piece && !exit_code_)
                report(std::move(*piece));
        }
    }

  private:
    void listen_to_main() {
        std::lock_guard const lock(mutex_);
        if (told_.answer != nullptr && !workers_) {
            workers_.emplace(told_.threads, *told_.answer);
            mail_.post({0, subject::ready, told_.threads});
        }
        if (told_.exit_code) leave(*told_.exit_code);
    }

    void read(letter const& l) {
        if (l.about == subject::request && workers_)
            workers_->start({l.round, l.number, l.text});
        else if (l.about == subject::leave)
            leave(EXIT_SUCCESS);
        else if (l.about == subject::end) {
            if (l.number != 0) MPI_Finalize();
            _exit(EXIT_SUCCESS);  // whatever this rank's threads are at
        }
    }

    /// Gives no answers from now on, and says so when the last one is on its way.
    void leave(int exit_code) {
        if (!exit_code_) exit_code_ = exit_code;
    }

    void say_goodbye() {
        if (!exit_code_ || has_said_goodbye_ || !mail_.is_all_sent()) return;
        mail_.post({0, subject::leaving, static_cast<std::uint64_t>(*exit_code_)});
        has_said_goodbye_ = true;
    }

    void report(piece_of_work piece) {
        auto const about = piece.failure ? subject::failure : subject::answer;
        if (about == subject::failure) piece.text.clear();
        mail_.post({0, about, piece.request, piece.round, std::move(piece.text)});
    }

    mpi_ranks const& ranks_;
    mailbox& mail_;
    std::mutex mutex_;
    intention told_;
    std::optional<worker_threads> workers_;
    std::optional<int> exit_code_;
    bool has_said_goodbye_ = false;
};

}  // namespace app
