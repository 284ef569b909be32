// SPDX-License-Identifier: Apache-2.0
#include "html_page.hpp"

#include <qtk/core/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace app {
namespace {

// A long map scrolls in a box of its own, so that its header and first column stay in sight.
constexpr char const* style = R"(
:root{color-scheme:light}
body{font:15px/1.45 sans-serif;color:#222;background:#fff;max-width:1180px;margin:2em auto;padding:0 1em}
body{overflow-wrap:break-word}
p,.note,li{white-space:pre-line}
.note{margin:1em 0;padding:.6em 1em;border-left:4px solid}
.calm{background:#e8f4ea;border-color:#4a8}
.doubt{background:#fff3d6;border-color:#e0a000}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.45 monospace;background:#f4f4f4;padding:.6em 1em}
figure{display:inline-block;margin:.5em;vertical-align:top;max-width:100%}
svg{max-width:100%;height:auto}
.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:1em 0;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:.3em .7em;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
th{border-bottom:2px solid #888}
th:first-child,td:first-child,th.prose{text-align:left}
td.prose{text-align:start;white-space:pre-wrap;overflow-wrap:anywhere;min-width:14em;font-family:monospace}
.map{margin:1.5em 0}
.map p{margin:.3em 0}
.map .scroll{overflow:auto;max-height:85vh;width:fit-content;max-width:100%}
.map table{border-collapse:separate;border-spacing:0;margin:.5em 0}
.map th,.map td{border:0;padding:.25em .6em;min-width:2.6em;box-shadow:inset 0 0 0 .5px #fff}
.map th{background:#fff;vertical-align:bottom}
.map th span{display:inline-block;width:max-content;max-width:7em;white-space:normal;overflow-wrap:anywhere}
.map th:first-child{position:sticky;left:0;z-index:1;font-weight:normal}
.map th:first-child span{max-width:22em}
.map thead th{position:sticky;top:0;z-index:2}
.map thead th:first-child{z-index:3}
.scale{display:inline-block;width:min(8em,22vw);height:.9em;margin:0 .5em;vertical-align:-.1em;outline:1px solid #ccc}
.note,.scale,.map td{-webkit-print-color-adjust:exact;print-color-adjust:exact}
@media(max-width:600px){body{margin:1em auto}figure{margin:.5em 0}.map th:first-child span{max-width:9em}}
@media print{
body{margin:0;max-width:none}.scroll,.map .scroll{overflow:visible;max-height:none}table{font-size:11px}
figure,tr,.note,pre{break-inside:avoid}h2,h3{break-after:avoid}.map th,.map th:first-child{position:static}}
)";

std::string escaped(std::string const& text) {
    std::string out;
    for (char const c : text)
        out += c == '<'   ? "&lt;"
               : c == '>' ? "&gt;"
               : c == '&' ? "&amp;"
               : c == '"' ? "&quot;"
                          : std::string(1, c);
    return out;
}

struct colour {
    double red = 0.0, green = 0.0, blue = 0.0;
};
constexpr colour white{255, 255, 255}, blue{68, 119, 170}, dark_blue{12, 38, 76};
constexpr colour pale_green{228, 243, 226}, green{164, 214, 164};

colour mix(colour const& from, colour const& to, double part) {
    return {std::lerp(from.red, to.red, part), std::lerp(from.green, to.green, part),
            std::lerp(from.blue, to.blue, part)};
}
std::string hex(colour const& c) {
    return fmt::format("#{:02x}{:02x}{:02x}", std::lround(c.red), std::lround(c.green),
                       std::lround(c.blue));
}

/// How far is `value` on the way from `start` to `end`, 0 to 1?
double part_of_way(double value, double start, double end) {
    if (std::isinf(value)) return 1.0;
    return start == end ? 0.0 : std::clamp((value - start) / (end - start), 0.0, 1.0);
}

/// A figure and the names of its row and column.
struct extreme {
    double value = 0.0;
    std::string where;
};

/// The figures of a map as they are printed, and their colours.
class map_scale {
  public:
    explicit map_scale(heat_map const& map) : digits_(map.digits), white_(map.white) {
        for (std::size_t r = 0; r < map.rows.size(); ++r)
            for (std::size_t c = 0; c < map.columns.size(); ++c) {
                double const value = rounded(map.values[r][c]);
                has_gaps_ = has_gaps_ || std::isnan(value);
                if (!std::isfinite(value)) continue;
                std::string const where = map.rows[r] + ", " + map.columns[c];
                if (!lowest_ || value < lowest_->value) lowest_ = {value, where};
                if (!highest_ || value > highest_->value) highest_ = {value, where};
            }
        greenest_ = std::min(white_, lowest_ ? lowest_->value : white_);
        darkest_ = std::max(white_, map.darkest.value_or(highest_ ? highest_->value : white_));
    }

    [[nodiscard]] std::string text_of(double value) const {
        return std::isnan(value) ? "-" : fmt::format("{:.{}f}", rounded(value), digits_);
    }

    [[nodiscard]] std::string style_of(double figure) const {
        double const value = rounded(figure);
        if (std::isnan(value)) return "color:#888";
        if (value < white_)
            return "background:" +
                   hex(mix(pale_green, green, part_of_way(value, white_, greenest_)));
        double const depth = 2.0 * part_of_way(value, white_, darkest_);
        colour const c = depth < 1.0 ? mix(white, blue, depth) : mix(blue, dark_blue, depth - 1.0);
        // From 0.9 on, white text has more contrast than black.
        return "background:" + hex(c) + (depth > 0.9 ? ";color:#fff" : "");
    }

    [[nodiscard]] std::string legend() const {
        auto const swatch = [](std::string const& colours) {
            return "<span class=\"scale\" style=\"background:linear-gradient(90deg," + colours +
                   ")\"></span>";
        };
        if (!lowest_) return "No figures.";
        std::string html;
        if (greenest_ < white_)
            html += text_of(greenest_) + swatch(hex(green) + "," + hex(pale_green));
        html += text_of(white_);
        if (darkest_ > white_)
            html += swatch(hex(white) + "," + hex(blue) + "," + hex(dark_blue)) +
                    text_of(darkest_) + (highest_->value > darkest_ ? " and more" : "");
        html += escaped(fmt::format("\nLowest: {} ({}). Highest: {} ({}).", text_of(lowest_->value),
                                    lowest_->where, text_of(highest_->value), highest_->where));
        return html + (has_gaps_ ? " No figure: -." : "");
    }

  private:
    [[nodiscard]] double rounded(double value) const {
        if (!std::isfinite(value)) return value;
        double const unit = std::pow(10.0, digits_);
        return std::round(value * unit) / unit + 0.0;  // + 0.0: no -0.
    }

    int digits_;
    double white_, greenest_ = 0.0, darkest_ = 0.0;
    std::optional<extreme> lowest_, highest_;
    bool has_gaps_ = false;
};

void check_shape(heat_map const& map) {
    bool is_right = map.values.size() == map.rows.size();
    for (auto const& row : map.values) is_right = is_right && row.size() == map.columns.size();
    if (!is_right)
        throw qtk::shape_error(fmt::format(
            "heat map \"{}\": expected {} rows of {} values each, as many as there are names",
            map.title, map.rows.size(), map.columns.size()));
}

}  // namespace

html_page::html_page(std::string const& title) : title_(title) {
    heading(title, 1);
}

void html_page::heading(std::string const& text, int level) {
    body_ += fmt::format("<h{0}>{1}</h{0}>\n", level, escaped(text));
}

void html_page::paragraph(std::string const& text, std::string const& emphasis) {
    body_ += "<p>" + escaped(text);
    if (!emphasis.empty()) body_ += "<em>" + escaped(emphasis) + "</em>";
    body_ += "</p>\n";
}

void html_page::note(std::string const& text, note_kind kind) {
    body_ += fmt::format("<div class=\"note {}\">{}</div>\n",
                         kind == note_kind::calm ? "calm" : "doubt", escaped(text));
}

void html_page::list(std::vector<std::string> const& items) {
    if (items.empty()) return;
    body_ += "<ul>\n";
    for (std::string const& item : items) body_ += "<li>" + escaped(item) + "</li>\n";
    body_ += "</ul>\n";
}

void html_page::code(std::string const& text) {
    // A browser drops a newline that comes first.
    body_ += "<pre>\n" + escaped(text) + "</pre>\n";
}

void html_page::table(std::vector<std::string> const& header,
                      std::vector<std::vector<std::string>> const& rows,
                      std::vector<std::size_t> const& prose) {
    auto const add = [&](std::vector<std::string> const& cells, char const* element,
                         char const* prose_attributes) {
        body_ += "<tr>";
        for (std::size_t c = 0; c < cells.size(); ++c)
            body_ += fmt::format(
                "<{0}{1}>{2}</{0}>", element,
                std::find(prose.begin(), prose.end(), c) == prose.end() ? "" : prose_attributes,
                escaped(cells[c]));
        body_ += "</tr>\n";
    };
    body_ += "<div class=\"scroll\"><table>\n<thead>";
    add(header, "th", " class=\"prose\"");
    body_ += "</thead>\n<tbody>\n";
    // Hebrew and Arabic run from the right.
    for (auto const& row : rows) add(row, "td", " class=\"prose\" dir=\"auto\"");
    body_ += "</tbody></table></div>\n";
}

void html_page::figure(std::optional<std::string> const& svg) {
    if (svg) body_ += "<figure>" + *svg + "</figure>\n";
}

void html_page::heat_map(app::heat_map const& map) {
    check_shape(map);
    map_scale const scale(map);
    body_ += "<div class=\"map\">\n";
    if (!map.title.empty()) body_ += "<p><strong>" + escaped(map.title) + "</strong></p>\n";
    if (!map.caption.empty()) body_ += "<p>" + escaped(map.caption) + "</p>\n";
    body_ += "<div class=\"scroll\"><table>\n<thead><tr><th></th>";
    for (std::string const& name : map.columns)
        body_ += "<th><span>" + escaped(name) + "</span></th>";
    body_ += "</tr></thead>\n<tbody>\n";
    for (std::size_t r = 0; r < map.rows.size(); ++r) {
        std::string const row = escaped(map.rows[r]);
        body_ += "<tr><th><span>" + row + "</span></th>";
        for (std::size_t c = 0; c < map.columns.size(); ++c)
            body_ += fmt::format("<td title=\"{}, {}\" style=\"{}\">{}</td>", row,
                                 escaped(map.columns[c]), scale.style_of(map.values[r][c]),
                                 scale.text_of(map.values[r][c]));
        body_ += "</tr>\n";
    }
    body_ += "</tbody></table></div>\n<p>" + scale.legend() + "</p></div>\n";
}

std::string html_page::str() const {
    return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
           "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>" +
           escaped(title_) + "</title>\n<style>" + style + "</style></head><body>\n" + body_ +
           "</body></html>\n";
}

}  // namespace app
