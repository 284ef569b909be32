// SPDX-License-Identifier: Apache-2.0
//
// How is a file written in hours that may be cut short? In pieces at their places, into .NAME.qtk-part
// beside the target; only when the file is whole and on the disk does it take the target's name. What a
// killed process leaves is that part file, which the next one may go on with (write_journal.hpp).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/descriptor.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace qtk {

/// Where the unfinished `target` lies.
[[nodiscard]] inline std::filesystem::path part_path(std::filesystem::path const& target) {
    return target.parent_path() / ("." + target.filename().string() + ".qtk-part");
}

/// One file of a known size, written at offsets. Bytes that nobody writes are zero.
class staged_file {
  public:
    /// fresh: the part file must not be there yet. resumed: it must, with the size that it is to have.
    enum class start { fresh, resumed };

    /// Opens the part file, locks it and reserves its `size` bytes, so that a full disk shows before the
    /// work is done. Throws system_error, io_error for a part file of another size.
    staged_file(std::filesystem::path const& target, std::uint64_t size, start how = start::fresh)
        : target_(target.string()), part_(part_path(target).string()), size_(size) {
        int const create = how == start::fresh ? O_CREAT | O_EXCL : 0;
        file_ = detail::descriptor(
            ::open(part_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | create, 0600));
        if (!file_.is_open()) detail::throw_write_error(part_, "open the part file", errno);
        if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0)
            detail::throw_write_error(part_, "lock the part file", errno,
                                      "another process is writing it");
        try {
            if (how == start::fresh)
                reserve();
            else
                require_size();
        } catch (...) {
            if (how == start::fresh) ::unlink(part_.c_str());
            throw;
        }
    }
    /// The part file stays, unless commit() or discard() was called.
    ~staged_file() = default;
    staged_file(staged_file&&) noexcept = default;
    staged_file& operator=(staged_file&&) noexcept = default;

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

    /// Writes at a place within the file. Throws system_error with the reason, value_error for a place
    /// outside.
    void write(std::uint64_t offset, std::span<std::byte const> bytes) {
        require_inside(offset, bytes.size());
        while (!bytes.empty()) {
            ::ssize_t const done =
                ::pwrite(file_.get(), bytes.data(), std::min(bytes.size(), largest_step),
                         static_cast<::off_t>(offset));
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) fail("write byte " + std::to_string(offset));
            bytes = bytes.subspan(static_cast<std::size_t>(done));
            offset += static_cast<std::uint64_t>(done);
        }
    }
    /// Reads back what lies there. Throws system_error, value_error for a place outside.
    void read(std::uint64_t offset, std::span<std::byte> to) const {
        require_inside(offset, to.size());
        while (!to.empty()) {
            ::ssize_t const done =
                ::pread(file_.get(), to.data(), std::min(to.size(), largest_step),
                        static_cast<::off_t>(offset));
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) fail("read byte " + std::to_string(offset));
            if (done == 0)
                throw io_error(part_, "the file was cut short by another program", offset);
            to = to.subspan(static_cast<std::size_t>(done));
            offset += static_cast<std::uint64_t>(done);
        }
    }

    /// Puts every byte on the disk; the file is still under its own name.
    void sync() {
        if (::fsync(file_.get()) != 0) fail("put the file on the disk");
    }
    /// The target is this file from now on, with the permissions of the file that it replaces. Throws
    /// system_error.
    void commit() {
        take_mode();
        sync();
        if (::rename(part_.c_str(), target_.c_str()) != 0) fail("give the finished file its name");
        std::filesystem::path const parent = std::filesystem::path(target_).parent_path();
        std::string const folder_name = parent.empty() ? "." : parent.string();
        detail::descriptor const folder(
            ::open(folder_name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        // Some file systems cannot, and the file is whole anyway.
        if (folder.is_open()) static_cast<void>(::fsync(folder.get()));
    }
    /// Removes what another run left of `target`, if anything. Throws system_error where that run is
    /// still at work.
    static void discard_left(std::filesystem::path const& target) {
        std::string const part = part_path(target).string();
        detail::descriptor const file(::open(part.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
        if (file.is_open() && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
            detail::throw_write_error(part, "lock the part file", errno,
                                      "another process is writing it");
        ::unlink(part.c_str());
    }
    /// Removes the part file.
    void discard() noexcept { ::unlink(part_.c_str()); }

  private:
    static constexpr std::size_t largest_step = std::size_t{1} << 30;

    [[noreturn]] void fail(std::string const& action) const {
        int const code = errno;
        bool const is_full = code == ENOSPC || code == EDQUOT || code == EFBIG;
        detail::throw_write_error(target_, action, code,
                                  is_full ? "free some space; the old file is untouched" : "");
    }
    void require_inside(std::uint64_t offset, std::uint64_t bytes) const {
        if (offset > size_ || bytes > size_ - offset)
            throw value_error(part_ + ": " + std::to_string(bytes) + " bytes at " +
                              std::to_string(offset) + " are outside of a file of " +
                              std::to_string(size_));
    }
    void reserve() {
        int const code = ::posix_fallocate(file_.get(), 0, static_cast<::off_t>(size_));
        if (code != 0 && code != EOPNOTSUPP && code != EINVAL) {
            errno = code;
            fail("reserve " + std::to_string(size_) + " bytes");
        }
        if (::ftruncate(file_.get(), static_cast<::off_t>(size_)) != 0)
            fail("reserve " + std::to_string(size_) + " bytes");
    }
    void require_size() const {
        struct stat status {};
        if (::fstat(file_.get(), &status) != 0)
            detail::throw_write_error(part_, "examine the part file", errno);
        if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != size_)
            throw io_error(part_, "expected " + std::to_string(size_) + " bytes, found " +
                                      std::to_string(status.st_size));
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

    std::string target_, part_;
    std::uint64_t size_ = 0;
    detail::descriptor file_;
};

}  // namespace qtk
