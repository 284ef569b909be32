// SPDX-License-Identifier: Apache-2.0
#include "conversion.hpp"

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/format/gguf_encode.hpp>
#include <qtk/io/qmatrix_file.hpp>
#include <qtk/io/sha256.hpp>
#include <qtk/io/staged_file.hpp>
#include <qtk/io/write_journal.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/quantize_any.hpp>
#include <qtk/version.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <sys/stat.h>

#include "environment.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cmath>
#include <csignal>
#include <map>
#include <unordered_map>
#include <utility>

namespace app {

namespace fs = std::filesystem;

std::uint64_t conversion_step::bytes() const noexcept {
    std::uint64_t sum = 0;
    for (qtk::tensor_place const& place : places) sum += place.bytes;
    return sum;
}

void conversion_options::add_to(CLI::App& command) {
    command.add_flag(
        "--force", is_forced,
        "replace a file that is there, and begin anew where a run was left unfinished");
    command.add_flag("--resume", resumes, "go on with a run that was left unfinished");
    command
        .add_option_function<std::string>(
            "--max-memory", [this](std::string const& text) { max_memory = parse_size(text); },
            "the most memory that the program may have, e.g. 256MiB")
        ->type_name("SIZE");
}

std::uint64_t parse_size(std::string const& text) {
    std::uint64_t number = 0;
    char const* const end = text.data() + text.size();
    auto const [rest, fault] = std::from_chars(text.data(), end, number);
    std::string const unit(rest, end);
    int const shift = unit.empty() || unit == "B"    ? 0
                      : unit == "KiB" || unit == "K" ? 10
                      : unit == "MiB" || unit == "M" ? 20
                      : unit == "GiB" || unit == "G" ? 30
                                                     : -1;
    if (fault != std::errc{} || shift < 0 || number == 0 ||
        number > (~std::uint64_t{0} >> 1 >> shift))
        throw qtk::value_error("size " + qtk::quoted(text) +
                               ": expected a number and B, KiB, MiB or GiB, e.g. 256MiB");
    return number << shift;
}

std::string size_text(std::uint64_t bytes) {
    constexpr std::array<char const*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024.0 && unit + 1 < units.size(); ++unit) value /= 1024.0;
    return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, units[unit]);
}

std::optional<std::uint64_t> free_bytes(fs::path const& target) {
    std::error_code failure;
    fs::space_info const space =
        fs::space(target.has_parent_path() ? target.parent_path() : fs::path("."), failure);
    if (failure) return std::nullopt;
    return space.available;
}

namespace {

/// Values of a block of rows: large enough for all cores, small enough for the caches around them.
constexpr std::uint64_t usual_block = std::uint64_t{32} << 20;
/// What threads, libraries and the parts of files that are being read take beside the blocks.
constexpr std::uint64_t slack = std::uint64_t{12} << 20;
constexpr std::size_t copy_step = std::size_t{4} << 20;

std::atomic<bool> stop_wanted{false};

/// While this lives, Ctrl-C lets the tensor at hand come to its end; a second one does not.
class signal_watch {
  public:
    signal_watch()
        : interrupt_(std::signal(SIGINT, note)), terminate_(std::signal(SIGTERM, note)) {}
    signal_watch(signal_watch const&) = delete;
    signal_watch& operator=(signal_watch const&) = delete;
    ~signal_watch() {
        std::signal(SIGINT, interrupt_);
        std::signal(SIGTERM, terminate_);
    }

