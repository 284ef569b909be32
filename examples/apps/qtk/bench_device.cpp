// SPDX-License-Identifier: Apache-2.0
//
// qtk bench --device cuda: what would the linear layers of a model take on the GPU? Each distinct shape is
// quantized once, from the first layer that has it, and multiplied by qtk::cuda with one row, as in decoding,
// and with the rows of a prompt. A model's time is the sum over its layers: attention, norms and the head's
// softmax are not in it.
#include <qtk/quantize_any.hpp>
#include <qtk/range/minmax.hpp>

#include <fmt/format.h>

#include "bench.hpp"
#include "device_bench.hpp"
#include "environment.hpp"
#include "language_model.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <string>
#include <vector>

namespace app {
namespace {

/// Layers of one shape; the first one's weight stands for all.
struct layer_shape {
    std::string names;  ///< "q_proj, o_proj"
    std::size_t out = 0, in = 0, count = 0;
    qtk::weight_matrix const* weight = nullptr;
    bool is_head = false;
};

[[nodiscard]] std::vector<layer_shape> shapes_of(qtk::decoder const& network, bool has_head) {
    std::vector<layer_shape> shapes;
    network.for_each_linear([&](qtk::linear const& layer) {
        auto const same = std::ranges::find_if(shapes, [&](layer_shape const& s) {
            return s.out == layer.out() && s.in == layer.in();
        });
        std::string const name = layer.name().substr(layer.name().rfind('.') + 1);
        if (same == shapes.end()) {
            shapes.push_back({name, layer.out(), layer.in(), 1, &layer.form()});
            return;
        }
        ++same->count;
        if ((", " + same->names + ",").find(", " + name + ",") == std::string::npos)
            same->names += ", " + name;
    });
    if (has_head) {
        qtk::weight_matrix const& head = network.head();
        shapes.push_back({"head", head.rows(), head.cols(), 1, &head, true});
    }
    return shapes;
}

struct shape_times {
    std::size_t bytes = 0;
    std::vector<double> one_row_us, rows_us;
};

struct device_row {
    qtk::layer_format format;
    std::vector<shape_times> shapes;
};

[[nodiscard]] shape_times measure(layer_shape const& shape, qtk::layer_format const& format,
                                  bench_options const& options) {
    if (!format.scheme || format.is_simulated)
        throw qtk::value_error(
            "--device cuda: " + format.name +
            " has no codes for qtk::cuda to multiply. Hint: w8a8, llm_int8, w4a8, w4, nf4 or a "
            "scheme of 4 or 8 bits; scripts/bench_cuda.sh times fp16 through cuBLAS");
    device_times const times =
        time_on_device(qtk::quantize_any(shape.weight->floats(), *format.scheme,
                                         qtk::minmax_range{}, {.name = shape.names.c_str()}),
                       format.activations, options.prompt_tokens, options.runs, options.warmup);
    auto const microseconds = [](std::vector<double> seconds) {
        for (double& s : seconds) s *= 1e6;
        return seconds;
    };
    return {times.bytes, microseconds(times.one_row), microseconds(times.rows)};
}

/// The sum over all layers, turn by turn.
[[nodiscard]] shape_times total_of(device_row const& row, std::vector<layer_shape> const& shapes) {
    shape_times total;
    auto const add = [](std::vector<double>& sum, std::vector<double> const& one, double count) {
        sum.resize(one.size());
        for (std::size_t i = 0; i < one.size(); ++i) sum[i] += count * one[i];
    };
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        auto const count = static_cast<double>(shapes[i].count);
        total.bytes += shapes[i].count * row.shapes[i].bytes;
        add(total.one_row_us, row.shapes[i].one_row_us, count);
        add(total.rows_us, row.shapes[i].rows_us, count);
    }
    return total;
}

[[nodiscard]] double of_bandwidth(shape_times const& times, double bandwidth) {
    return static_cast<double>(times.bytes) / (qtk::mean(times.one_row_us) * 1e-6) / bandwidth;
}

[[nodiscard]] json to_json(shape_times const& times, double bandwidth) {
    return {{"bytes", times.bytes},
            {"one_row_us", spread(times.one_row_us).to_json(times.one_row_us)},
            {"rows_us", spread(times.rows_us).to_json(times.rows_us)},
            {"of_bandwidth", of_bandwidth(times, bandwidth)}};
}

void print(std::FILE* human, device_row const& row, std::vector<layer_shape> const& shapes,
           bench_options const& options, double bandwidth) {
    text_table table({row.format.name, "layers", "out x in", "MB", "us, 1 row", "of bandwidth",
                      fmt::format("us, {} rows", options.prompt_tokens)});
    auto const add = [&](std::string const& name, std::size_t count, std::string const& shape,
                         shape_times const& times) {
        table.add({name, fmt::format("{}", count), shape,
                   fmt::format("{:.2f}", 1e-6 * static_cast<double>(times.bytes)),
                   spread(times.one_row_us).text(1),
                   fmt::format("{:.0f} %", 100.0 * of_bandwidth(times, bandwidth)),
                   spread(times.rows_us).text(1)});
    };
    std::size_t layers = 0;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        add(shapes[i].names, shapes[i].count, fmt::format("{} x {}", shapes[i].out, shapes[i].in),
            row.shapes[i]);
        layers += shapes[i].count;
    }
    shape_times const total = total_of(row, shapes);
    add("all, one after the other", layers, "-", total);
    fmt::print(human, "{}At most {:.0f} tokens/s decoded and {:.0f} tokens/s of prompt.\n\n",
               table.str(), 1e6 / qtk::mean(total.one_row_us),
               1e6 * static_cast<double>(options.prompt_tokens) / qtk::mean(total.rows_us));
}

}  // namespace

