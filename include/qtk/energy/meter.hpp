// SPDX-License-Identifier: Apache-2.0
//
// Is there anything here that measures energy? A meter says what it measures, or why it cannot;
// where it cannot, there is no number. RAPL is read through Linux's powercap files: processor
// packages (and their DRAM where the machine has that counter), not the whole machine.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/joules.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace qtk {

/// `description` is what is measured where `is_present`, else the reason why nothing is. `read`
/// gives the energy since the meter was opened, and throws where there is no meter.
template <typename M>
concept energy_meter = requires(M meter, M const& fixed) {
    { fixed.is_present() } -> std::same_as<bool>;
    { fixed.description() } -> std::convertible_to<std::string_view>;
    { meter.read() } -> std::same_as<joules>;
};

/// The counters of `intel-rapl:*` (AMD processors use the same name) under `root`. All packages or
/// none: a sum with one missing would be a guess. The counters wrap (after minutes at full power):
/// each is read correctly as long as it wraps at most once between two reads.
class rapl_meter {
  public:
    explicit rapl_meter(std::filesystem::path const& root = "/sys/class/powercap") {
        std::error_code failure;
        std::vector<std::filesystem::path> zones;
        for (std::filesystem::directory_iterator entry(root, failure), end;
             !failure && entry != end; entry.increment(failure))
            if (entry->path().filename().string().starts_with("intel-rapl:"))
                zones.push_back(entry->path());
        if (failure) {
            description_ = "no RAPL meter: " + root.string() + ": " + failure.message();
            return;
        }
        std::sort(zones.begin(), zones.end());
        try {
            for (auto const& zone : zones) open(zone);
        } catch (io_error const& unreadable) {
            counters_.clear();
            description_ = std::string("no RAPL meter: ") + unreadable.what() +
                           "; reading it usually takes root";
            return;
        }
        if (counters_.empty()) {
            description_ = "no RAPL meter: " + root.string() + " has no processor package";
            return;
        }
        description_ = "RAPL, not the whole machine:";
        for (counter const& one : counters_)
            description_ += (&one == counters_.data() ? " " : ", ") + one.name;
    }

    [[nodiscard]] bool is_present() const noexcept { return !counters_.empty(); }
    [[nodiscard]] std::string const& description() const noexcept { return description_; }

    /// Energy of all counters since construction. value_error without a meter; system_error or
    /// io_error where a counter that could be read no longer can.
    [[nodiscard]] joules read() {
        if (!is_present()) throw value_error(description_);
        joules sum;
        for (counter& one : counters_) {
            std::uint64_t const now = reading_of(one);
            one.used += now >= one.last ? now - one.last : one.range - one.last + now;
            one.last = now;
            sum += microjoules(static_cast<double>(one.used));
        }
        return sum;
    }

  private:
    struct counter {
        std::string name;
        std::filesystem::path file;
        std::uint64_t range = 0, last = 0, used = 0;  // microjoules
    };

    void open(std::filesystem::path const& zone) {
        std::string name = text_of(zone / "name");
        // Cores and graphics are inside their package, and the platform zone (psys) contains it:
        // only packages and DRAM can be added up.
        if (!name.starts_with("package") && name != "dram") return;
        if (name == "dram") name += " of " + text_of(zone.parent_path() / parent_of(zone) / "name");
        counter one{.name = std::move(name),
                    .file = zone / "energy_uj",
                    .range = microjoules_in(zone / "max_energy_range_uj")};
        one.last = reading_of(one);
        counters_.push_back(std::move(one));
    }

    /// `intel-rapl:0` of `.../intel-rapl:0:2`.
    static std::string parent_of(std::filesystem::path const& zone) {
        std::string const name = zone.filename().string();
        return name.substr(0, name.rfind(':'));
    }

    /// The first line of a small file.
    static std::string text_of(std::filesystem::path const& path) {
        std::unique_ptr<std::FILE, int (*)(std::FILE*)> const file(
            std::fopen(path.c_str(), "rb"),
            [](std::FILE* open_file) { return std::fclose(open_file); });
        char text[64] = {};
        // The counters are made on read, so one that opens may still refuse to be read.
        std::size_t const got = file ? std::fread(text, 1, sizeof text, file.get()) : 0;
        if (!file || std::ferror(file.get()) != 0) {
            int const code = errno;
            throw system_error(path.string(), std::strerror(code), code);
        }
        std::string_view const line(text, got);
        return std::string(line.substr(0, line.find('\n')));
    }

    static std::uint64_t microjoules_in(std::filesystem::path const& path) {
        std::string const text = text_of(path);
        std::uint64_t value = 0;
        auto const [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (code != std::errc{} || end != text.data() + text.size())
            throw io_error(path.string(),
                           "expected a count of microjoules, found \"" + text + "\"");
        return value;
    }

    static std::uint64_t reading_of(counter const& one) {
        std::uint64_t const now = microjoules_in(one.file);
        if (now > one.range)
            throw io_error(one.file.string(), "the counter stands at " + std::to_string(now) +
                                                  ", beyond its max_energy_range_uj of " +
                                                  std::to_string(one.range));
        return now;
    }

    std::vector<counter> counters_;
    std::string description_;
};
static_assert(energy_meter<rapl_meter>);

/// What `work()` used, idle power included; nothing where there is no meter. The counters move
/// about once a millisecond: run for seconds.
template <energy_meter Meter, std::invocable Work>
[[nodiscard]] std::optional<joules> measured_energy(Meter& meter, Work&& work) {
    if (!meter.is_present()) {
        std::invoke(std::forward<Work>(work));
        return std::nullopt;
    }
    joules const before = meter.read();
    std::invoke(std::forward<Work>(work));
    return meter.read() - before;
}

}  // namespace qtk