  private:
    using handler = void (*)(int);
    static void note(int) {
        if (stop_wanted.exchange(true)) ::_exit(interrupted);
    }
    handler interrupt_, terminate_;
};

/// How a tensor is cut into blocks of rows.
struct cut {
    std::size_t unit = 1;   ///< rows that must stay together
    std::size_t count = 1;  ///< rows of a block
    std::uint64_t row_memory = 0;
};

[[nodiscard]] cut cut_of(conversion_step const& step, std::uint64_t memory) {
    row_source const& rows = *step.rows;
    cut c;
    if (std::holds_alternative<keep_action>(step.action) && !rows.has_floats()) return c;
    c.row_memory = rows.row_bytes() + sizeof(float) * rows.cols();
    if (rows.rows() > 0) c.row_memory += 2 * (step.bytes() / rows.rows());
    if (auto const* const s = std::get_if<qtk::scheme>(&step.action)) {
        qtk::tile_grid const grid(s->grain, rows.rows(), rows.cols());
        c.row_memory += 24 * grid.across;
        // The largest scale of all, one stream of zeros, one stream of random words.
        bool const is_whole = s->grain == qtk::per_tensor || s->scale == qtk::scale_type::e4m3 ||
                              s->round == qtk::rounding::stochastic;
        c.unit = is_whole ? std::max<std::size_t>(1, rows.rows())
                          : grid.rows * (s->has_zero_point() ? 8 : 1);
    }
    if (std::holds_alternative<qtk::gguf_type>(step.action) || c.unit == 1)
        c.row_memory = std::max<std::uint64_t>(c.row_memory, 1);
    std::uint64_t const fitting =
        std::max<std::uint64_t>(1, std::min(memory, usual_block) / c.row_memory);
    c.count = static_cast<std::size_t>(
        std::min<std::uint64_t>(fitting, std::max<std::size_t>(1, rows.rows())));
    c.count = std::max<std::size_t>(1, c.count / c.unit) * c.unit;
    return c;
}

[[nodiscard]] std::uint64_t memory_for_blocks(conversion_options const& options) {
    if (!options.max_memory) return ~std::uint64_t{0};
    std::uint64_t const base = peak_memory() + slack;
    return *options.max_memory > base ? *options.max_memory - base : 0;
}

void require_memory(conversion const& plan, conversion_options const& options) {
    std::uint64_t const memory = memory_for_blocks(options);
    for (conversion_step const& step : plan.steps) {
        cut const c = cut_of(step, memory);
        std::uint64_t const needed = c.row_memory * std::min(c.unit, step.rows->rows());
        if (needed <= memory) continue;
        std::uint64_t const base = peak_memory() + slack;
        throw qtk::value_error(fmt::format(
            "--max-memory {}: tensor {} as {} needs {} for {}, and the program {} by itself. Hint: "
            "--max-memory {}MiB",
            size_text(*options.max_memory), qtk::quoted(step.name), to_string(step.action),
            size_text(needed), c.unit == 1 ? "one row" : fmt::format("{} rows at once", c.unit),
            size_text(base), (base + needed) / (1u << 20) + 1));
    }
}

/// Everything that decides the bytes of the output.
[[nodiscard]] std::string digest_of(conversion const& plan) {
    qtk::sha256 digest;
    auto const text = [&](std::string const& part) {
        digest.update(std::to_string(part.size()) + ":");
        digest.update(part);
    };
    text(QTK_VERSION_STRING);
    text(std::string(reinterpret_cast<char const*>(plan.start.data()), plan.start.size()));
    for (conversion_step const& step : plan.steps) {
        text(step.name);
        text(step.origin);
        text(step.from);
        text(to_string(step.action));
        auto const importance = std::as_bytes(std::span(step.importance));
        text({reinterpret_cast<char const*>(importance.data()), importance.size()});
    }
    for (fs::path const& input : plan.inputs) {
        struct stat status {};
        if (::stat(input.c_str(), &status) != 0) continue;
        text(input.filename().string());
        text(std::to_string(status.st_size));
        text(std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec));
    }
    return digest.hex();
}

[[nodiscard]] std::string where(conversion_step const& step) {
    return "tensor " + qtk::quoted(step.origin);
}

void stop_if_wanted(conversion const& plan, bool has_part) {
    if (!stop_wanted.load()) return;
    throw interruption(!has_part ? "interrupted: nothing was written"
                       : plan.is_resumable
                           ? "interrupted: what is finished is kept; --resume goes on with it"
                           : "interrupted: --force begins anew");
}

