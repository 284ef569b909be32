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
#if defined(__linux__)
#include <sys/syscall.h>
#endif

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
#include <system_error>

namespace qtk {

namespace detail {

/// Removes a folder and the files in it; no locks, no allocation. Linux alone can list a folder so: elsewhere it
/// stays for the next writer of its target to remove.
inline void remove_flat_folder(char const* path) noexcept {
#if defined(__linux__)
    descriptor const folder(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!folder.is_open()) return;
    // getdents64(2): the length of a record lies at byte 16, the name at byte 19.
    constexpr std::size_t length_at = 16, name_at = 19;
    std::array<char, 4096> records;
    for (bool is_any = true; is_any;) {
        is_any = false;
        ::lseek(folder.get(), 0, SEEK_SET);
        long count = 0;
        while ((count = ::syscall(SYS_getdents64, folder.get(), records.data(), records.size())) >
               0)
            for (std::size_t at = 0; at < static_cast<std::size_t>(count);) {
                std::uint16_t length = 0;
                std::memcpy(&length, records.data() + at + length_at, sizeof length);
                is_any = ::unlinkat(folder.get(), records.data() + at + name_at, 0) == 0 || is_any;
                at += length;
            }
    }
    ::rmdir(path);
#else
    static_cast<void>(path);
#endif
}

/// Names of temporary files and folders that exist now, where a signal handler can find them: fixed memory, no
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
            if (state_[i].load() == is_set && ::unlink(path_[i].data()) != 0)
                remove_flat_folder(path_[i].data());
    }

  private:
    static constexpr int is_free = 0, is_taken = 1, is_set = 2;
    std::array<std::atomic<int>, slots> state_{};
    std::array<std::array<char, most_bytes>, slots> path_{};
};
inline unfinished_files unfinished;

}  // namespace detail

/// Removes the temporary files and folders of writers that are not finished. Safe to call from a signal handler
/// that then ends the process.
inline void remove_unfinished_files() noexcept {
    detail::unfinished.remove_all();
}

/// Writes one file from front to back. Nothing is visible under the target's name before commit().
class atomic_file {
  public:
    /// Opens a temporary file beside `target`, or beside what it is a link to, and reserves `size` bytes of
    /// disk, so that a full disk shows before the work is done. Throws system_error, io_error for a target that
    /// is no file: a device would lose its name to one.
    explicit atomic_file(std::filesystem::path const& target, std::uint64_t size = 0) {
        std::filesystem::path const file = followed(target);
        target_ = file.string();
        std::filesystem::path const folder = file.has_parent_path() ? file.parent_path() : ".";
        folder_ = folder.string();
        temporary_ = (folder / ("." + file.filename().string() + ".XXXXXX")).string();
        file_ = detail::descriptor(::mkostemp(temporary_.data(), O_CLOEXEC));
        if (!file_.is_open())
            detail::throw_write_error(target_, "create a file in its folder", errno);
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

    /// Throws what the constructor would throw for a target that cannot be written, and writes nothing: for
    /// programs that would find out after hours of work.
    static void require_possible(std::filesystem::path const& target) {
        std::filesystem::path const file = followed(target);
        std::string const folder = file.has_parent_path() ? file.parent_path().string() : ".";
        if (::access(folder.c_str(), W_OK | X_OK) != 0)
            detail::throw_write_error(file.string(), "create a file in its folder", errno);
    }

  private:
    /// Where the bytes will lie.
    [[nodiscard]] static std::filesystem::path followed(std::filesystem::path const& target) {
        // What is there comes first: behind a link such as /dev/stdout may lie what has no path.
        struct stat old {};
        if (::stat(target.c_str(), &old) == 0 && !S_ISREG(old.st_mode)) {
            if (S_ISDIR(old.st_mode))
                throw io_error(target.string(),
                               "this is a folder, but the name of a file is needed");
            throw io_error(target.string(),
                           "this is a device or a pipe, and a file would take its place");
        }
        std::error_code ignored, failure;
        std::filesystem::path file = target;
        if (std::filesystem::is_symlink(target, ignored))
            file = std::filesystem::weakly_canonical(target, failure);
        if (failure) detail::throw_write_error(target.string(), "follow the link", failure.value());
        return file;
    }
    [[noreturn]] void fail(std::string const& action) const {
        int const code = errno;
        bool const is_full = code == ENOSPC || code == EDQUOT || code == EFBIG;
        detail::throw_write_error(target_, action, code,
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
