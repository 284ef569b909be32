// SPDX-License-Identifier: Apache-2.0
//
// quant-energy calibrate: what does an operation cost on this machine? Kernels that differ in what they ask for run
// between two readings of a meter; their joules become a table of coefficients that every command takes.
#include <qtk/core/random.hpp>
#include <qtk/energy/calibration.hpp>
#include <qtk/energy/table_json.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "calibration_kernels.hpp"
#include "calibration_report.hpp"
#include "commands.hpp"
#include "common_options.hpp"
#include "energy_source.hpp"
#include "energy_table_option.hpp"
#include "environment.hpp"
#include "format_options.hpp"
#include "observation_file.hpp"
#include "output.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace app {
namespace {

struct calibrate_options {
    energy_source_options source;
    std::vector<std::string> formats;  ///< Those of the device where none is given.
    std::string device = "cpu";
    calibration_plan_options plan;
    std::string observations, out, name, report, simulate, json_target;
    double noise = 0.02, held_out = 0.2;
    std::uint64_t seed = 0;
    bool is_plan_only = false, is_fit_only = false;

    [[nodiscard]] std::FILE* human() const noexcept { return json_target == "-" ? stderr : stdout; }
    [[nodiscard]] bool is_cuda() const { return device == "cuda"; }
    [[nodiscard]] calibration_device find_device() const {
        return is_cuda() ? calibration_device::cuda() : calibration_device::cpu();
    }
    [[nodiscard]] std::string table_path() const {
        return out.empty() ? std::string("energy-table.json") : out;
    }
    /// Beside the table where none is named.
    [[nodiscard]] std::string observation_path() const {
        if (!observations.empty()) return observations;
        return std::filesystem::path(table_path()).replace_extension(".observations.json").string();
    }
    [[nodiscard]] std::string table_name() const {
        return name.empty() ? std::filesystem::path(table_path()).stem().string() : name;
    }
    void require() const {
        if (device != "cpu" && device != "cuda")
            throw qtk::value_error("--device: expected cpu or cuda, found \"" + device + "\"");
        source.require(is_cuda());
        bool const is_amount = plan.seconds > 0.0 && std::isfinite(plan.seconds) &&
                               plan.pause_seconds > 0.0 && std::isfinite(plan.pause_seconds) &&
                               (plan.macs == 0.0 || (plan.macs >= 1.0 && std::isfinite(plan.macs)));
        if (!is_amount)
            throw qtk::value_error(
                "calibrate: expected --seconds and --pause above zero and --macs of at least 1");
        if (!(noise >= 0.0 && noise < 0.5))
            throw qtk::value_error(
                fmt::format("--noise: expected a share from 0 to below 0.5, found {}", noise));
        if (is_fit_only && (is_plan_only || !simulate.empty()))
            throw qtk::value_error("--fit-only: expected one of it, --plan-only and --simulate");
    }
};

/// What runs, and how well its joules could be told apart.
struct expected_plan {
    std::vector<format_run> runs;
    std::vector<qtk::kernel_observation>
        observations;  ///< As a table and rough rates foresee them.
    std::vector<qtk::energy_column> columns;
    double condition = 0.0, seconds = 0.0;
};

[[nodiscard]] expected_plan expect(std::vector<format_run> runs, calibrate_options const& options,
                                   any_energy_table const& table,
                                   qtk::memory_hierarchy const& machine) {
    expected_plan plan{std::move(runs), {}, {}};
    std::vector<qtk::planned_run> planned;
    for (format_run const& one : plan.runs) planned.push_back(one.run);
    qtk::rough_rates rates;
    if (table.static_watts > 0.0) rates.watts = table.static_watts;
    plan.observations = qtk::expected_observations(planned, machine, table, rates);
    plan.columns = qtk::columns_in(plan.observations);
    plan.condition = qtk::amounts_of(plan.observations, plan.columns).condition();
    for (format_run const& one : plan.runs)
        plan.seconds += one.run.pause_seconds + (one.run.repeats > 0 ? options.plan.seconds : 0.0);
    return plan;
}

void show_plan(expected_plan const& plan, calibrate_options const& options,
               std::string const& table_name) {
    std::FILE* const human = options.human();
    text_table table({"run", "x", "W", "pause, s"});
    for (format_run const& one : plan.runs) {
        qtk::matrix_product const& p = one.run.product;
        bool const is_pause = one.format == nullptr;
        table.add({one.run.name, is_pause ? "-" : fmt::format("{} x {}", p.m, p.k),
                   is_pause ? "-" : fmt::format("{} x {}", p.n, p.k),
                   fmt::format("{:g}", one.run.pause_seconds)});
    }
    std::string columns;
    for (auto const& column : plan.columns)
        columns += (columns.empty() ? "" : ", ") + column.name();
    fmt::print(human, "{}\n{} runs fit {} coefficients: {}.\n", table.str(), plan.runs.size(),
               plan.columns.size(), columns);
    fmt::print(human,
               "Condition of the columns, as the table {} and rough rates foresee the runs: {:.1f} "
               "(at most 1000).\n",
               table_name, plan.condition);
    if (options.plan.macs > 0.0)
        fmt::print(human, "A run multiplies {:g} times.\n", options.plan.macs);
    else
        fmt::print(human, "About {:.0f} s of kernels and pauses, {:g} s a run.\n", plan.seconds,
                   options.plan.seconds);
    if (options.json_target.empty()) return;
    json rows = json::array(), names = json::array();
    for (format_run const& one : plan.runs) {
        json row{{"name", one.run.name}, {"pause_seconds", one.run.pause_seconds}};
        qtk::matrix_product const& p = one.run.product;
        if (one.format != nullptr) row.update({{"m", p.m}, {"n", p.n}, {"k", p.k}});
        rows.push_back(std::move(row));
    }
    for (auto const& column : plan.columns) names.push_back(column.name());
    deliver(options.json_target, json{{"schema", "qtk.energy.calibrate.plan/1"},
                                      {"environment", environment::now().to_json()},
                                      {"condition", plan.condition},
                                      {"expected_by", table_name},
                                      {"columns", names},
                                      {"rows", rows}});
}

/// What a table says of one column: the price that a fit should find.
[[nodiscard]] double price_of(qtk::energy_column const& column, any_energy_table const& table,
                              double watts) {
    using what = qtk::energy_column::what;
    if (column.counts == what::time) return watts;
    if (column.counts == what::bits) return table.e_bit(column.level).picojoules();
    qtk::operand const a{column.kind, column.weight_bits}, b{column.kind, column.activation_bits};
    return (table.e_mul(a, b) + table.e_add(qtk::accumulator_of(a, b))).picojoules();
}

/// Fits and tells: the end of every way to get observations.
void finish(calibrate_options const& options, std::vector<qtk::kernel_observation> observations,
            qtk::calibration_source const& source, std::vector<std::string> warnings,
            std::function<double(qtk::energy_column const&)> const& planted = {},
            std::string const& planted_name = {}) {
    qtk::calibration_options const how{.held_out = options.held_out,
                                       .split_seed = options.seed,
                                       .bootstrap = {.resamples = 1000, .seed = options.seed}};
    calibration_outcome outcome{.table = qtk::calibrate(observations, source, how),
                                .observations = {},
                                .held_out = qtk::split_of(observations.size(), how).held_out,
                                .planted = {},
                                .planted_name = planted_name,
                                .warnings = std::move(warnings),
                                .seed = options.seed};
    if (planted)
        for (auto const& column : qtk::columns_in(observations))
            outcome.planted.push_back(planted(column));
    outcome.observations = std::move(observations);
    std::FILE* const human = options.human();
    fmt::print(human, "{}", calibration_text(outcome));
    bool const is_written = !outcome.is_rehearsal() || !options.out.empty();
    if (is_written) {
        qtk::write_energy_table(options.table_path(), outcome.table);
        fmt::print(human, "Table: {0}; use it with --energy-table {0}\n", options.table_path());
    }
    if (!options.report.empty()) {
        deliver(options.report, calibration_html(outcome));
        fmt::print(human, "Report: {}\n", options.report);
    }
    std::fflush(human);
    if (!options.json_target.empty()) deliver(options.json_target, calibration_json(outcome));
}

/// Joules from a table instead of a meter, to see that the fit finds that table again.
void rehearse(calibrate_options const& options, expected_plan plan, any_energy_table const& table) {
    double const watts = table.static_watts > 0.0 ? table.static_watts : qtk::rough_rates{}.watts;
    auto const price = [&](qtk::energy_column const& column) {
        return price_of(column, table, watts);
    };
    auto const noise = qtk::gaussian_vector(plan.observations.size(), options.seed + 1);
    for (std::size_t i = 0; i < plan.observations.size(); ++i) {
        qtk::kernel_observation& one = plan.observations[i];
        one.joules = 0.0;
        for (auto const& column : plan.columns)
            one.joules += qtk::amount_of(column, one) * column.joules_per_unit() * price(column);
        one.joules *= std::max(0.01, 1.0 + options.noise * static_cast<double>(noise[i]));
    }
    environment const where = environment::now();
    finish(options, std::move(plan.observations),
           {.name = options.name.empty() ? "rehearsal of " + table.name : options.name,
            .date = where.date,
            .machine = "no machine",
            .meter = fmt::format("no meter (rehearsal, nothing measured: {} with {:g} % of noise)",
                                 table.name, 100.0 * options.noise)},
           {}, price, table.name);
}

/// Refuses a file whose runs are not the first ones of this plan on this machine.
void require_same(observation_record const& record, std::string const& path,
                  std::vector<format_run> const& plan, std::string const& machine,
                  calibrate_options const& options) {
    auto const refuse = [&](std::string const& what) {
        throw qtk::value_error(
            path + ": " + what +
            ". Hint: give the flags it was measured with, name another file with "
            "--observations, or fit what it holds with --fit-only");
    };
    if (record.machine != machine)
        refuse("was measured on \"" + record.machine + "\", and this is \"" + machine + "\"");
    if (record.runs.size() > plan.size())
        refuse(fmt::format("holds {} runs, and this plan has {}", record.runs.size(), plan.size()));
    for (std::size_t i = 0; i < record.runs.size(); ++i) {
        qtk::kernel_observation const& found = record.runs[i].kernel;
        qtk::planned_run const& expected = plan[i].run;
        qtk::matrix_product const& p = expected.product;
        double const macs = static_cast<double>(p.m * p.n * p.k * expected.repeats);
        bool const is_same_work = options.plan.macs == 0.0 || expected.repeats == 0 ||
                                  (!found.works.empty() && found.works.front().macs == macs);
        if (found.name != expected.name || !is_same_work)
            refuse(fmt::format("its run {} is \"{}\", and that of this plan is \"{}\"", i + 1,
                               found.name, expected.name));
    }
}

[[nodiscard]] double seconds_since_1970() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/// One run between two readings; `meter` reads nothing where a trace will say the joules.
[[nodiscard]] recorded_run measure(format_run one, calibrate_options const& options,
                                   calibration_device const& device, run_meter const& meter,
                                   bool& is_far_enough) {
    std::unique_ptr<calibration_kernel> kernel;
    if (one.format != nullptr) {
        kernel = make_kernel(one, device);
        is_far_enough = is_far_enough && kernel->is_far_enough();
        // Pages, threads and clocks are there before the first reading.
        static_cast<void>(kernel->multiply_for(0.1 * options.plan.seconds));
    }
    using clock = std::chrono::steady_clock;
    recorded_run result;
    // A meter may wait for a fresh value: time counts from when it has one.
    double const before = meter.read ? meter.read() : 0.0;
    auto const begin = clock::now();
    result.start = seconds_since_1970();
    if (kernel && options.plan.macs > 0.0)
        kernel->multiply(one.run.repeats);
    else if (kernel)
        one.run.repeats = kernel->multiply_for(options.plan.seconds);
    std::this_thread::sleep_for(std::chrono::duration<double>(one.run.pause_seconds));
    if (meter.read) {
        result.kernel.joules = meter.read() - before;
        result.has_joules = true;
    }
    result.kernel.seconds = std::chrono::duration<double>(clock::now() - begin).count();
    result.kernel.name = one.run.name;
    if (kernel) one.run.product.weight_bits = kernel->weight_bits();
    result.kernel.works = qtk::work_of(one.run, device.hierarchy());
    return result;
}

void measure_and_fit(calibrate_options const& options, std::vector<format_run> const& plan) {
    std::FILE* const human = options.human();
    std::string const path = options.observation_path();
    environment const where = environment::now();
    observation_record record;
    auto found = find_observations(path);
    if (options.is_fit_only && !found)
        throw qtk::value_error("--fit-only: there is no file " + path +
                               ". Hint: name one with --observations");
    if (found) record = std::move(*found);
    calibration_device device;
    if (!options.is_fit_only) device = options.find_device();
    if (found && !options.is_fit_only) require_same(record, path, plan, device.name, options);
    if (!record.runs.empty())
        fmt::print(human, "{} {} are taken from {}.\n", record.runs.size(),
                   options.is_fit_only ? "runs" : fmt::format("of {} runs", plan.size()), path);

    std::vector<std::string> warnings;
    std::size_t const missing = options.is_fit_only ? 0 : plan.size() - record.runs.size();
    if (missing > 0) {
        qtk::atomic_file::require_possible(path);
        if (!options.source.traces.empty())
            throw qtk::value_error(fmt::format(
                "{}: {} of {} runs are there. Hint: first run all of them, without --trace: "
                "--meter trace --observations {}",
                path, record.runs.size(), plan.size(), path));
        run_meter meter{"a trace to come", {}};
        if (!options.source.is_trace())
            meter = open_meter(options.source, device.is_cuda, device.name);
        std::string const& source = meter.description;
        if (record.runs.empty())
            record = {.machine = device.name, .meter = source, .date = where.date, .runs = {}};
        else if (record.meter != source)
            throw qtk::value_error(path + ": was measured by \"" + record.meter +
                                   "\", and the meter is \"" + source +
                                   "\" now. Hint: name another file with --observations");
        fmt::print(human, "Meter: {}\nMeasuring {} runs; {} is written after each of them.\n",
                   source, missing, path);
        std::fflush(human);
        bool is_far_enough = true;
        progress_line const line;
        while (record.runs.size() < plan.size()) {
            format_run const& next = plan[record.runs.size()];
            line.show(fmt::format("run {} of {}: {}", record.runs.size() + 1, plan.size(),
                                  next.run.name));
            record.runs.push_back(measure(next, options, device, meter, is_far_enough));
            write_observations(path, record);
        }
        if (!is_far_enough)
            warnings.push_back(
                "A quarter of the memory holds no weights beyond the last cache: what is called "
                "DRAM was partly that cache.");
        if (where.load > 0.5 * static_cast<double>(where.cores))
            warnings.push_back(fmt::format(
                "The machine was busy before (load {:.1f} on {} cores): joules hold others' work.",
                where.load, where.cores));
    }
    if (!options.source.traces.empty()) {
        take_joules(record, options.source);
        record.meter = trace_names(options.source);
    } else if (options.source.is_trace() &&
               std::ranges::any_of(record.runs, [](auto const& r) { return !r.has_joules; })) {
        fmt::print(human,
                   "The {} runs have no joules yet. Now give the meter's log, a CSV of "
                   "seconds,joules (seconds since 1970): --meter trace --trace FILE.csv "
                   "--observations {}\n",
                   record.runs.size(), path);
        return;
    }
    finish(options, record.observations(),
           {.name = options.table_name(),
            .date = record.date,
            .machine = record.machine,
            .meter = record.meter},
           warnings);
}

void run(calibrate_options& options) {
    options.require();
    if (options.is_fit_only) {
        measure_and_fit(options, {});
        return;
    }
    if (options.formats.empty())
        options.formats = options.is_cuda()
                              ? std::vector<std::string>{"w4", "w8a8", "w4a8"}
                              : std::vector<std::string>{"fp32", "i8/channel@bf16", "w8a8", "w4a8"};
    options.plan.formats = parse_formats(options.formats);
    options.plan.is_cuda = options.is_cuda();
    auto plan = plan_of(options.plan);
    if (!options.is_plan_only && options.simulate.empty()) {
        measure_and_fit(options, plan);
        return;
    }
    std::string const name = options.simulate.empty() ? "horowitz_45nm" : options.simulate;
    any_energy_table const table = find_energy_table(name);
    expected_plan expected =
        expect(std::move(plan), options, table, options.find_device().hierarchy());
    if (options.is_plan_only)
        show_plan(expected, options, table.name);
    else
        rehearse(options, std::move(expected), table);
}

}  // namespace

