// SPDX-License-Identifier: Apache-2.0
//
// Work is shared between the ranks that mpirun started. In each of them one thread of its own does all that
// has to do with MPI, from MPI_Init to MPI_Finalize, so that a rank reads its letters whatever it is at.
#include <qtk/kernel/parallel.hpp>

#include <fcntl.h>
#include <unistd.h>

#include "mailbox.hpp"
#include "mpi_follower.hpp"
#include "mpi_leader.hpp"
#include "mpi_ranks.hpp"
#include "work_sharing.hpp"
#if defined(_OPENMP)
#include <omp.h>
#endif

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace app {
namespace {

void fall_silent() {
    std::fflush(nullptr);
    int const nothing = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nothing, STDOUT_FILENO);
    ::dup2(nothing, STDERR_FILENO);
    ::close(nothing);
}

/// The thread of MPI and what it knows. It lives as long as the process.
class mpi_life {
  public:
    mpi_life() {
        std::thread([this] { live(); }).detach();
        has_joined_.get_future().get();
    }

    [[nodiscard]] mpi_ranks const& ranks() const { return *ranks_; }
    [[nodiscard]] leader& first() { return *leader_; }
    [[nodiscard]] follower& other() { return *follower_; }

    /// On the first rank: has the thread do it, and waits. Rethrows.
    void run(std::function<void()> const& what) {
        std::packaged_task<void()> task(what);
        std::future<void> done = task.get_future();
        {
            std::lock_guard const lock(mutex_);
            task_ = std::move(task);
        }
        there_is_a_task_.notify_one();
        done.get();
    }

  private:
    [[noreturn]] void live() {
        int level = 0;
        MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
        ranks_.emplace();
        mail_.emplace(ranks_->communicator());
        if (ranks_->rank() != 0) {
            follower_.emplace(*ranks_, *mail_);
            has_joined_.set_value();
            follower_->run();
        }
        leader_.emplace(*ranks_, *mail_);
        has_joined_.set_value();
        for (;;) {
            std::unique_lock lock(mutex_);
            there_is_a_task_.wait(lock, [this] { return task_.valid(); });
            auto task = std::move(task_);
            lock.unlock();
            task();
        }
    }

    std::optional<mpi_ranks> ranks_;
    std::optional<mailbox> mail_;
    std::optional<leader> leader_;
    std::optional<follower> follower_;
    std::promise<void> has_joined_;
    std::mutex mutex_;
    std::condition_variable there_is_a_task_;
    std::packaged_task<void()> task_;
};

mpi_life* life = nullptr;  // until join_ranks

[[noreturn]] void wait_for_the_end() {
    for (;;) ::pause();
}

}  // namespace

void join_ranks() {
    life = new mpi_life;
    if (!is_first_rank()) fall_silent();
#if defined(_OPENMP)
    if (std::getenv("OMP_NUM_THREADS") == nullptr) omp_set_num_threads(life->ranks().cores());
#endif
}

int leave_ranks(int exit_code) noexcept {
    if (life == nullptr) return exit_code;
    if (!is_first_rank()) {
        life->other().tell({.exit_code = exit_code});
        wait_for_the_end();
    }
    bool is_in_order = false;
    try {
        life->run([&] {
            is_in_order = life->first().say_goodbye();
            if (is_in_order) MPI_Finalize();
        });
    } catch (std::exception const& e) {
        std::fprintf(stderr, "warning: %s\n", e.what());
    }
    if (!is_in_order) {  // MPI_Finalize would wait for those that are not there
        std::fflush(nullptr);
        _exit(exit_code);
    }
    return exit_code;
}

std::size_t rank_count() noexcept {
    return life == nullptr ? 1 : life->ranks().count();
}

bool is_first_rank() noexcept {
    return life == nullptr || life->ranks().rank() == 0;
}

std::string describe_ranks() {
    if (rank_count() == 1) return {};
    std::size_t const threads = qtk::thread_count();
    return std::to_string(rank_count()) + " ranks, " + std::to_string(threads) +
           (threads == 1 ? " thread each" : " threads each");
}

void share_out(std::vector<std::string> const& requests, answer_function const& answer,
               answer_received const& received) {
    std::size_t const threads = qtk::thread_count();
    life->run([&] { life->first().share_out(requests, threads, answer, received); });
}

void serve(answer_function const& answer) {
    life->other().tell({.threads = qtk::thread_count(), .answer = &answer});
    wait_for_the_end();
}

}  // namespace app