void run_on_device(bench_options const& options) {
    auto const formats = parse_formats(options.formats);
    auto const head = options.head.parse();
    device_description const device = find_device();

    std::vector<device_row> rows;
    std::vector<layer_shape> shapes;
    progress_line const line;
    line.show("loading");
    language_model const model = options.synthetic.empty()
                                     ? language_model::open(options.model)
                                     : language_model::synthetic(options.synthetic);
    shapes = shapes_of(model.network(), head.has_value());
    for (qtk::layer_format const& format : formats) {
        rows.push_back({format, {}});
        for (layer_shape const& shape : shapes) {
            line.show(fmt::format("{}: {} x {}", format.name, shape.out, shape.in));
            rows.back().shapes.push_back(measure(shape, shape.is_head ? *head : format, options));
        }
    }
    line.clear();

    std::FILE* const human = options.output.human();
    fmt::print(human,
               "{}: {} parameters. {}, sm_{}, {} multiprocessors, memory read at {:.1f} "
               "GB/s.\nLinear layers alone{}: "
               "no attention, no norms. {} runs after {}, weights outside the cache; \"of "
               "bandwidth\" is the time "
               "that the weights take at that rate over the time of one row.\n\n",
               model.name(), with_commas(model.parameters()), device.name, device.sm,
               device.multiprocessors, device.read_bandwidth * 1e-9,
               head ? " and the head in " + head->name : std::string(", without the head"),
               options.runs, options.warmup);
    json report{{"schema", "qtk.bench_device/1"},
                {"model", model.name()},
                {"parameters", model.parameters()},
                {"rows_of_x", options.prompt_tokens},
                {"device",
                 {{"name", device.name},
                  {"sm", device.sm},
                  {"multiprocessors", device.multiprocessors},
                  {"driver", device.driver},
                  {"runtime", device.runtime},
                  {"read_bandwidth", device.read_bandwidth}}},
                {"environment", environment::now().to_json()},
                {"rows", json::array()}};
    std::string csv = "format,layer,count,out,in,bytes,one_row_us,rows_us,of_bandwidth\n";
    for (device_row const& row : rows) {
        print(human, row, shapes, options, device.read_bandwidth);
        json layers = json::array();
        for (std::size_t i = 0; i < shapes.size(); ++i) {
            layer_shape const& shape = shapes[i];
            shape_times const& times = row.shapes[i];
            json layer = to_json(times, device.read_bandwidth);
            layer["names"] = shape.names;
            layer["count"] = shape.count;
            layer["out"] = shape.out;
            layer["in"] = shape.in;
            layers.push_back(std::move(layer));
            csv += fmt::format("{},\"{}\",{},{},{},{},{},{},{}\n", row.format.name, shape.names,
                               shape.count, shape.out, shape.in, times.bytes,
                               qtk::mean(times.one_row_us), qtk::mean(times.rows_us),
                               of_bandwidth(times, device.read_bandwidth));
        }
        shape_times const total = total_of(row, shapes);
        json figures = to_json(total, device.read_bandwidth);
        figures["format"] = row.format.name;
        figures["bytes_per_token"] = total.bytes;
        figures["decode_tokens_per_second"] = 1e6 / qtk::mean(total.one_row_us);
        figures["prefill_tokens_per_second"] =
            1e6 * static_cast<double>(options.prompt_tokens) / qtk::mean(total.rows_us);
        figures["layers"] = std::move(layers);
        report["rows"].push_back(std::move(figures));
    }
    if (!options.output.json_target.empty()) deliver(options.output.json_target, report);
    deliver(options.output.csv_target, csv);
}

}  // namespace app
