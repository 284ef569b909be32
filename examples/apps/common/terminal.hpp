// SPDX-License-Identifier: Apache-2.0
//
// What does a person see while a program works? A table whose columns line up, and on a terminal one line that moves;
// in a pipe the progress is silent.
#pragma once

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace app {

/// Rows of text cells under a header; the first column is flush left, the others flush right.
class text_table {
  public:
    explicit text_table(std::vector<std::string> header) { add(std::move(header)); }
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

    [[nodiscard]] std::string str() const {
        std::vector<std::size_t> width(rows_.front().size());
        for (auto const& row : rows_)
            for (std::size_t c = 0; c < row.size(); ++c)
                width[c] = std::max(width[c], row[c].size());
        std::string text;
        for (std::size_t r = 0; r < rows_.size(); ++r) {
            for (std::size_t c = 0; c < rows_[r].size(); ++c)
                text += c == 0 ? fmt::format("{:<{}}", rows_[r][c], width[c])
                               : fmt::format("  {:>{}}", rows_[r][c], width[c]);
            text += '\n';
            if (r == 0) {
                for (std::size_t c = 0; c < width.size(); ++c)
                    text += (c == 0 ? "" : "  ") + std::string(width[c], '-');
                text += '\n';
            }
        }
        return text;
    }

  private:
    std::vector<std::vector<std::string>> rows_;
};

/// One line on standard error that is overwritten, if that is a terminal; nothing otherwise.
class progress_line {
  public:
    explicit progress_line(bool is_wanted = true)
        : is_shown_(is_wanted && isatty(STDERR_FILENO) != 0) {}
    progress_line(progress_line const&) = delete;
    progress_line& operator=(progress_line const&) = delete;
    ~progress_line() { clear(); }

    void show(std::string const& text) const {
        if (!is_shown_) return;
        std::fprintf(stderr, "\r\033[K%s", text.c_str());
        std::fflush(stderr);
    }
    void clear() const { show(""); }

  private:
    bool is_shown_;
};

/// 3,456,789
[[nodiscard]] inline std::string with_commas(std::size_t n) {
    std::string digits = std::to_string(n);
    for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
    return digits;
}

}  // namespace app
