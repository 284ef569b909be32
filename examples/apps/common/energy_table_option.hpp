// SPDX-License-Identifier: Apache-2.0
//
// Whose joules? One flag in every command: a table of <qtk/energy/published.hpp> by its name, or a JSON file of
// <qtk/energy/table_json.hpp> by its path, such as one that `quant-energy calibrate` has written.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/coefficients.hpp>
#include <qtk/energy/published.hpp>
#include <qtk/energy/table.hpp>
#include <qtk/energy/table_json.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "did_you_mean.hpp"
#include <algorithm>
#include <concepts>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace app {

namespace detail {
template <typename Published>
struct any_table_of;
template <typename... Published>
struct any_table_of<std::tuple<Published...>> {
    using type = std::variant<Published..., qtk::coefficient_table>;
};
}  // namespace detail

/// Any of the tables. Models qtk::energy_table.
class any_energy_table {
  public:
    template <typename Table>
    requires(!std::same_as<Table, any_energy_table>) explicit any_energy_table(Table table)
        : table_(std::move(table)) {
        std::visit(
            [this](auto const& one) {
                name = one.name;
                citation = one.citation;
                ignores = one.ignores;
                if constexpr (requires { one.static_watts; }) static_watts = one.static_watts;
            },
            table_);
        if (static_watts > 0.0)
            ignores += std::string(ignores.empty() ? "" : ", ") +
                       "static power unless a time is given (" +
                       fmt::format("{:.3g}", static_watts) + " W)";
    }

    std::string name, citation, ignores;
    /// What a fitted table found that time costs; no estimate counts it by itself.
    double static_watts = 0.0;

    [[nodiscard]] qtk::joules e_mul(qtk::operand weight, qtk::operand activation) const {
        return std::visit([&](auto const& one) { return one.e_mul(weight, activation); }, table_);
    }
    [[nodiscard]] qtk::joules e_add(qtk::operand number) const {
        return std::visit([&](auto const& one) { return one.e_add(number); }, table_);
    }
    [[nodiscard]] qtk::joules e_bit(qtk::memory_level level) const {
        return std::visit([&](auto const& one) { return one.e_bit(level); }, table_);
    }
    [[nodiscard]] qtk::traffic moved(qtk::layer_work const& work) const {
        return std::visit([&](auto const& one) { return one.moved(work); }, table_);
    }

  private:
    detail::any_table_of<qtk::published_tables>::type table_;
};
static_assert(qtk::energy_table<any_energy_table>);

/// "quadratic_linear_1_200, horowitz_45nm, ..."
[[nodiscard]] inline std::string energy_table_list() {
    std::string names;
    for (std::string_view const name : qtk::energy_table_names)
        names += (names.empty() ? "" : ", ") + std::string(name);
    return names;
}

/// The table of this name or in this file. qtk::value_error with all names where it is neither,
/// qtk::io_error for a file that holds none.
[[nodiscard]] inline any_energy_table find_energy_table(std::string const& name_or_path) {
    std::vector<std::string> const names(qtk::energy_table_names.begin(),
                                         qtk::energy_table_names.end());
    if (std::ranges::find(names, name_or_path) != names.end())
        return qtk::with_energy_table(name_or_path,
                                      [](auto const& table) { return any_energy_table(table); });
    std::error_code ignored;
    bool const is_path = name_or_path.find('/') != name_or_path.npos ||
                         name_or_path.ends_with(".json") ||
                         std::filesystem::is_regular_file(name_or_path, ignored);
    if (is_path) return any_energy_table(qtk::read_energy_table(name_or_path));
    throw qtk::value_error("--energy-table: there is no table called \"" + name_or_path +
                           "\"; known are " + energy_table_list() +
                           ", or the path of a JSON file." + did_you_mean(name_or_path, names));
}

/// --energy-table, with all names in its help.
inline void add_energy_table(CLI::App& command, std::string& name_or_path) {
    command
        .add_option("--energy-table", name_or_path,
                    energy_table_list() + ", or a JSON file, such as quant-energy calibrate writes")
        ->capture_default_str()
        ->type_name("TABLE");
}

}  // namespace app
