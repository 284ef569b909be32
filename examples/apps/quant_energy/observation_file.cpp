// SPDX-License-Identifier: Apache-2.0
#include "observation_file.hpp"

#include <qtk/core/error.hpp>
#include <qtk/io/json_fields.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/strict_json.hpp>

#include "output.hpp"
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace app {
namespace {

constexpr std::string_view file_format = "qtk energy observations 1";
constexpr std::pair<qtk::arithmetic, std::string_view> kinds[] = {
    {qtk::arithmetic::integer, "integer"},
    {qtk::arithmetic::ieee_float, "float"},
    {qtk::arithmetic::bfloat, "bfloat"},
    {qtk::arithmetic::codebook, "codebook"}};

json json_of(qtk::operand number) {
    std::string_view kind;
    for (auto const& [value, name] : kinds)
        if (value == number.kind) kind = name;
    return {{"kind", kind}, {"bits", number.bits}};
}

json json_of(qtk::layer_work const& work) {
    json moved = json::object();
    for (qtk::memory_level const level : qtk::memory_levels)
        moved[std::string(qtk::to_string(level))] = work.moved.at(level);
    return {{"macs", work.macs},
            {"weights", work.weights},
            {"weight", json_of(work.weight)},
            {"activation", json_of(work.activation)},
            {"accumulator", json_of(work.accumulator)},
            {"moved", moved}};
}

class reader {
  public:
    using value = nlohmann::json;

    explicit reader(std::string const& file) : fields_(file) {}

    [[nodiscard]] observation_record read(value const& root) const {
        require_members(root, "the file", {"format", "machine", "meter", "date", "observations"});
        if (!qtk::json_fields::is(root, "format", file_format))
            fields_.refuse_kind("format", "\"" + std::string(file_format) + "\"",
                                qtk::json_fields::member(root, "format"));
        observation_record record{.machine = fields_.text(root, "machine"),
                                  .meter = fields_.text(root, "meter"),
                                  .date = fields_.text(root, "date"),
                                  .runs = {}};
        for (value const& one : fields_.array(root, "observations"))
            record.runs.push_back(run(one));
        return record;
    }

  private:
    void require_members(value const& object, std::string const& what,
                         std::initializer_list<std::string_view> known) const {
        if (!object.is_object()) fields_.refuse_kind(what, "an object", object);
        for (auto const& [key, member] : object.items())
            if (std::ranges::find(known, key) == known.end())
                fields_.refuse(what + ": unknown member " + qtk::quoted(key));
    }
    /// A finite number of at least zero.
    [[nodiscard]] double amount(value const& object, char const* key) const {
        double const number = fields_.number(object, key);
        if (!(number >= 0.0) || !std::isfinite(number))
            fields_.refuse_kind(key, "a finite number of at least zero", object.at(key));
        return number;
    }
    [[nodiscard]] double amount_or_none(value const& object, char const* key) const {
        return object.contains(key) ? amount(object, key) : 0.0;
    }
    [[nodiscard]] qtk::operand operand(value const& object, char const* key) const {
        value const& number = qtk::json_fields::member(object, key);
        require_members(number, key, {"kind", "bits"});
        qtk::operand result{.kind = {},
                            .bits = static_cast<int>(fields_.whole(number, "bits", 1, 64))};
        std::string const& kind = fields_.text(number, "kind");
        for (auto const& [known, name] : kinds)
            if (name == kind) {
                result.kind = known;
                return result;
            }
        fields_.refuse_kind("kind", "integer, float, bfloat or codebook", number.at("kind"));
    }
    [[nodiscard]] qtk::layer_work work(value const& object) const {
        require_members(object, "works",
                        {"macs", "weights", "weight", "activation", "accumulator", "moved"});
        qtk::layer_work result{.macs = amount(object, "macs"),
                               .weights = amount(object, "weights"),
                               .weight = operand(object, "weight"),
                               .activation = operand(object, "activation"),
                               .accumulator = {}};
        result.accumulator = object.contains("accumulator")
                                 ? operand(object, "accumulator")
                                 : qtk::accumulator_of(result.weight, result.activation);
        value const& moved = qtk::json_fields::member(object, "moved");
        require_members(moved, "moved", {"dram", "sram_1mib", "sram_32kib", "sram_8kib"});
        for (qtk::memory_level const level : qtk::memory_levels)
            result.moved.at(level) =
                amount_or_none(moved, std::string(qtk::to_string(level)).c_str());
        return result;
    }
    [[nodiscard]] recorded_run run(value const& object) const {
        require_members(object, "observations", {"name", "start", "seconds", "joules", "works"});
        recorded_run result{.kernel = {.name = fields_.text(object, "name"),
                                       .works = {},
                                       .seconds = amount(object, "seconds"),
                                       .joules = amount_or_none(object, "joules")},
                            .start = amount_or_none(object, "start"),
                            .has_joules = object.contains("joules")};
        for (value const& one : fields_.array(object, "works"))
            result.kernel.works.push_back(work(one));
        return result;
    }

    qtk::json_fields fields_;
};

}  // namespace

std::vector<qtk::kernel_observation> observation_record::observations() const {
    std::vector<qtk::kernel_observation> result;
    for (recorded_run const& run : runs) {
        if (!run.has_joules)
            throw qtk::value_error("observation \"" + run.kernel.name +
                                   "\" has no joules. Hint: give the recorded trace of a meter "
                                   "that was on at that time with --trace FILE.csv");
        result.push_back(run.kernel);
    }
    return result;
}

std::optional<observation_record> find_observations(std::string const& path) {
    if (!std::filesystem::exists(path)) return std::nullopt;
    qtk::io_limits const limits;
    auto const file = qtk::mapped_file::open(path, qtk::io_mode::read, limits.json_bytes);
    return reader(path).read(qtk::parse_strict_json(file.text(), path, limits));
}

void write_observations(std::string const& path, observation_record const& record) {
    json list = json::array();
    for (recorded_run const& run : record.runs) {
        json one{{"name", run.kernel.name}, {"seconds", run.kernel.seconds}};
        if (run.has_joules) one["joules"] = run.kernel.joules;
        if (run.start > 0.0) one["start"] = run.start;
        one["works"] = json::array();
        for (qtk::layer_work const& work : run.kernel.works) one["works"].push_back(json_of(work));
        list.push_back(std::move(one));
    }
    deliver(path, json{{"format", file_format},
                       {"machine", record.machine},
                       {"meter", record.meter},
                       {"date", record.date},
                       {"observations", list}});
}

}  // namespace app
