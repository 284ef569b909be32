// SPDX-License-Identifier: Apache-2.0
//
// Where does a target put files that must lie beside each other? In a folder of its own, in memory where
// the system has a place for that, removed with the process.
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz_target.hpp"
#include <filesystem>
#include <string>

namespace fuzz {

class scratch_folder {
  public:
    scratch_folder() {
        std::filesystem::path const memory = "/dev/shm";
        std::string name =
            ((::access(memory.c_str(), W_OK) == 0 ? memory
                                                  : std::filesystem::temp_directory_path()) /
             "qtk_fuzz_XXXXXX")
                .string();
        require(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~scratch_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    scratch_folder(scratch_folder const&) = delete;
    scratch_folder& operator=(scratch_folder const&) = delete;

    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

inline void write_file(std::filesystem::path const& path, std::uint8_t const* data,
                       std::size_t size) {
    int const file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(file >= 0 && (size == 0 || ::write(file, data, size) == static_cast<::ssize_t>(size)));
    ::close(file);
}

}  // namespace fuzz
