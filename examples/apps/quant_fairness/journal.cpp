// SPDX-License-Identifier: Apache-2.0
#include "journal.hpp"

#include <qtk/core/error.hpp>
#include <qtk/io/mapped_file.hpp>

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <string_view>

namespace app {
namespace {

constexpr std::string_view first_line = "{\"schema\":\"qtk.fairness.journal/1\"}\n";

}  // namespace

journal::journal(std::string const& path)
    : path_(path), file_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
    using qtk::detail::throw_write_error;
    if (!file_.is_open()) throw_write_error(path, "open the journal", errno);
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0)
        throw_write_error(path, "lock the journal", errno,
                          "another process is using it; give this one a file of its own");
    read();
    if (size_ == 0) append(std::string(first_line));
    found_ = entries_.size();
}

void journal::read() {
    auto const content = qtk::mapped_file::open(path_, qtk::io_mode::read);
    std::string_view rest = content.text();
    // What is left of a first line that a kill cut short is no journal of somebody else's.
    bool const is_cut = rest.size() < first_line.size() && first_line.starts_with(rest);
    if (!is_cut && !rest.starts_with(first_line))
        throw qtk::io_error(path_,
                            "this is not a journal of quant-fairness; nothing was changed. Hint: "
                            "give --journal the name of a new file");
    if (!is_cut) size_ = first_line.size();
    rest.remove_prefix(size_);
    for (std::size_t end; !is_cut && (end = rest.find('\n')) != rest.npos;) {
        auto const line = nlohmann::json::parse(rest.substr(0, end), nullptr, false);
        if (!line.is_object() || !line.contains("key") || !line["key"].is_string() ||
            !line.contains("nll") || !line["nll"].is_array())
            throw qtk::io_error(path_, "this line of the journal is broken. Hint: remove it",
                                size_);
        std::vector<double> losses;
        for (auto const& nll : line["nll"])
            losses.push_back(nll.is_number() ? nll.get<double>()
                                             : std::numeric_limits<double>::quiet_NaN());
        entries_[line["key"].get<std::string>()] = std::move(losses);
        size_ += end + 1;
        rest.remove_prefix(end + 1);
    }
    if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0)
        qtk::detail::throw_write_error(path_, "shorten the journal", errno);
}

void journal::append(std::string const& lines) {
    std::string_view rest = lines;
    while (!rest.empty()) {
        ssize_t const written = ::write(file_.get(), rest.data(), rest.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            int const code = errno;
            [[maybe_unused]] int const ignored =
                ::ftruncate(file_.get(), static_cast<off_t>(size_));
            qtk::detail::throw_write_error(path_, "write the journal", code,
                                           "what it holds is whole; the same command goes on "
                                           "from there");
        }
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
    size_ += lines.size();
}

std::vector<double> const* journal::find(std::string const& key) const {
    auto const found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
}

void journal::add(std::vector<std::pair<std::string, std::vector<double>>> entries) {
    std::string lines;
    for (auto& [key, losses] : entries) {
        if (has_file()) lines += nlohmann::json{{"key", key}, {"nll", losses}}.dump() + "\n";
        entries_[std::move(key)] = std::move(losses);
    }
    if (has_file()) append(lines);
}

}  // namespace app
