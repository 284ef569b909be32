// SPDX-License-Identifier: Apache-2.0
//
// Where are the bytes of this file? Mapped into memory, so that a model larger than RAM can be
// walked through, or read into a buffer. A mapped file that another program cuts short ends the
// process with SIGBUS: read files from untrusted users and from network file systems instead.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/descriptor.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace qtk {

enum class io_mode { mmap, read };

/// The whole content of a regular file, read-only, for as long as this object lives.
class mapped_file {
  public:
    /// Opens a regular file of at most `most_bytes` bytes. Throws system_error where the system
    /// refuses, io_error where it is no regular file, too large, or changes its size meanwhile.
    [[nodiscard]] static mapped_file open(
        std::filesystem::path const& path, io_mode mode = io_mode::mmap,
        std::uint64_t most_bytes = std::numeric_limits<std::uint64_t>::max()) {
        mapped_file file;
        file.path_ = path.string();
        // Without O_NONBLOCK the open of a FIFO would wait for its writer.
        detail::descriptor const source(
            ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        if (!source.is_open()) detail::throw_system_error(file.path_, "open the file", errno);
        std::uint64_t const size = file.regular_size(source);
        if (size > most_bytes || size > std::numeric_limits<std::size_t>::max())
            throw io_error(file.path_, "the file has " + std::to_string(size) +
                                           " bytes but at most " + std::to_string(most_bytes) +
                                           " are allowed here");
        file.size_ = static_cast<std::size_t>(size);
        if (file.size_ > 0) {
            if (mode == io_mode::mmap)
                file.map(source);
            else
                file.read(source);
        }
        if (std::uint64_t const now = file.regular_size(source); now != size)
            throw io_error(file.path_, file.changed(now));
        return file;
    }

    mapped_file(mapped_file&& other) noexcept
        : path_(std::move(other.path_)),
          mapping_(std::exchange(other.mapping_, nullptr)),
          buffer_(std::move(other.buffer_)),
          size_(std::exchange(other.size_, 0)) {}
    mapped_file& operator=(mapped_file&& other) noexcept {
        std::swap(path_, other.path_);
        std::swap(mapping_, other.mapping_);
        std::swap(buffer_, other.buffer_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~mapped_file() {
        if (mapping_ != nullptr) ::munmap(mapping_, size_);
    }

    [[nodiscard]] std::span<std::byte const> bytes() const noexcept {
        auto const* const start =
            mapping_ != nullptr ? static_cast<std::byte const*>(mapping_) : buffer_.get();
        return {start, size_};
    }
    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<char const*>(bytes().data()), size_};
    }
    [[nodiscard]] std::string const& path() const noexcept { return path_; }

    /// Lets the system take back the memory behind `part`; its content can still be read. Keeps the
    /// resident size small while a file larger than RAM is walked through. No effect in read mode and on
    /// bytes of something else.
    void release(std::span<std::byte const> part) const noexcept {
        std::less<std::byte const*> const before;
        if (mapping_ == nullptr || before(part.data(), bytes().data()) ||
            before(bytes().data() + size_, part.data() + part.size()))
            return;
        auto const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        // Only whole pages inside the part: neighbours may be in use.
        auto const start = static_cast<std::size_t>(part.data() - bytes().data());
        std::size_t const first = (start + page - 1) / page * page;
        std::size_t const last = (start + part.size()) / page * page;
        if (first < last)
            ::madvise(static_cast<std::byte*>(mapping_) + first, last - first, MADV_DONTNEED);
    }

  private:
    mapped_file() = default;

    [[nodiscard]] std::uint64_t regular_size(detail::descriptor const& source) const {
        struct stat status {};
        if (::fstat(source.get(), &status) != 0)
            detail::throw_system_error(path_, "examine the file", errno);
        if (S_ISDIR(status.st_mode))
            throw io_error(path_, "this is a folder, but a file is needed");
        if (!S_ISREG(status.st_mode))
            throw io_error(path_, "this is a device or a pipe, but a regular file is needed");
        return static_cast<std::uint64_t>(status.st_size);
    }

    void map(detail::descriptor const& source) {
        void* const start = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, source.get(), 0);
        if (start == MAP_FAILED)
            detail::throw_system_error(path_, "map the file into memory", errno,
                                       "read it instead of mapping it");
        mapping_ = start;
        ::madvise(mapping_, size_, MADV_SEQUENTIAL);
    }

    void read(detail::descriptor const& source) {
        buffer_ = std::make_unique_for_overwrite<std::byte[]>(size_);
        std::size_t done = 0;
        while (done < size_) {
            // Linux moves at most 2 GiB a call; smaller steps also react to signals.
            std::size_t const step = std::min(size_ - done, std::size_t{1} << 30);
            ::ssize_t const got =
                ::pread(source.get(), buffer_.get() + done, step, static_cast<::off_t>(done));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) detail::throw_system_error(path_, "read the file", errno);
            if (got == 0) throw io_error(path_, changed(done), done);
            done += static_cast<std::size_t>(got);
        }
    }

    [[nodiscard]] std::string changed(std::uint64_t now) const {
        return "the file had " + std::to_string(size_) + " bytes when it was opened and has " +
               std::to_string(now) + " now; another program is writing to it";
    }

    std::string path_;
    void* mapping_ = nullptr;
    std::unique_ptr<std::byte[]> buffer_;
    std::size_t size_ = 0;
};

}  // namespace qtk