void add_calibrate(CLI::App& program) {
    auto const options = std::make_shared<calibrate_options>();
    CLI::App& command = *program.add_subcommand(
        "calibrate",
        "Fit the energy of operations and bits to a meter, as a table for --energy-table");
    command
        .add_option("--device", options->device,
                    "cpu, or cuda: the GPU, with qtk's CUDA kernels, measured by NVML")
        ->capture_default_str()
        ->type_name("{cpu,cuda}");
    command
        .add_option(
            "--meter", options->source.meter,
            "auto, rapl (the processor's counters), nvml (the GPU's, with --device cuda) or "
            "trace (the log of another meter)")
        ->capture_default_str()
        ->type_name("{auto,rapl,nvml,trace}");
    command
        .add_option("--trace", options->source.traces,
                    "CSV of seconds,joules that another meter wrote while the runs were made; "
                    "repeatable")
        ->type_name("FILE");
    command
        .add_option("--trace-offset", options->source.trace_offset,
                    "seconds to add to those of the traces")
        ->capture_default_str();
    command
        .add_option("--powercap", options->source.powercap, "where Linux shows the RAPL counters")
        ->capture_default_str()
        ->type_name("DIR");
    command
        .add_option(
            "--observations", options->observations,
            "JSON file of what was measured, written after each run and taken up when it is "
            "there; beside the table if not given")
        ->type_name("FILE");
    command.add_flag("--fit-only", options->is_fit_only,
                     "run nothing: fit what --observations holds, wherever it was measured");
    command.add_flag("--plan-only", options->is_plan_only,
                     "show what would run and how well its joules could be told apart");
    command
        .add_option("--simulate", options->simulate,
                    "rehearsal, nothing is measured: joules are made up from this table (a name "
                    "or a JSON file) and fitted")
        ->type_name("TABLE");
    command.add_option("--noise", options->noise, "of the rehearsal's joules, a share")
        ->capture_default_str();
    command
        .add_option("--schemes,--formats", options->formats,
                    "which products run: fp32, or packed codes such as w4; "
                    "fp32,i8/channel@bf16,w8a8,w4a8 if not given, w4,w8a8,w4a8 on a GPU")
        ->delimiter(',')
        ->type_name("FORMAT");
    command.add_option("--seconds", options->plan.seconds, "that a run multiplies")
        ->capture_default_str();
    command.add_option("--macs", options->plan.macs,
                       "multiplications of a run instead of its seconds");
    command.add_option("--replicates", options->plan.replicates, "how often every product runs")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command
        .add_option("--pause", options->plan.pause_seconds,
                    "seconds without work in some of the runs, which tell what time costs")
        ->capture_default_str();
    command.add_option("--held-out", options->held_out, "share of the runs that are not fitted")
        ->capture_default_str();
    command
        .add_option("--out", options->out,
                    "the table; energy-table.json if not given, none of a rehearsal")
        ->check(file_to_write())
        ->type_name("FILE");
    command.add_option("--name", options->name, "of the table; that of its file if not given");
    command.add_flag("--json{-}", options->json_target,
                     "the figures as JSON, to standard output or --json=FILE");
    command.add_option("--report", options->report, "the figures as a page of HTML")
        ->type_name("FILE");
    command.add_option("--seed", options->seed, "of the split, the bootstrap, a rehearsal's noise")
        ->capture_default_str();
    add_threads(command);
    command.callback([options] { run(*options); });
}

}  // namespace app
