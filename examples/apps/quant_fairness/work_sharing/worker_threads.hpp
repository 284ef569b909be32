// SPDX-License-Identifier: Apache-2.0
//
// How does a thread that must not wait long get work done? Others do it, and it collects what they have
// finished. OpenMP gives each of them one thread.
#pragma once

#if defined(_OPENMP)
#include <omp.h>
#endif

#include "work_sharing.hpp"
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace app {

struct piece_of_work {
    std::uint64_t round = 0;  ///< share_outs before this one
    std::size_t request = 0;
    std::string text;  ///< The request, then the answer.
    std::exception_ptr failure{};
};

class worker_threads {
  public:
    /// `answer` outlives the threads. The destructor waits for what is being done and drops the rest.
    worker_threads(std::size_t count, answer_function const& answer) : answer_(&answer) {
        for (std::size_t i = 0; i < count; ++i)
            threads_.emplace_back([this](std::stop_token const& end) { work(end); });
    }
    worker_threads(worker_threads const&) = delete;
    worker_threads& operator=(worker_threads const&) = delete;
    ~worker_threads() {
        for (std::jthread& thread : threads_) thread.request_stop();
    }

    void start(piece_of_work piece) {
        std::lock_guard const lock(mutex_);
        todo_.push_back(std::move(piece));
        something_to_do_.notify_one();
    }

    /// The next piece that was finished; nothing if none is within `patience`.
    [[nodiscard]] std::optional<piece_of_work> finished(std::chrono::microseconds patience) {
        std::unique_lock lock(mutex_);
        if (!something_done_.wait_for(lock, patience, [this] { return !done_.empty(); })) return {};
        piece_of_work piece = std::move(done_.front());
        done_.pop_front();
        return piece;
    }

  private:
    void work(std::stop_token const& end) {
#if defined(_OPENMP)
        omp_set_num_threads(1);  // of this thread alone
#endif
        std::unique_lock lock(mutex_);
        while (something_to_do_.wait(lock, end, [this] { return !todo_.empty(); }) &&
               !end.stop_requested()) {
            piece_of_work piece = std::move(todo_.front());
            todo_.pop_front();
            lock.unlock();
            try {
                piece.text = (*answer_)(piece.text);
            } catch (...) {
                piece.failure = std::current_exception();
            }
            lock.lock();
            done_.push_back(std::move(piece));
            something_done_.notify_one();
        }
    }

    answer_function const* answer_;
    std::mutex mutex_;
    std::condition_variable_any something_to_do_;
    std::condition_variable something_done_;
    std::deque<piece_of_work> todo_, done_;
    std::vector<std::jthread> threads_;  // last, so that they end before what they use
};

}  // namespace app
