// SPDX-License-Identifier: Apache-2.0
//
// All work is done by the threads of one process.
#include <qtk/kernel/parallel.hpp>

#include "work_sharing.hpp"
#include <algorithm>
#include <atomic>
#include <mutex>

namespace app {

void join_ranks() {}

int leave_ranks(int exit_code) noexcept {
    return exit_code;
}

std::size_t rank_count() noexcept {
    return 1;
}

bool is_first_rank() noexcept {
    return true;
}

std::string describe_ranks() {
    return {};
}

void share_out(std::vector<std::string> const& requests, answer_function const& answer,
               answer_received const& received) {
    std::mutex telling;
    std::atomic<std::size_t> next{0};
    // A thread takes the next request when it gets free: they differ in length.
    std::size_t const takers = std::min(requests.size(), qtk::thread_count());
    constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
    qtk::parallel_for(takers, always_worth_threads, [&](std::size_t) {
        try {
            for (std::size_t i = 0; (i = next++) < requests.size();) {
                std::string const text = answer(requests[i]);
                std::lock_guard const lock(telling);
                received(i, text);
            }
        } catch (...) {
            next = requests.size();  // the others finish what they are at
            throw;
        }
    });
}

void serve(answer_function const&) {}

}  // namespace app
