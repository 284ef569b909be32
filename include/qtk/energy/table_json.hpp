// SPDX-License-Identifier: Apache-2.0
//
// How is a coefficient table kept in a file? As JSON that a person can write:
//
//     {"format": "qtk energy table 1", "name": "my_chip", "citation": "data sheet, page 3",
//      "ignores": "control", "static_watts": 2.5,
//      "integer": {"mul": [{"weight_bits": 8, "activation_bits": 8, "pj": 0.2}],
//                  "add": [{"bits": 32, "pj": 0.1}]},
//      "float": {...}, "bfloat": {...}, "pj_per_bit": {"dram": 20, "sram_1mib": 1.5}}
//
// A fitted table also has "calibration". Members that are not known are refused: a misspelled price
// would be a price of zero.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/coefficients.hpp>
#include <qtk/io/atomic_file.hpp>
#include <qtk/io/json_fields.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/utf8.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace qtk {

inline constexpr std::string_view energy_table_format = "qtk energy table 1";

namespace detail {

class energy_table_reader {
  public:
    using json = nlohmann::json;

    explicit energy_table_reader(std::string const& file) : fields_(file) {}

    [[nodiscard]] coefficient_table read(json const& root) const {
        require_members(root, "the table",
                        {"format", "name", "citation", "ignores", "static_watts", "integer",
                         "float", "bfloat", "pj_per_bit", "calibration"});
        if (!json_fields::is(root, "format", energy_table_format))
            fields_.refuse_kind("format", "\"" + std::string(energy_table_format) + "\"",
                                json_fields::member(root, "format"));
        coefficient_table table;
        table.name = fields_.text(root, "name");
        table.citation = fields_.text(root, "citation");
        if (has(root, "ignores")) table.ignores = fields_.text(root, "ignores");
        if (has(root, "static_watts")) table.static_watts = fields_.number(root, "static_watts");
        table.integer = prices(root, "integer");
        table.floating = prices(root, "float");
        table.bfloat = prices(root, "bfloat");
        if (has(root, "pj_per_bit")) {
            json const& bits = root.at("pj_per_bit");
            require_members(bits, "pj_per_bit", {"dram", "sram_1mib", "sram_32kib", "sram_8kib"});
            for (memory_level const level : memory_levels)
                if (std::string const key(to_string(level)); has(bits, key))
                    table.bit_picojoules[static_cast<std::size_t>(level)] =
                        fields_.number(bits, key);
        }
        if (has(root, "calibration")) table.calibration = record(root.at("calibration"));
        try {
            require_table(table);
        } catch (value_error const& fault) {
            fields_.refuse(fault.what());
        }
        return table;
    }

  private:
    [[nodiscard]] static bool has(json const& object, std::string const& key) {
        return object.contains(key);
    }
    void require_members(json const& object, std::string const& what,
                         std::initializer_list<std::string_view> known) const {
        if (!object.is_object()) fields_.refuse_kind(what, "an object", object);
        for (auto const& [key, value] : object.items())
            if (std::find(known.begin(), known.end(), key) == known.end()) {
                std::string names;
                for (std::string_view const name : known)
                    names += (names.empty() ? "" : ", ") + std::string(name);
                fields_.refuse(what + ": unknown member " + qtk::quoted(key) + "; known are " +
                               names);
            }
    }
    [[nodiscard]] int bits(json const& object, char const* key) const {
        return static_cast<int>(fields_.whole(object, key, 1, 64));
    }
    [[nodiscard]] arithmetic_prices prices(json const& root, std::string const& kind) const {
        arithmetic_prices result;
        if (!has(root, kind)) return result;
        json const& object = root.at(kind);
        require_members(object, kind, {"mul", "add"});
        if (has(object, "mul"))
            for (json const& point : fields_.array(object, "mul")) {
                require_members(point, kind + " mul", {"weight_bits", "activation_bits", "pj"});
                result.mul.push_back({bits(point, "weight_bits"), bits(point, "activation_bits"),
                                      fields_.number(point, "pj")});
            }
        if (has(object, "add"))
            for (json const& point : fields_.array(object, "add")) {
                require_members(point, kind + " add", {"bits", "pj"});
                result.add.push_back({bits(point, "bits"), fields_.number(point, "pj")});
            }
        return result;
    }
    [[nodiscard]] calibration_record record(json const& object) const {
        require_members(object, "calibration",
                        {"date", "machine", "meter", "r_squared", "mape", "condition", "level",
                         "fitted", "held_out", "coefficients"});
        auto const count = [&](char const* key) {
            return static_cast<std::size_t>(
                fields_.whole(object, key, 0, std::numeric_limits<std::int32_t>::max()));
        };
        calibration_record result{.date = fields_.text(object, "date"),
                                  .machine = fields_.text(object, "machine"),
                                  .meter = fields_.text(object, "meter"),
                                  .r_squared = fields_.number(object, "r_squared"),
                                  .mape = fields_.number(object, "mape"),
                                  .condition = fields_.number(object, "condition"),
                                  .level = fields_.number(object, "level"),
                                  .fitted = count("fitted"),
                                  .held_out = count("held_out"),
                                  .coefficients = {}};
        for (json const& one : fields_.array(object, "coefficients")) {
            require_members(one, "coefficients", {"name", "unit", "value", "low", "high"});
            result.coefficients.push_back(
                {fields_.text(one, "name"),
                 fields_.text(one, "unit"),
                 {fields_.number(one, "value"), fields_.number(one, "low"),
                  fields_.number(one, "high")}});
        }
        return result;
    }