void scan_rows(row_source const& rows, std::size_t count, std::string const& where) {
    if (!rows.has_floats() || rows.cols() == 0) return;
    qtk::matrix values(std::min(count, rows.rows()), rows.cols());
    for (std::size_t r = 0; r < rows.rows(); r += count) {
        std::size_t const n = std::min(count, rows.rows() - r);
        qtk::matrix_view<float> const part(values.data(), n, rows.cols());
        rows.read(r, part);
        qtk::nonfinite_scan found = qtk::find_nonfinite(part);
        if (found.count == 0) continue;
        found.first += r * rows.cols();
        throw qtk::nonfinite_error(
            fmt::format(
                "{}: {} NaN or infinite value(s) among rows {} to {}, the first at index {} "
                "(row {}, column {}). Hint: the file is damaged or the training diverged",
                where, found.count, r, r + n - 1, found.first, found.first / rows.cols(),
                found.first % rows.cols()),
            found.count, found.first);
    }
}

/// Writes the parts of one tensor front to back, and sums them up.
class part_writer {
  public:
    part_writer(qtk::staged_file& file, std::vector<qtk::tensor_place> const& places)
        : file_(file), places_(places), sums_(places.size()), done_(places.size()) {}

    void write(std::size_t part, std::span<std::byte const> bytes) {
        file_.write(places_[part].offset + done_[part], bytes);
        sums_[part].update(bytes);
        done_[part] += bytes.size();
    }
    [[nodiscard]] std::vector<qtk::journal_entry> entries() const {
        std::vector<qtk::journal_entry> all;
        for (std::size_t i = 0; i < places_.size(); ++i) {
            if (done_[i] != places_[i].bytes)
                throw qtk::shape_error(fmt::format("{}: expected {} bytes, made {}",
                                                   places_[i].name, places_[i].bytes, done_[i]));
            all.push_back({places_[i].name, places_[i].offset, places_[i].bytes, sums_[i].value()});
        }
        return all;
    }

  private:
    qtk::staged_file& file_;
    std::vector<qtk::tensor_place> const& places_;
    std::vector<qtk::xxh64> sums_;
    std::vector<std::uint64_t> done_;
};

void copy_raw(row_source const& rows, part_writer& writer) {
    std::span<std::byte const> const raw = rows.raw();
    for (std::size_t at = 0; at < raw.size(); at += copy_step) {
        auto const part = raw.subspan(at, std::min(copy_step, raw.size() - at));
        writer.write(0, part);
        rows.release(part);
    }
    rows.release(raw);
}

void encode_blocks(conversion_step const& step, qtk::gguf_type type, cut const& c,
                   part_writer& writer) {
    row_source const& rows = *step.rows;
    if (rows.cols() == 0) return;
    auto const& entry = *qtk::find_gguf_type(type);
    // Several matrices under one name have an importance each.
    std::size_t const matrices = std::max<std::size_t>(step.importance.size() / rows.cols(), 1);
    std::size_t const matrix_rows = rows.rows() / matrices;
    auto const importance_of = [&](std::size_t r) {
        return step.importance.empty()
                   ? std::span<float const>()
                   : std::span(step.importance).subspan(r / matrix_rows * rows.cols(), rows.cols());
    };
    std::size_t const row_bytes = rows.cols() / entry.values * entry.bytes;
    qtk::matrix values(std::min(c.count, rows.rows()), rows.cols());
    std::vector<std::uint8_t> bytes(values.rows() * row_bytes);
    for (std::size_t r = 0; r < rows.rows(); r += c.count) {
        std::size_t const n = std::min(c.count, rows.rows() - r);
        rows.read(r, {values.data(), n, rows.cols()});
        qtk::parallel_for(n, 8 * n * rows.cols(), [&](std::size_t i) {
            std::span<float const> const x(values.data() + i * rows.cols(), rows.cols());
            std::span<std::uint8_t> const to(bytes.data() + i * row_bytes, row_bytes);
            qtk::encode_gguf_row(type, x, to, importance_of(r + i));
            float most = 0.0f;
            for (float const v : x) most = std::max(most, std::abs(v));
            if (most < 60000.0f) return;
            // Beyond what half precision can hold: is what was written still a number?
            std::vector<float> back(rows.cols());
            qtk::decode_gguf_row({type, to, 1, rows.cols()}, 0, back);
            auto const found = qtk::find_nonfinite(back);
            if (found.count == 0) return;
            std::size_t const index = (r + i) * rows.cols() + found.first;
            throw qtk::nonfinite_error(
                fmt::format(
                    "{}: the value {} at index {} is beyond what {} can hold. Hint: bf16 or "
                    "f32 for this tensor",
                    where(step), x[found.first], index, entry.name),
                found.count, index);
        });
        writer.write(0, std::as_bytes(std::span(bytes).first(n * row_bytes)));
    }
}

