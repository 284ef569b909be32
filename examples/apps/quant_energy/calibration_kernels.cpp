// SPDX-License-Identifier: Apache-2.0
#include "calibration_kernels.hpp"

#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>
#include <qtk/quantize_any.hpp>
#include <qtk/range/minmax.hpp>

#include <fmt/format.h>

#include "device_bench.hpp"
#include "environment.hpp"
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

/// Products whose weights should come from DRAM have more of them than lie near.
bool is_far(qtk::matrix_product const& product) {
    return product.n * product.k > mebibyte;
}

double bits_a_weight(std::size_t bytes, qtk::matrix_product const& product) {
    return 8.0 * static_cast<double>(bytes) / static_cast<double>(product.n * product.k);
}

qtk::any_qmatrix codes_of(format_run const& run, qtk::matrix const& floats) {
    return qtk::quantize_any(floats, *run.format->scheme, qtk::minmax_range{},
                             {.name = run.run.name.c_str()});
}

qtk::layer_activations activations_of(qtk::layer_format const& format) {
    qtk::layer_activations activations = format.activations;
    activations.grid.scale = 4.0f / 127.0f;  // of normal values
    return activations;
}

class cpu_kernel : public calibration_kernel {
  public:
    cpu_kernel(format_run const& run, calibration_device const& device)
        : input_(random_matrix(run.run.product.m, run.run.product.k, 1)),
          output_(run.run.product.m, run.run.product.n) {
        qtk::matrix floats = random_matrix(run.run.product.n, run.run.product.k, 2);
        bool const is_packed = run.format->scheme.has_value();
        qtk::weight_matrix unpacked;
        if (is_packed)
            unpacked = codes_of(run, floats);
        else
            unpacked = std::move(floats);
        // Each copy in memory of its own.
        auto const add_copy = [&] {
            qtk::linear layer(run.run.name, unpacked);
            if (is_packed) layer.pack(activations_of(*run.format));
            copies_.push_back(layer.form());
        };
        add_copy();
        std::size_t const bytes = copies_.front().bytes();
        weight_bits_ = bits_a_weight(bytes, run.run.product);
        std::size_t const wanted = is_far(run.run.product) ? 2 * device.last_cache / bytes + 1 : 1;
        std::size_t const most = std::max<std::size_t>(device.most_bytes / bytes, 1);
        is_far_enough_ = wanted <= most;
        while (copies_.size() < std::min(wanted, most)) add_copy();
    }

    void multiply(std::size_t times) override {
        for (std::size_t i = 0; i < times; ++i) {
            copies_[next_].multiply(input_.view(), output_.view(), {}, false);
            next_ = next_ + 1 == copies_.size() ? 0 : next_ + 1;
        }
    }
    [[nodiscard]] double weight_bits() const override { return weight_bits_; }
    [[nodiscard]] bool is_far_enough() const override { return is_far_enough_; }

  private:
    std::vector<qtk::weight_matrix> copies_;
    qtk::matrix input_, output_;
    std::size_t next_ = 0;
    double weight_bits_ = 0.0;
    bool is_far_enough_ = true;
};

class cuda_kernel : public calibration_kernel {
  public:
    explicit cuda_kernel(format_run const& run)
        : product_(codes_of(run, random_matrix(run.run.product.n, run.run.product.k, 2)),
                   activations_of(*run.format), run.run.product.m, is_far(run.run.product)),
          weight_bits_(bits_a_weight(product_.bytes(), run.run.product)) {}

    void multiply(std::size_t times) override { product_.multiply(times); }
    [[nodiscard]] double weight_bits() const override { return weight_bits_; }

  private:
    device_product product_;
    double weight_bits_;
};

}  // namespace

calibration_device calibration_device::cpu() {
    environment const where = environment::now();
    calibration_device found{
        .name = fmt::format("{} ({}), {} threads", where.cpu, where.isa, where.threads),
        .most_bytes = where.memory_bytes / 4};
    for (int index = 0; index < 8; ++index) {
        std::string const folder =
            "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
        if (first_line(folder + "type") == "Instruction") continue;
        std::size_t const bytes = bytes_in(first_line(folder + "size"));
        std::string const level = first_line(folder + "level");
        if (level == "1") found.first_cache = bytes;
        if (level == "2") found.second_cache = bytes;
        found.last_cache = std::max(found.last_cache, bytes);
    }
    return found;
}

calibration_device calibration_device::cuda() {
    device_description const device = find_device();
    return {.is_cuda = true,
            .name = device.name,
            .first_cache = 0,
            .second_cache = device.cache_bytes,
            .last_cache = device.cache_bytes,
            .most_bytes = 0};
}

qtk::memory_hierarchy calibration_device::hierarchy() const {
    // Products that should lie near have up to half a MiB: where the second cache is smaller, the third holds them.
    auto const far = static_cast<double>(std::max(second_cache, mebibyte));
    // Tiles of a GPU's block lie in 64 KiB of registers and shared memory, whose bits no table prices by themselves.
    if (is_cuda)
        return {.memories = {{qtk::memory_level::dram, 0.0}, {qtk::memory_level::sram_1mib, far}},
                .register_bytes = 65536.0};
    auto const near = static_cast<double>(first_cache > 0 ? first_cache : 32 * 1024);
    return {.memories = {{qtk::memory_level::dram, 0.0},
                         {qtk::memory_level::sram_1mib, far},
                         {qtk::memory_level::sram_32kib, near}},
            .register_bytes = 256.0};
}

qtk::multiplication multiplication_of(qtk::layer_format const& format, bool is_cuda) {
    using enum qtk::layer_format::storage;
    bool const is_float = format.weights == f32 && !is_cuda;
    if (format.is_simulated || format.activations.has_outliers ||
        (!is_float && format.weights != codes))
        throw qtk::value_error(
            "--formats: \"" + format.name + "\" has no kernel of its own to calibrate. Hint: " +
            (is_cuda ? "packed codes such as w4, w8a8, w4a8"
                     : "fp32, or packed codes such as w8a8, w4a8, w4 or i8/channel@bf16"));
    if (is_float) return {qtk::operand::floating(32), qtk::operand::floating(32)};
    qtk::activation_type const type = format.activations.type;
    // Floats are halves on the device.
    return {qtk::operand_of(format.scheme->element),
            type == qtk::activation_type::f32    ? qtk::operand::floating(is_cuda ? 16 : 32)
            : type == qtk::activation_type::bf16 ? qtk::operand::bfloat16()
                                                 : qtk::operand::integer(8)};
}

std::vector<format_run> plan_of(calibration_plan_options const& options) {
    qtk::plan_options how{
        .formats = {}, .replicates = options.replicates, .pause_seconds = options.pause_seconds};
    if (options.macs > 0.0) how.macs = options.macs;
    for (qtk::layer_format const& format : options.formats) {
        auto const product = multiplication_of(format, options.is_cuda);
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

std::unique_ptr<calibration_kernel> make_kernel(format_run const& run,
                                                calibration_device const& device) {
    if (device.is_cuda) return std::make_unique<cuda_kernel>(run);
    return std::make_unique<cpu_kernel>(run, device);
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
