// SPDX-License-Identifier: Apache-2.0
//
// How do ranks write to each other without ever waiting for one that may have died? Nothing here blocks:
// letters to be sent and to be received keep their memory until MPI is done with them, be it never.
#pragma once

// The C++ bindings of MPI 2 are gone from the standard.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <chrono>
#include <climits>
#include <cstdint>
#include <cstring>
#include <list>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace app {

/// How long a letter may lie: pieces of work take much longer, and a look costs some microseconds.
inline constexpr std::chrono::microseconds between_looks{500};

enum class subject : int {
    ready = 1,  ///< to the first rank; number: pieces of work at a time
    request,    ///< from the first rank; number: which
    answer,     ///< to the first rank
    failure,    ///< to the first rank, instead of an answer
    leave,      ///< from the first rank: no requests any more
    leaving,    ///< to the first rank: no answers any more; number: exit code
    end         ///< from the first rank; number: 1 if all ranks are there
};

struct letter {
    int rank = 0;  ///< To or from whom.
    subject about{};
    std::uint64_t number = 0;
    std::uint64_t round = 0;
    std::string text{};
};

class mailbox {
  public:
    explicit mailbox(MPI_Comm ranks) : ranks_(ranks) {}

    /// False if MPI knows that the rank cannot be reached. Throws std::length_error from 2 GiB on.
    bool post(letter const& mail) {
        std::uint64_t const head[] = {mail.number, mail.round};
        if (mail.text.size() > INT_MAX - sizeof head)
            throw std::length_error("ranks send each other no more than 2 GiB at once");
        parcel& p = outgoing_.emplace_back();
        p.bytes.resize(sizeof head + mail.text.size());
        std::memcpy(p.bytes.data(), head, sizeof head);
        mail.text.copy(p.bytes.data() + sizeof head, mail.text.size());
        bool const is_sent =
            MPI_Isend(p.bytes.data(), static_cast<int>(p.bytes.size()), MPI_BYTE, mail.rank,
                      static_cast<int>(mail.about), ranks_, &p.request) == MPI_SUCCESS;
        if (!is_sent) outgoing_.pop_back();
        return is_sent;
    }

    /// A letter that has come; none: not yet.
    [[nodiscard]] std::optional<letter> next() {
        static_cast<void>(is_all_sent());
        receive_what_comes();
        for (auto p = incoming_.begin(); p != incoming_.end(); ++p) {
            int is_there = 0;
            if (MPI_Test(&p->request, &is_there, MPI_STATUS_IGNORE) != MPI_SUCCESS) {
                incoming_.erase(p);
                break;
            }
            if (is_there == 0) continue;
            letter mail{p->rank, p->about};
            std::memcpy(&mail.number, p->bytes.data(), sizeof mail.number);
            std::memcpy(&mail.round, p->bytes.data() + sizeof mail.number, sizeof mail.round);
            mail.text = p->bytes.substr(sizeof mail.number + sizeof mail.round);
            incoming_.erase(p);
            return mail;
        }
        return {};
    }

    [[nodiscard]] bool is_all_sent() {
        std::erase_if(outgoing_, [](parcel& p) {
            int is_sent = 0;
            return MPI_Test(&p.request, &is_sent, MPI_STATUS_IGNORE) != MPI_SUCCESS || is_sent != 0;
        });
        return outgoing_.empty();
    }

  private:
    /// Its address stays while MPI uses it.
    struct parcel {
        int rank = 0;
        subject about{};
        std::string bytes{};
        MPI_Request request = MPI_REQUEST_NULL;
    };

    void receive_what_comes() {
        for (;;) {
            int is_there = 0, size = 0;
            MPI_Status status;
            if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, ranks_, &is_there, &status) !=
                    MPI_SUCCESS ||
                is_there == 0)
                return;
            MPI_Get_count(&status, MPI_BYTE, &size);
            parcel& p = incoming_.emplace_back();
            p.rank = status.MPI_SOURCE;
            p.about = subject{status.MPI_TAG};
            p.bytes.resize(static_cast<std::size_t>(size));
            // Not MPI_Recv: the sender of a long letter may die in the middle of it.
            if (MPI_Irecv(p.bytes.data(), size, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, ranks_,
                          &p.request) != MPI_SUCCESS)
                incoming_.pop_back();
        }
    }

    MPI_Comm ranks_;
    std::list<parcel> outgoing_, incoming_;
};

}  // namespace app