    json_fields fields_;
};

}  // namespace detail

/// The table as JSON; value_error for one that require_table() refuses.
[[nodiscard]] inline nlohmann::json json_of(coefficient_table const& table) {
    using json = nlohmann::json;
    require_table(table);
    json root = {{"format", energy_table_format},
                 {"name", table.name},
                 {"citation", table.citation},
                 {"ignores", table.ignores},
                 {"static_watts", table.static_watts}};
    auto const put = [&](char const* kind, arithmetic_prices const& prices) {
        if (prices.mul.empty() && prices.add.empty()) return;
        json& object = root[kind] = {{"mul", json::array()}, {"add", json::array()}};
        for (auto const& point : prices.mul)
            object["mul"].push_back({{"weight_bits", point.weight_bits},
                                     {"activation_bits", point.activation_bits},
                                     {"pj", point.picojoules}});
        for (auto const& point : prices.add)
            object["add"].push_back({{"bits", point.bits}, {"pj", point.picojoules}});
    };
    put("integer", table.integer);
    put("float", table.floating);
    put("bfloat", table.bfloat);
    for (memory_level const level : memory_levels)
        root["pj_per_bit"][std::string(to_string(level))] =
            table.bit_picojoules[static_cast<std::size_t>(level)];
    if (table.calibration) {
        calibration_record const& from = *table.calibration;
        json& record =
            root["calibration"] = {{"date", from.date},         {"machine", from.machine},
                                   {"meter", from.meter},       {"r_squared", from.r_squared},
                                   {"mape", from.mape},         {"condition", from.condition},
                                   {"level", from.level},       {"fitted", from.fitted},
                                   {"held_out", from.held_out}, {"coefficients", json::array()}};
        for (auto const& one : from.coefficients)
            record["coefficients"].push_back({{"name", one.name},
                                              {"unit", one.unit},
                                              {"value", one.estimate.value},
                                              {"low", one.estimate.low},
                                              {"high", one.estimate.high}});
    }
    return root;
}

/// The table that `text` holds; io_error naming `path` and what is wrong.
[[nodiscard]] inline coefficient_table parse_energy_table(std::string_view text,
                                                          std::string const& path,
                                                          io_limits const& limits = {}) {
    return detail::energy_table_reader(path).read(parse_strict_json(text, path, limits));
}

[[nodiscard]] inline coefficient_table read_energy_table(std::filesystem::path const& path,
                                                         io_limits const& limits = {}) {
    mapped_file const file = mapped_file::open(path, io_mode::read, limits.json_bytes);
    return parse_energy_table(file.text(), file.path(), limits);
}

/// Writes the whole file or nothing; numbers come back bit for bit.
inline void write_energy_table(std::filesystem::path const& path, coefficient_table const& table) {
    std::string const text = json_of(table).dump(2) + "\n";
    atomic_file file(path, text.size());
    file.write(std::as_bytes(std::span(text)));
    file.commit();
}

}  // namespace qtk
