// SPDX-License-Identifier: Apache-2.0
//
// What of this unfinished file is already right? NAME.qtk-journal beside the target, one JSON object a
// line: first the run that the file belongs to, then one line for each piece that was written.
//
//   {"schema":"qtk.journal/1","run":"<sha256>","size":N,"replaces":false}
//   {"name":"blk.0.attn_q.weight","offset":O,"bytes":B,"xxh64":"0123456789abcdef"}
//
// A line is believed only if the bytes of the part file have its checksum; a line that was cut short,
// and what follows it, is dropped.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/descriptor.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/staged_file.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/xxh64.hpp>

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// Where the journal of the unfinished `target` lies.
[[nodiscard]] inline std::filesystem::path journal_path(std::filesystem::path const& target) {
    return target.parent_path() / (target.filename().string() + ".qtk-journal");
}

/// A piece of the file that was written.
struct journal_entry {
    std::string name;
    std::uint64_t offset = 0, bytes = 0, checksum = 0;

    friend bool operator==(journal_entry const&, journal_entry const&) = default;
};

/// Which run a journal belongs to: a digest of everything that decides the file's bytes, the file's
/// size, and whether there was a target that the run may replace.
struct journal_run {
    std::string digest;
    std::uint64_t size = 0;
    bool replaces = false;

    friend bool operator==(journal_run const&, journal_run const&) = default;
};

struct journal_content {
    journal_run run;
    std::vector<journal_entry> entries;
    std::uint64_t good_bytes = 0;  ///< of the journal; what follows was cut short
};

