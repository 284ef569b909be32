// SPDX-License-Identifier: Apache-2.0
//
// What has been computed already? Losses by a key that says everything they depend on (model, format, method,
// calibration, which parts are quantized, text), kept in memory and, if a file is named, appended to it as
// they come, so that a command that was stopped goes on where it was. Lines of JSON; a line that was cut
// short by a kill or a full disk is dropped when the file is opened again.
#pragma once

#include <qtk/io/descriptor.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace app {

class journal {
  public:
    /// In memory alone.
    journal() = default;
    /// Opens or makes the file. Throws qtk::system_error, also where another process has it open, and
    /// qtk::io_error for a file that is no journal or has a broken line before its end.
    explicit journal(std::string const& path);

    [[nodiscard]] bool has_file() const noexcept { return file_.is_open(); }
    [[nodiscard]] std::string const& path() const noexcept { return path_; }
    /// Entries that the file held when it was opened.
    [[nodiscard]] std::size_t found() const noexcept { return found_; }

    /// Null if there is none.
    [[nodiscard]] std::vector<double> const* find(std::string const& key) const;
    /// Adds entries, all in one write. Throws qtk::system_error if the disk is full; what was written
    /// before stays whole.
    void add(std::vector<std::pair<std::string, std::vector<double>>> entries);

  private:
    void read();
    void append(std::string const& lines);

    std::string path_;
    qtk::detail::descriptor file_{-1};
    std::size_t size_ = 0, found_ = 0;
    std::map<std::string, std::vector<double>> entries_;
};

}  // namespace app
