// SPDX-License-Identifier: Apache-2.0
//
// Work that is shared twice in a row, with ranks that die, hang, throw or end early. Arguments are name=value:
//   requests=40 milliseconds=5   of processor time a request
//   kill=R hang=R late=R         what rank R does at its piece number at=1; late: until the second round
//   throw=R                      what rank R does at the pieces before that one
//   marks=FOLDER wait=1,2        nobody goes on at that piece, and the first rank at any, before those ranks
//                                have begun theirs
//   refuse=I                     every rank throws at request I: exit code 7
//   full=I                       the first rank cannot receive answer I: exit code 8
//   end=R code=C                 rank R, or all, ends with C before the work begins
// One word: built-with prints what shares the work, mpi or threads; board checks who gets what.
#include <unistd.h>

#include "request_board.hpp"
#include "work_sharing.hpp"
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct refused : std::exception {};
struct full : std::exception {};

std::map<std::string, std::string> options;

std::string option(char const* name, std::string const& otherwise) {
    auto const at = options.find(name);
    return at == options.end() ? otherwise : at->second;
}

std::size_t number(char const* name, std::size_t otherwise) {
    return std::stoul(option(name, std::to_string(otherwise)));
}

/// Of Open MPI, for what a test needs and the interface does not give.
std::string own_rank() {
    char const* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
    return rank == nullptr ? "0" : rank;
}

bool is_own(char const* what) {
    std::string const rank = option(what, "");
    return rank == own_rank() || rank == "all";
}

double processor_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void spin(double milliseconds) {
    double const end = processor_seconds() + 1e-3 * milliseconds;
    while (processor_seconds() < end) {
    }
}

void mark(std::string const& what) {
    if (!option("marks", "").empty()) std::ofstream(option("marks", "") + "/" + what);
}

void wait_for(std::string const& what) {
    while (!std::filesystem::exists(option("marks", "") + "/" + what)) usleep(2000);
}

void wait_for_ranks() {
    std::istringstream ranks(option("wait", ""));
    for (std::string rank; std::getline(ranks, rank, ',');) wait_for(rank);
}

void misbehave() {
    static std::atomic<std::size_t> pieces{0};
    std::size_t const piece = ++pieces, at = number("at", 1);
    if (piece < at && is_own("throw")) throw std::runtime_error("a fault of this rank");
    if (piece == at) {
        mark(own_rank());
        if (is_own("kill")) std::raise(SIGKILL);
        while (is_own("hang")) pause();
        if (is_own("late")) wait_for("second");
    }
    if (piece == at || app::is_first_rank()) wait_for_ranks();
}

/// The request backwards, and who answered.
std::string answer(std::string const& request) {
    misbehave();
    if (request.starts_with("refuse")) throw refused();
    spin(static_cast<double>(number("milliseconds", 5)));
    return own_rank() + ":" + std::string(request.rbegin(), request.rend());
}

/// Of all lengths: empty, and longer than what MPI sends at once.
std::vector<std::string> make_requests(std::size_t round) {
    std::vector<std::string> requests(number("requests", 40));
    for (std::size_t i = 1; i < requests.size(); ++i) {
        requests[i] = i == number("refuse", 0) ? "refuse" : std::to_string(100 * round + i);
        requests[i].resize(requests[i].size() + (i % 10 == 3 ? 3'000'000 : 50 * i), '.');
    }
    return requests;
}

std::uint64_t fnv(std::string const& text) {
    std::uint64_t h = 0xcbf29ce484222325;
    for (char const c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return h;
}

void share(std::size_t round) {
    auto const requests = make_requests(round);
    std::vector<std::string> answers(requests.size());
    std::map<std::string, int> by_rank;
    std::size_t twice = 0;
    app::share_out(requests, answer, [&](std::size_t i, std::string const& text) {
        if (i == number("full", requests.size())) throw full();
        auto const colon = text.find(':');
        ++by_rank[text.substr(0, colon)];
        twice += answers[i].empty() ? 0U : 1U;
        answers[i] = text.substr(colon);
    });
    std::string all;
    for (std::string const& text : answers) all += text;
    std::printf("round %zu: %016llx twice %zu by", round, static_cast<unsigned long long>(fnv(all)),
                twice);
    for (auto const& [rank, count] : by_rank) std::printf(" %s:%d", rank.c_str(), count);
    std::printf("\n");
}

/// Who gets which request, and which answer counts.
bool is_board_right() {
    std::vector<app::rank_load> ranks{{.capacity = 1}, {.capacity = 2}, {.capacity = 0}};
    std::size_t wrong = 0;
    auto const expect = [&](bool is_so) { wrong += is_so ? 0U : 1U; };
    {
        app::request_board board(ranks, 1, 4);
        expect(board.next_for(0) == 0U && !board.next_for(0));
        expect(board.next_for(1) == 1U && board.next_for(1) == 2U && !board.next_for(1));
        expect(!board.next_for(2));
        expect(board.settle(0, 1, 0) && !board.settle(1, 1, 0));
        board.refuse(1, 1, 1);  // the first rank does it, and before what nobody had
        expect(board.next_for(1) == 3U && board.next_for(0) == 1U);
        board.lose(1);  // gives back 2 and 3
        ranks[2].capacity = 3;
        expect(board.next_for(2) == 3U && board.next_for(2) == 2U && !board.next_for(1));
        expect(board.settle(1, 1, 3) && !board.settle(2, 1, 3));  // sent before it died
        expect(board.settle(2, 1, 2) && !board.is_done());
        expect(board.settle(0, 1, 1) && board.is_done());
    }
    ranks[2].held = {{.round = 1, .request = 1}};
    app::request_board next(ranks, 2, 2);
    expect(!next.next_for(2) && !next.settle(2, 1, 1) && next.next_for(2) == 0U);
    return wrong == 0;
}

int run() try {
    if (is_own("end")) {
        std::fprintf(stderr, "error: asked to end\n");
        return static_cast<int>(number("code", 0));
    }
    if (!app::is_first_rank()) {
        std::printf("nobody sees this\n");
        std::fprintf(stderr, "nor this\n");
        app::serve(answer);
    }
    std::printf("%s\n", app::rank_count() == 1 ? "alone" : app::describe_ranks().c_str());
    share(1);
    mark("second");
    share(2);
    return 0;
} catch (refused const&) {
    return 7;
} catch (full const&) {
    return 8;
} catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    for (std::string const& word : std::vector<std::string>(argv + 1, argv + argc)) {
        if (word == "built-with") {
#if defined(QTK_WITH_MPI)
            std::puts("mpi");
#else
            std::puts("threads");
#endif
            return 0;
        }
        if (word == "board") return is_board_right() ? 0 : 1;
        options[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    }
    app::join_ranks();
    return app::leave_ranks(run());
}
