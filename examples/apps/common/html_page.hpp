// SPDX-License-Identifier: Apache-2.0
//
// How is a report shown? One HTML file with everything in it: no scripts, nothing from a network, readable on a
// telephone and on paper. Text comes in plain and is escaped here.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace app {

/// Figures by row and column, each cell coloured by its figure. Colours and lowest and highest go by what
/// is printed: a figure that rounds to 0 is 0.
struct heat_map {
    std::string title, caption;
    std::vector<std::string> rows, columns;
    std::vector<std::vector<double>> values;  ///< (rows, columns); NaN: no figure, shown as "-".
    int digits = 2;                           ///< Behind the point.
    double white = 0.0;                       ///< Below it, cells are green.
    /// The highest figure by default; give one to maps to compare.
    std::optional<double> darkest{};
};

/// Calm: all is well. Doubt: read this before the figures.
enum class note_kind { calm, doubt };

class html_page {
  public:
    /// The title is also the first heading.
    explicit html_page(std::string const& title);

    /// Level 1 to 6.
    void heading(std::string const& text, int level = 2);
    /// A newline breaks the line, in notes too; `emphasis` follows the text, in italics.
    void paragraph(std::string const& text, std::string const& emphasis = {});
    void note(std::string const& text, note_kind kind);
    void list(std::vector<std::string> const& items);
    /// Commands, recipes: line breaks and spaces stay.
    void code(std::string const& text);
    /// Columns are flush right, except the first; those in `prose` hold text that wraps, as it was written.
    void table(std::vector<std::string> const& header,
               std::vector<std::vector<std::string>> const& rows,
               std::vector<std::size_t> const& prose = {});
    /// A chart of chart.hpp; nothing where there is none. Two in a row stand side by side.
    void figure(std::optional<std::string> const& svg);
    /// qtk::shape_error where the values do not fit the names.
    void heat_map(app::heat_map const& map);

    /// The whole file.
    [[nodiscard]] std::string str() const;

  private:
    std::string title_, body_;
};

}  // namespace app