void encode_scheme(conversion_step const& step, qtk::scheme const& scheme, cut const& c,
                   part_writer& writer) {
    row_source const& rows = *step.rows;
    for (std::size_t r = 0; r < rows.rows(); r += c.count) {
        std::size_t const n = std::min(c.count, rows.rows() - r);
        qtk::any_qmatrix const q = [&] {
            qtk::matrix values(n, rows.cols());
            rows.read(r, values.view());
            return qtk::quantize_any(values, scheme, qtk::minmax_range{},
                                     {.name = step.origin.c_str()});
        }();
        std::size_t part = 0;
        writer.write(part++, std::as_bytes(q.codes()));
        writer.write(part++, std::as_bytes(q.scales()));
        if (scheme.has_zero_point()) writer.write(part++, std::as_bytes(q.zeros()));
        if (scheme.scale == qtk::scale_type::e4m3)
            writer.write(part++, std::as_bytes(std::span(&q.tensor_scale(), 1)));
    }
}

/// The part file and its journal, new or gone on with.
struct stage {
    qtk::staged_file file;
    qtk::write_journal journal;
    std::vector<bool> is_done;  // by step
    std::size_t resumed = 0;
};

[[nodiscard]] bool has_unfinished(fs::path const& target) {
    return fs::exists(qtk::part_path(target)) || fs::exists(qtk::journal_path(target));
}

[[nodiscard]] std::optional<stage> resume(conversion const& plan, std::string const& digest,
                                          bool is_forced) {
    if (!fs::exists(qtk::part_path(plan.target))) return std::nullopt;
    auto const content = qtk::read_journal(plan.target);
    if (!content) return std::nullopt;
    bool const is_this_run = content->run.digest == digest && content->run.size == plan.size;
    if (!is_this_run && is_forced) return std::nullopt;
    if (!is_this_run)
        throw qtk::value_error(
            qtk::journal_path(plan.target).string() +
            ": the unfinished run had another input or other flags. Hint: the same command with "
            "--resume, or --force to begin anew");
    stage s{qtk::staged_file(plan.target, plan.size, qtk::staged_file::start::resumed),
            qtk::write_journal(plan.target, *content), std::vector<bool>(plan.steps.size()), 0};
    std::unordered_map<std::string, qtk::journal_entry const*> by_name;
    for (qtk::journal_entry const& entry : content->entries) by_name[entry.name] = &entry;
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        s.is_done[i] =
            std::ranges::all_of(plan.steps[i].places, [&](qtk::tensor_place const& place) {
                auto const found = by_name.find(place.name);
                return found != by_name.end() && found->second->offset == place.offset &&
                       found->second->bytes == place.bytes &&
                       qtk::is_as_written(s.file, *found->second);
            });
        if (s.is_done[i]) ++s.resumed;
    }
    return s;
}

[[nodiscard]] stage begin(conversion const& plan, std::string const& digest) {
    qtk::staged_file::discard_left(plan.target);
    fs::remove(qtk::journal_path(plan.target));
    qtk::staged_file file(plan.target, plan.size);
    try {
        qtk::write_journal journal(plan.target,
                                   qtk::journal_run{digest, plan.size, fs::exists(plan.target)});
        return {std::move(file), std::move(journal), std::vector<bool>(plan.steps.size()), 0};
    } catch (...) {
        file.discard();
        throw;
    }
}

