// SPDX-License-Identifier: Apache-2.0
#include "calibration_kernels.hpp"

#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>
#include <qtk/quantize_any.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <utility>

namespace app {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// "1024K" or "32M" in bytes, 0 where it is neither.
std::size_t bytes_in(std::string const& text) {
    std::size_t value = 0, at = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
        value = 10 * value + static_cast<std::size_t>(text[at] - '0');
    if (text.substr(at) == "K") return value << 10;
    return text.substr(at) == "M" ? value << 20 : 0;
}

std::string first_line(std::string const& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

qtk::matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    qtk::matrix result(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::ranges::copy(values, result.view().flat().begin());
    return result;
}

}  // namespace

cache_sizes cache_sizes::now() {
    cache_sizes found;
    for (int index = 0; index < 8; ++index) {
        std::string const folder =
            "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
        if (first_line(folder + "type") == "Instruction") continue;
        std::size_t const bytes = bytes_in(first_line(folder + "size"));
        std::string const level = first_line(folder + "level");
        if (level == "1") found.first = bytes;
        if (level == "2") found.second = bytes;
        found.last = std::max(found.last, bytes);
    }
    return found;
}

qtk::memory_hierarchy cache_sizes::hierarchy() const {
    // Products that should lie near have up to half a MiB: where the second cache is smaller, the third holds them.
    auto const far = static_cast<double>(std::max(second, mebibyte));
    auto const near = static_cast<double>(first > 0 ? first : 32 * 1024);
    return {.memories = {{qtk::memory_level::dram, 0.0},
                         {qtk::memory_level::sram_1mib, far},
                         {qtk::memory_level::sram_32kib, near}},
            .register_bytes = 256.0};
}

qtk::multiplication multiplication_of(qtk::layer_format const& format) {
    using enum qtk::layer_format::storage;
    bool const is_float = format.weights == f32;
    if (format.is_simulated || format.activations.has_outliers ||
        (!is_float && format.weights != codes))
        throw qtk::value_error("--formats: \"" + format.name +
                               "\" has no kernel of its own to calibrate. Hint: fp32, or packed "
                               "codes such as w8a8, w4a8, w4 or i8/channel@bf16");
    if (is_float) return {qtk::operand::floating(32), qtk::operand::floating(32)};
    qtk::activation_type const type = format.activations.type;
    return {qtk::operand_of(format.scheme->element),
            type == qtk::activation_type::f32    ? qtk::operand::floating(32)
            : type == qtk::activation_type::bf16 ? qtk::operand::bfloat16()
                                                 : qtk::operand::integer(8)};
}

std::vector<format_run> plan_of(calibration_plan_options const& options) {
    qtk::plan_options how{
        .formats = {}, .replicates = options.replicates, .pause_seconds = options.pause_seconds};
    if (options.macs > 0.0) how.macs = options.macs;
    for (qtk::layer_format const& format : options.formats) {
        auto const product = multiplication_of(format);
        auto const twin = std::ranges::find(how.formats, product);
        if (twin != how.formats.end())
            throw qtk::value_error(
                "--formats: " + format.name + " multiplies the same numbers as " +
                options.formats[static_cast<std::size_t>(twin - how.formats.begin())].name +
                "; expected formats that differ in them");
        how.formats.push_back(product);
    }
    std::vector<format_run> plan;
    for (qtk::planned_run& run : qtk::calibration_plan(how)) {
        format_run one{std::move(run), nullptr};
        if (one.run.repeats > 0) {
            auto const which = std::ranges::find(
                how.formats,
                qtk::multiplication{one.run.product.weight, one.run.product.activation});
            one.format = &options.formats[static_cast<std::size_t>(which - how.formats.begin())];
            one.run.name = one.format->name + one.run.name.substr(one.run.name.find(','));
        }
        plan.push_back(std::move(one));
    }
    return plan;
}

calibration_kernel::calibration_kernel(format_run const& run, std::size_t last_cache,
                                       std::size_t most_bytes)
    : input_(random_matrix(run.run.product.m, run.run.product.k, 1)),
      output_(run.run.product.m, run.run.product.n) {
    std::size_t const n = run.run.product.n, k = run.run.product.k;
    qtk::matrix floats = random_matrix(n, k, 2);
    qtk::weight_matrix unpacked;
    qtk::layer_activations activations = run.format->activations;
    activations.static_scale = 4.0f / 127.0f;  // of normal values
    bool const is_packed = run.format->scheme.has_value();
    if (is_packed)
        unpacked = qtk::quantize_any(floats, *run.format->scheme, qtk::minmax_range{},
                                     {.name = run.run.name.c_str()});
    else
        unpacked = std::move(floats);
    // Each copy in memory of its own.
    auto const add_copy = [&] {
        qtk::linear layer(run.run.name, unpacked);
        if (is_packed) layer.pack(activations);
        copies_.push_back(layer.form());
    };
    add_copy();
    std::size_t const bytes = copies_.front().bytes();
    weight_bits_ = 8.0 * static_cast<double>(bytes) / static_cast<double>(n * k);
    bool const is_far = n * k > mebibyte;
    std::size_t const wanted = is_far ? 2 * last_cache / bytes + 1 : 1;
    std::size_t const most = std::max<std::size_t>(most_bytes / bytes, 1);
    is_far_enough_ = wanted <= most;
    while (copies_.size() < std::min(wanted, most)) add_copy();
}

void calibration_kernel::multiply(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) {
        copies_[next_].multiply(input_.view(), output_.view(), {}, false);
        next_ = next_ + 1 == copies_.size() ? 0 : next_ + 1;
    }
}

std::size_t calibration_kernel::multiply_for(double seconds) {
    auto const begin = std::chrono::steady_clock::now();
    std::size_t done = 0;
    // Small products are many between two looks at the clock: twice as many until a tenth of the time is over, then
    // as many as the rest of it takes.
    for (std::size_t times = 1;;) {
        multiply(times);
        done += times;
        double const passed =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        if (passed >= seconds) return done;
        if (passed < 0.1 * seconds)
            times *= 2;
        else
            times = static_cast<std::size_t>(
                std::ceil(static_cast<double>(done) * (seconds / passed - 1.0)));
    }
}

}  // namespace app