namespace detail {

[[nodiscard]] inline std::string hexadecimal(std::uint64_t value) {
    std::string digits(16, '0');
    for (std::size_t i = digits.size(); i-- > 0; value >>= 4)
        digits[i] = "0123456789abcdef"[value & 15];
    return digits;
}
/// Nothing for a text that is not 16 digits.
[[nodiscard]] inline std::optional<std::uint64_t> from_hexadecimal(std::string_view text) {
    std::uint64_t value = 0;
    char const* const end = text.data() + text.size();
    if (text.size() != 16 || std::from_chars(text.data(), end, value, 16).ptr != end)
        return std::nullopt;
    return value;
}

/// A line as an object; nothing for what is none.
[[nodiscard]] inline std::optional<nlohmann::json> journal_line(std::string_view text) {
    try {
        nlohmann::json line = parse_strict_json(text, "journal");
        if (line.is_object()) return line;
    } catch (io_error const&) {
    }
    return std::nullopt;
}
[[nodiscard]] inline std::optional<std::uint64_t> journal_number(nlohmann::json const& line,
                                                                 char const* key) {
    auto const found = line.find(key);
    if (found == line.end() || !found->is_number_unsigned()) return std::nullopt;
    return found->get<std::uint64_t>();
}
[[nodiscard]] inline std::optional<std::string> journal_text(nlohmann::json const& line,
                                                             char const* key) {
    auto const found = line.find(key);
    if (found == line.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
}
[[nodiscard]] inline std::optional<journal_run> journal_start(std::string_view text) {
    auto const line = journal_line(text);
    if (!line || journal_text(*line, "schema") != "qtk.journal/1") return std::nullopt;
    auto const digest = journal_text(*line, "run");
    auto const size = journal_number(*line, "size");
    auto const replaces = line->find("replaces");
    if (!digest || !size || replaces == line->end() || !replaces->is_boolean()) return std::nullopt;
    return journal_run{*digest, *size, replaces->get<bool>()};
}
[[nodiscard]] inline std::optional<journal_entry> journal_record(std::string_view text,
                                                                 std::uint64_t size) {
    auto const line = journal_line(text);
    if (!line) return std::nullopt;
    auto const name = journal_text(*line, "name");
    auto const sum = journal_text(*line, "xxh64");
    auto const offset = journal_number(*line, "offset"), bytes = journal_number(*line, "bytes");
    if (!name || !sum || !offset || !bytes || *offset > size || *bytes > size - *offset)
        return std::nullopt;
    auto const checksum = from_hexadecimal(*sum);
    if (!checksum) return std::nullopt;
    return journal_entry{*name, *offset, *bytes, *checksum};
}

}  // namespace detail

/// What the journal of `target` says; nothing where there is none, or none that names its run. Throws
/// system_error where it cannot be read.
[[nodiscard]] inline std::optional<journal_content> read_journal(
    std::filesystem::path const& target, io_limits const& limits = {}) {
    std::filesystem::path const path = journal_path(target);
    if (!std::filesystem::exists(path)) return std::nullopt;
    mapped_file const file = mapped_file::open(path, io_mode::read, limits.json_bytes);
    std::string_view const all = file.text();
    std::size_t end = all.find('\n');
    if (end == all.npos) return std::nullopt;
    auto const run = detail::journal_start(all.substr(0, end));
    if (!run) return std::nullopt;
    journal_content content{.run = *run, .entries = {}, .good_bytes = end + 1};
    for (std::size_t start = end + 1; (end = all.find('\n', start)) != all.npos; start = end + 1) {
        auto entry = detail::journal_record(all.substr(start, end - start), run->size);
        if (!entry || content.entries.size() == limits.tensors) break;
        content.entries.push_back(*std::move(entry));
        content.good_bytes = end + 1;
    }
    return content;
}

/// Has the part file the bytes that the entry promises? Throws system_error.
[[nodiscard]] inline bool is_as_written(staged_file const& file, journal_entry const& entry) {
    if (entry.offset > file.size() || entry.bytes > file.size() - entry.offset) return false;
    std::vector<std::byte> buffer(
        static_cast<std::size_t>(std::min<std::uint64_t>(entry.bytes, 1u << 20)));
    xxh64 sum;
    for (std::uint64_t done = 0; done < entry.bytes;) {
        auto const step = std::span(buffer).first(
            static_cast<std::size_t>(std::min<std::uint64_t>(entry.bytes - done, buffer.size())));
        file.read(entry.offset + done, step);
        sum.update(step);
        done += step.size();
    }
    return sum.value() == entry.checksum;
}

/// Appends to the journal of one file.
class write_journal {
  public:
    /// Begins a journal; one that is there is overwritten. Throws system_error.
    write_journal(std::filesystem::path const& target, journal_run const& run)
        : path_(journal_path(target).string()) {
        open(O_CREAT | O_TRUNC);
        try {
            begin(run);
        } catch (...) {
            // Without its first line it would only stand in the next run's way.
            discard();
            throw;
        }
    }
    /// Goes on behind the lines that are good. Throws system_error.
    write_journal(std::filesystem::path const& target, journal_content const& content)
        : path_(journal_path(target).string()) {
        open(0);
        if (::ftruncate(file_.get(), static_cast<::off_t>(content.good_bytes)) != 0)
            detail::throw_write_error(path_, "cut the journal", errno);
    }

    /// Records pieces that belong together: a crash leaves all of their lines or the first few.
    void add(std::span<journal_entry const> entries) {
        std::string lines;
        for (journal_entry const& entry : entries)
            lines += nlohmann::ordered_json{{"name", entry.name},
                                            {"offset", entry.offset},
                                            {"bytes", entry.bytes},
                                            {"xxh64", detail::hexadecimal(entry.checksum)}}
                         .dump() +
                     "\n";
        append(lines);
    }
    /// Removes the journal.
    void discard() noexcept { ::unlink(path_.c_str()); }

  private:
    void begin(journal_run const& run) {
        append(nlohmann::ordered_json{{"schema", "qtk.journal/1"},
                                      {"run", run.digest},
                                      {"size", run.size},
                                      {"replaces", run.replaces}}
                   .dump() +
               "\n");
    }
    void open(int flags) {
        file_ = detail::descriptor(
            ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
        if (!file_.is_open()) detail::throw_write_error(path_, "open the journal", errno);
    }
    void append(std::string_view text) {
        while (!text.empty()) {
            ::ssize_t const done = ::write(file_.get(), text.data(), text.size());
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) detail::throw_write_error(path_, "write the journal", errno);
            text.remove_prefix(static_cast<std::size_t>(done));
        }
    }

    std::string path_;
    detail::descriptor file_;
};

}  // namespace qtk
