// SPDX-License-Identifier: Apache-2.0
//
// Which ranks are there, on which machines, and are they alive? MPI by itself tells nothing of a rank that
// died; the processes of one machine see each other.
#pragma once

#include <sched.h>
#include <unistd.h>

#include "mailbox.hpp"
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <vector>

namespace app {

class mpi_ranks {
  public:
    /// Of the thread that alone calls MPI. Every rank makes one at the same time.
    mpi_ranks() {
        MPI_Comm_dup(MPI_COMM_WORLD, &all_);
        MPI_Comm_set_errhandler(all_, MPI_ERRORS_RETURN);
        MPI_Comm_rank(all_, &rank_);
        int count = 0;
        MPI_Comm_size(all_, &count);
        MPI_Comm here = MPI_COMM_NULL;
        MPI_Comm_split_type(all_, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
        find_processes(here, static_cast<std::size_t>(count));
        find_cores(here);
        MPI_Comm_free(&here);
    }

    [[nodiscard]] MPI_Comm communicator() const noexcept { return all_; }
    [[nodiscard]] int rank() const noexcept { return rank_; }
    [[nodiscard]] std::size_t count() const noexcept { return processes_.size(); }
    /// This rank's part of the cores that the ranks of its machine may use.
    [[nodiscard]] int cores() const noexcept { return cores_; }

    /// Certainly so: of a rank on another machine nobody knows.
    [[nodiscard]] bool is_dead(std::size_t rank) const {
        return processes_[rank] != 0 && !is_process(processes_[rank]);
    }

  private:
    [[nodiscard]] static bool is_process(int id) { return ::kill(id, 0) == 0 || errno != ESRCH; }

    void find_processes(MPI_Comm here, std::size_t count) {
        struct place {
            int machine = 0, process = 0;
        };
        place mine{rank_, static_cast<int>(::getpid())};
        MPI_Bcast(&mine.machine, 1, MPI_INT, 0, here);
        std::vector<place> places(count);
        MPI_Allgather(&mine, 2, MPI_INT, places.data(), 2, MPI_INT, all_);
        for (place const& p : places)
            processes_.push_back(p.machine == mine.machine && is_process(p.process) ? p.process
                                                                                    : 0);
        // Nobody goes on, or dies, before everybody has looked.
        MPI_Barrier(all_);
    }

    void find_cores(MPI_Comm here) {
        cpu_set_t mine, together;
        CPU_ZERO(&mine);
        CPU_ZERO(&together);
        ::sched_getaffinity(0, sizeof mine, &mine);
        MPI_Allreduce(&mine, &together, sizeof mine, MPI_BYTE, MPI_BOR, here);
        int ranks = 1;
        MPI_Comm_size(here, &ranks);
        cores_ = std::max(1, std::min(CPU_COUNT(&mine), CPU_COUNT(&together) / ranks));
    }

    MPI_Comm all_ = MPI_COMM_NULL;
    int rank_ = 0, cores_ = 1;
    std::vector<int> processes_;  // by rank; 0: on another machine
};

}  // namespace app
