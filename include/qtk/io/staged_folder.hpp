// SPDX-License-Identifier: Apache-2.0
//
// When does a folder of several files become visible? All at once: its files are written into
// .NAME.qtk-part beside the target, which takes the target's name when everything is on the disk. An error or
// Ctrl-C removes it; what a killed process leaves is removed by the next one that writes the same target.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/atomic_file.hpp>
#include <qtk/io/descriptor.hpp>
#include <qtk/io/staged_file.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace qtk {

/// Writes a text, whole or not at all. Throws system_error.
inline void write_text(std::filesystem::path const& path, std::string_view text) {
    atomic_file file(path, text.size());
    file.write(std::as_bytes(std::span(text)));
    file.commit();
}

class staged_folder {
  public:
    /// Makes the folder under its temporary name and locks it. Throws io_error if the target is there and is
    /// no empty folder, system_error if it cannot be made or another process is writing it.
    explicit staged_folder(std::filesystem::path const& target)
        : target_(with_name(target)), path_(part_path(target_)) {
        require_free();
        discard_left();
        std::error_code failure;
        if (!std::filesystem::create_directory(path_, failure))
            detail::throw_write_error(path_.string(), "make the folder",
                                      failure ? failure.value() : EEXIST);
        try {
            lock_ = locked();
        } catch (...) {
            ::rmdir(path_.c_str());  // if nobody else has it by now, and files in it
            throw;
        }
        slot_ = detail::unfinished.remember(path_.native());
    }
    staged_folder(staged_folder const&) = delete;
    staged_folder& operator=(staged_folder const&) = delete;
    ~staged_folder() {
        if (!lock_.is_open()) return;
        try {
            std::error_code ignored;
            std::filesystem::remove_all(path_, ignored);
        } catch (...) {  // there is no memory left to list it
            detail::remove_flat_folder(path_.c_str());
        }
        detail::unfinished.forget(slot_);
    }

    /// Where files are written until commit().
    [[nodiscard]] std::filesystem::path const& path() const noexcept { return path_; }
    [[nodiscard]] std::filesystem::path const& target() const noexcept { return target_; }

    /// The folder has the target's name from now on. Its files must be on the disk. Throws system_error, also
    /// if something was put there meanwhile.
    void commit() {
        if (::fsync(lock_.get()) != 0) fail("put the folder on the disk");
        if (::rename(path_.c_str(), target_.c_str()) != 0)
            fail("give the finished folder its name");
        detail::unfinished.forget(slot_);
        lock_ = {};
        std::string const parent = target_.has_parent_path() ? target_.parent_path().string() : ".";
        detail::descriptor const folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        // Some file systems cannot, and the folder is whole anyway.
        if (folder.is_open()) static_cast<void>(::fsync(folder.get()));
    }

  private:
    /// A path that ends in its name: "a/b/" and "a/b/." are "a/b".
    [[nodiscard]] static std::filesystem::path with_name(std::filesystem::path const& target) {
        std::filesystem::path normal = target.lexically_normal();
        if (!normal.has_filename()) normal = normal.parent_path();
        std::string const name = normal.filename().string();
        if (name.empty() || name == "." || name == "..")
            throw io_error(target.string(), "expected the name of a new folder");
        return normal;
    }
    void require_free() const {
        std::error_code failure;
        auto const status = std::filesystem::symlink_status(target_, failure);
        if (status.type() == std::filesystem::file_type::not_found) return;
        if (status.type() != std::filesystem::file_type::directory ||
            !std::filesystem::is_empty(target_, failure) || failure)
            throw io_error(target_.string(),
                           "something is there already, and a model is only written to a new or "
                           "empty folder. Hint: remove it, or choose another name");
    }
    [[nodiscard]] detail::descriptor locked() const {
        detail::descriptor folder(
            ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        if (!folder.is_open()) fail("open the folder");
        if (::flock(folder.get(), LOCK_EX | LOCK_NB) != 0)
            detail::throw_write_error(path_.string(), "lock the folder", errno,
                                      "another process is writing it");
        return folder;
    }
    void discard_left() const {
        std::error_code failure;
        if (!std::filesystem::exists(std::filesystem::symlink_status(path_, failure))) return;
        detail::descriptor const left = locked();
        std::filesystem::remove_all(path_, failure);
        if (failure)
            detail::throw_write_error(path_.string(), "remove what another run left",
                                      failure.value());
    }
    [[noreturn]] void fail(char const* action) const {
        detail::throw_write_error(path_.string(), action, errno);
    }

    std::filesystem::path target_, path_;
    detail::descriptor lock_;
    int slot_ = -1;  // of the names that a signal handler removes
};

}  // namespace qtk
