// SPDX-License-Identifier: Apache-2.0
#include "chart.hpp"

#include <fmt/format.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace app {
namespace {

/// Names come from flags: gnuplot's strings get nothing that ends them.
std::string quoted(std::string const& text) {
    std::string out = "\"";
    for (char const c : text)
        if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\' && c != '`') out += c;
    return out + "\"";
}

/// Runs gnuplot on a script; its standard output, or nothing if it failed. The script lies in a temporary
/// file without a name.
std::optional<std::string> run_gnuplot(std::string const& script) {
    std::FILE* const input = std::tmpfile();
    if (input == nullptr) return std::nullopt;
    bool const is_written = std::fwrite(script.data(), 1, script.size(), input) == script.size() &&
                            std::fflush(input) == 0;
    std::rewind(input);
    std::array<int, 2> ends{};
    // Half a script on a full disk would be half a chart.
    if (!is_written || pipe(ends.data()) != 0) {
        std::fclose(input);
        return std::nullopt;
    }
    pid_t const child = fork();
    if (child == 0) {
        dup2(fileno(input), STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(127);
        close(ends[0]);
        close(ends[1]);
        execlp("gnuplot", "gnuplot", static_cast<char*>(nullptr));
        _exit(127);
    }
    close(ends[1]);
    std::string output;
    std::array<char, 4096> part;
    for (ssize_t n; child > 0 && (n = read(ends[0], part.data(), part.size())) > 0;)
        output.append(part.data(), static_cast<std::size_t>(n));
    close(ends[0]);
    std::fclose(input);
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return std::nullopt;
    std::size_t const start = output.find("<svg");
    if (start == output.npos) return std::nullopt;
    return output.substr(start);
}

std::string frame(std::string const& title, int height) {
    return fmt::format(
        "set terminal svg noenhanced size 560,{} font 'sans-serif,13' background rgb 'white'\n"
        "set encoding utf8\nset title {}\nset border 3 lc rgb '#888888'\nset tics nomirror\n"
        "set grid xtics ytics lc rgb '#dddddd' lt 1\nset style fill solid 0.85 noborder\n",
        height, quoted(title));
}

}  // namespace

bool can_draw() {
    static bool const found = run_gnuplot("set terminal svg\nplot 1\n").has_value();
    return found;
}

std::optional<std::string> draw_bars(std::string const& title, std::string const& axis,
                                     std::vector<chart_bar> const& bars, double reference) {
    std::string script = frame(title, 110 + 26 * static_cast<int>(bars.size()));
    double least = std::min(0.0, reference), most = std::max(0.0, reference);
    script += "$data << EOD\n";
    for (std::size_t i = 0; i < bars.size(); ++i) {
        chart_bar const& b = bars[i];
        least = std::min(least, b.low);
        most = std::max(most, b.high);
        script += fmt::format("{} {} {} {} {}\n", bars.size() - i, b.value, b.low, b.high,
                              quoted(b.name));
    }
    script += fmt::format(
        "EOD\nset xlabel {}\nset xrange [{}:{}]\nset yrange [0.4:{}]\nunset key\nset grid noytics\n"
        "set boxwidth 0.6\n",
        quoted(axis), 1.12 * least, 1.12 * std::max(most, 1e-30),
        static_cast<double>(bars.size()) + 0.6);
    if (reference != 0.0)
        script += fmt::format("set arrow from {0},0.4 to {0},{1} nohead dt 2 lc rgb '#444444'\n",
                              reference, static_cast<double>(bars.size()) + 0.6);
    if (least < 0.0) script += "set yzeroaxis lt 1 lw 1 lc rgb '#444444'\n";
    script +=
        "plot $data using ($2/2):1:($2/2):(0.3):ytic(5) with boxxyerror lc rgb '#4477aa', "
        "$data using 2:1:3:4 with xerrorbars pt 0 lw 1.5 lc rgb '#222222'\n";
    return run_gnuplot(script);
}

std::optional<std::string> draw_points(std::string const& title, std::string const& x_axis,
                                       std::string const& y_axis,
                                       std::vector<chart_point> const& points) {
    std::string script = frame(title, 360);
    script += "$data << EOD\n";
    // Neighbours in the list often lie close together: their names go to different heights.
    for (std::size_t i = 0; i < points.size(); ++i)
        script +=
            fmt::format("{} {} {} {}\n", points[i].x, points[i].y, quoted(points[i].name), i % 3);
    script += fmt::format("EOD\nset xlabel {}\nset ylabel {}\n", quoted(x_axis), quoted(y_axis));
    script +=
        "unset key\nset logscale x 2\nset offsets graph 0.05, graph 0.2, graph 0.1, graph 0.1\n"
        "plot $data using 1:2 with points pt 7 ps 0.8 lc rgb '#4477aa'";
    for (int place = 0; place < 3; ++place)
        script += fmt::format(
            ", $data using ($4 == {} ? $1 : NaN):2:3 with labels left offset 0.8,{} font ',11'",
            place, 0.9 - 0.9 * place);
    script += "\n";
    return run_gnuplot(script);
}

std::optional<std::string> draw_lines(std::string const& title, std::string const& x_axis,
                                      std::string const& y_axis,
                                      std::vector<chart_line> const& lines) {
    std::string script = frame(title, 360), plot = "plot ";
    for (std::size_t i = 0; i < lines.size(); ++i) {
        script += fmt::format("$line{} << EOD\n", i);
        for (chart_point const& p : lines[i].points) script += fmt::format("{} {}\n", p.x, p.y);
        script += "EOD\n";
        plot += fmt::format("{}$line{} using 1:2 with linespoints pt 7 ps 0.7 lw 1.5 title {}",
                            i == 0 ? "" : ", ", i, quoted(lines[i].name));
    }
    script += fmt::format(
        "set xlabel {}\nset ylabel {}\nset logscale x\nset key outside right\nset yrange "
        "[0:*]\nset "
        "offsets 0, 0, graph 0.1, 0\n",
        quoted(x_axis), quoted(y_axis));
    return run_gnuplot(script + plot + "\n");
}

}  // namespace app