void require_space(conversion const& plan) {
    auto const free = free_bytes(plan.target);
    std::error_code ignored;
    // A part file has its room already.
    bool const has_room = fs::exists(qtk::part_path(plan.target), ignored);
    if (!free || has_room || *free >= plan.size) return;
    qtk::detail::throw_write_error(
        plan.target.string(),
        fmt::format("write {} where {} are free", size_text(plan.size), size_text(*free)), ENOSPC,
        "free some space; nothing was written");
}

}  // namespace

void require_startable(conversion const& plan, conversion_options const& options) {
    for (fs::path const& input : plan.inputs)
        if (is_same_file(input, plan.target))
            throw qtk::value_error(plan.target.string() +
                                   ": the output is the input. Hint: another name");
    if (fs::is_directory(plan.target))
        throw qtk::value_error(plan.target.string() +
                               ": this is a folder, but the name of a file is needed");
    bool may_replace = options.is_forced;
    if (has_unfinished(plan.target)) {
        if (!options.resumes && !options.is_forced)
            throw qtk::value_error(plan.target.string() + ": an unfinished run is there. Hint: " +
                                   (plan.is_resumable ? "--resume goes on with it, " : "") +
                                   "--force begins anew");
        if (auto const content = qtk::read_journal(plan.target); content && options.resumes)
            may_replace = may_replace || content->run.replaces;
    }
    if (fs::exists(plan.target) && !may_replace)
        throw qtk::value_error(plan.target.string() +
                               " is already there. Hint: --force replaces it");
    require_memory(plan, options);
}

std::uint64_t working_memory(conversion const& plan, conversion_options const& options) {
    std::uint64_t most = 0, memory = memory_for_blocks(options);
    for (conversion_step const& step : plan.steps) {
        cut const c = cut_of(step, memory);
        most = std::max(most, c.row_memory * std::min(c.count, step.rows->rows()));
    }
    return most + slack;
}

void require_finite_rows(row_source const& rows, std::string const& where) {
    std::size_t const row_memory = rows.row_bytes() + sizeof(float) * rows.cols() + 1;
    scan_rows(rows, std::max<std::size_t>(1, usual_block / row_memory), where);
}

std::size_t convert(conversion const& plan, conversion_options const& options,
                    conversion_progress const& progress) {
    require_startable(plan, options);
    std::string const digest = digest_of(plan);
    signal_watch const watch;
    std::uint64_t const memory = memory_for_blocks(options);
    std::optional<stage> work;
    if (options.resumes) work = resume(plan, digest, options.is_forced);
    auto const is_done = [&](std::size_t i) { return work && work->is_done[i]; };
    std::size_t const n = plan.steps.size();
    for (std::size_t i = 0; i < n; ++i) {
        stop_if_wanted(plan, work.has_value());
        if (is_done(i)) continue;
        progress("checking " + plan.steps[i].origin, i, n);
        scan_rows(*plan.steps[i].rows, cut_of(plan.steps[i], memory).count, where(plan.steps[i]));
    }
    require_space(plan);
    if (!work) work = begin(plan, digest);
    work->file.write(0, plan.start);
    try {
        for (std::size_t i = 0; i < n; ++i) {
            if (work->is_done[i]) continue;
            stop_if_wanted(plan, true);
            conversion_step const& step = plan.steps[i];
            progress(step.name, i, n);
            part_writer writer(work->file, step.places);
            cut const c = cut_of(step, memory);
            if (auto const* const type = std::get_if<qtk::gguf_type>(&step.action))
                encode_blocks(step, *type, c, writer);
            else if (auto const* const scheme = std::get_if<qtk::scheme>(&step.action))
                encode_scheme(step, *scheme, c, writer);
            else
                copy_raw(*step.rows, writer);
            work->journal.add(writer.entries());
        }
    } catch (qtk::value_error const&) {
        // The input cannot be written so; another run would come to the same end.
        work->journal.discard();
        work->file.discard();
        throw;
    }
    // Without its journal a whole part file is worth nothing, with a journal a whole target would look
    // unfinished: so the journal goes first.
    work->file.sync();
    work->journal.discard();
    work->file.commit();
    return work->resumed;
}

}  // namespace app
