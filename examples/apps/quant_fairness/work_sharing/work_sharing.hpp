// SPDX-License-Identifier: Apache-2.0
//
// Who does which piece of work? One process does all with its threads; ranks that mpirun started (a build
// with QTK_WITH_MPI) take pieces from the first one as they get free. Every rank runs the same program with
// the same arguments; the first one runs commands and writes what comes of them, the others answer its
// requests. An answer depends on the request alone, so that it does not matter who gives it.
//
//     mpirun -n 4 --bind-to none quant-fairness ...
//
// By itself mpirun ends all ranks when one dies. Open MPI 4.1 lets the others go on with
//
//     mpirun --enable-recovery -n 4 --bind-to none quant-fairness ...
//
// and then exits with 0, whatever the program says. With the code of the first rank, and with its end, ends
//
//     mpirun --mca orte_allowed_exit_without_sync 1 -n 4 --bind-to none sh -c
//         '"$@" || { code=$?; test $OMPI_COMM_WORLD_RANK != 0 || exit $code; }' sh quant-fairness ...
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace app {

/// Does one piece of work; called from several threads at once, and OpenMP is to give each of them one
/// thread. What it throws ends the command.
using answer_function = std::function<std::string(std::string const& request)>;
/// Told of every answer as soon as it is there, once; called from one thread at a time, which need not be
/// the caller's. What it throws ends the command.
using answer_received = std::function<void(std::size_t request, std::string const& answer)>;

/// Early in main(): joins the ranks that mpirun started; nothing where there is one process.
/// Ranks other than the first fall silent, and without --threads or OMP_NUM_THREADS a rank takes its part of
/// the machine's cores.
void join_ranks();
/// Last in main(), also after an error: lets the other ranks go, whether or not all of them are still there.
/// Gives back the exit code; ends the process with it where a rank has died, and with 0 on the other ranks.
[[nodiscard]] int leave_ranks(int exit_code) noexcept;

[[nodiscard]] std::size_t rank_count() noexcept;
[[nodiscard]] bool is_first_rank() noexcept;
/// E.g. "4 ranks, 2 threads each"; empty where there is one process.
[[nodiscard]] std::string describe_ranks();

/// On the first rank: gets every request answered, by itself and by the others. A rank that dies or gets
/// stuck costs what it was at; of one that died stderr tells. Throws what `answer` throws here; where it
/// throws on another rank, the first one does that piece itself.
void share_out(std::vector<std::string> const& requests, answer_function const& answer,
               answer_received const& received);
/// On the others: answers requests until the first rank leaves, which ends the process.
void serve(answer_function const& answer);

}  // namespace app
