// SPDX-License-Identifier: Apache-2.0
//
// Will the file be whole? Bytes go to a temporary file in the same folder; only when all of them
// are on the disk does it take the target's name. After an error, a full disk, an exception or
// Ctrl-C the target is what it was before.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/descriptor.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>

namespace qtk {

namespace detail {

/// Names of temporary files that exist now, where a signal handler can find them: fixed memory, no
/// locks, no allocation. A file that finds no free slot is still removed by its destructor.
class unfinished_files {
  public:
    static constexpr std::size_t slots = 16, most_bytes = 4096;

    /// The slot that now holds `path`, or -1.
    int remember(std::string const& path) noexcept {
        if (path.size() >= most_bytes) return -1;
        for (std::size_t i = 0; i < slots; ++i) {
            int expected = is_free;
            if (!state_[i].compare_exchange_strong(expected, is_taken)) continue;
            std::memcpy(path_[i].data(), path.c_str(), path.size() + 1);
            state_[i].store(is_set);
            return static_cast<int>(i);
        }
        return -1;
    }
    void forget(int slot) noexcept {
        if (slot >= 0) state_[static_cast<std::size_t>(slot)].store(is_free);
    }
    void remove_all() noexcept {
        for (std::size_t i = 0; i < slots; ++i)
            if (state_[i].load() == is_set) ::unlink(path_[i].data());
    }

  private:
    static constexpr int is_free = 0, is_taken = 1, is_set = 2;
    std::array<std::atomic<int>, slots> state_{};
    std::array<std::array<char, most_bytes>, slots> path_{};
};
inline unfinished_files unfinished;

}  // namespace detail

/// Removes the temporary files of writers that are not finished. Safe to call from a signal handler
/// that then ends the process.
inline void remove_unfinished_files() noexcept {
    detail::unfinished.remove_all();
}

/// Writes one file from front to back. Nothing is visible under the target's name before commit().
class atomic_file {
  public:
    /// Opens a temporary file beside `target` and reserves `size` bytes of disk, so that a full
    /// disk shows before the work is done. Throws system_error.
    explicit atomic_file(std::filesystem::path const& target, std::uint64_t size = 0)
        : target_(target.string()) {
        std::filesystem::path const folder = target.has_parent_path() ? target.parent_path() : ".";
        folder_ = folder.string();
        temporary_ = (folder / ("." + target.filename().string() + ".XXXXXX")).string();
        file_ = detail::descriptor(::mkostemp(temporary_.data(), O_CLOEXEC));
        if (!file_.is_open())
            detail::throw_system_error(target_, "create a file in its folder", errno);
        slot_ = detail::unfinished.remember(temporary_);
        try {
            take_mode();
            if (size > 0) reserve(size);
        } catch (...) {
            discard();
            throw;
        }
    }
    atomic_file(atomic_file const&) = delete;
    atomic_file& operator=(atomic_file const&) = delete;
    ~atomic_file() { discard(); }

    /// Appends; throws system_error with the reason and the byte it stopped at.
    void write(std::span<std::byte const> bytes) {
        while (!bytes.empty()) {
            ::ssize_t const done =
                ::write(file_.get(), bytes.data(), std::min(bytes.size(), std::size_t{1} << 30));
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) fail("write byte " + std::to_string(written_));
            bytes = bytes.subspan(static_cast<std::size_t>(done));
            written_ += static_cast<std::uint64_t>(done);
        }
    }
    [[nodiscard]] std::uint64_t written() const noexcept { return written_; }

    /// Puts the bytes on the disk and gives the file its name, replacing what was there. Throws
    /// system_error.
    void commit() {
        if (::fsync(file_.get()) != 0) fail("put the file on the disk");
        if (::rename(temporary_.c_str(), target_.c_str()) != 0)
            fail("give the finished file its name");
        detail::unfinished.forget(slot_);
        slot_ = -1;
        temporary_.clear();
        // The name itself is on the disk when its folder is; some file systems cannot, and the file
        // is whole anyway.
        detail::descriptor const folder(
            ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (folder.is_open()) static_cast<void>(::fsync(folder.get()));
    }

  private:
    [[noreturn]] void fail(std::string const& action) const {
        int const code = errno;
        bool const is_full = code == ENOSPC || code == EDQUOT || code == EFBIG;
        detail::throw_system_error(target_, action, code,
                                   is_full ? "free some space; the old file is untouched" : "");
    }
    /// Who could read the old file can read the new one, and nobody else.
    void take_mode() const {
        struct stat old {};
        ::mode_t mode = 0;
        if (::stat(target_.c_str(), &old) == 0) {
            mode = old.st_mode & 07777;
        } else {
            ::mode_t const mask = ::umask(0);
            ::umask(mask);
            mode = 0666 & ~mask;
        }
        if (::fchmod(file_.get(), mode) != 0) fail("set the permissions");
    }
    void reserve(std::uint64_t size) const {
        int const code = ::posix_fallocate(file_.get(), 0, static_cast<::off_t>(size));
        if (code == 0 || code == EOPNOTSUPP || code == EINVAL) return;  // not every file system can
        errno = code;
        fail("reserve " + std::to_string(size) + " bytes");
    }
    void discard() noexcept {
        if (temporary_.empty()) return;
        ::unlink(temporary_.c_str());
        detail::unfinished.forget(slot_);
        temporary_.clear();
    }

    std::string target_, folder_, temporary_;
    detail::descriptor file_;
    std::uint64_t written_ = 0;
    int slot_ = -1;
};

}  // namespace qtk
