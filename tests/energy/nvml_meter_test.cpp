// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/nvml_meter.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

namespace {

/// A device that draws `watts`, with a counter that is refreshed every 100 ms, and its time.
struct device_state {
    std::atomic<double> seconds{100.0}, watts{50.0};
    double consumed = 7000.0;                // joules
    double shown = 7000.0, refresh = 100.0;  // the counter and when it was last set
    int energy_code = 0, shutdowns = 0;
    std::atomic<int> power_code{0};  // asked by the sampling thread, like seconds and watts

    void pass(double time) {
        while (time > 0.0) {
            double const step = std::min(time, refresh + 0.1 - seconds);
            consumed += step * watts;
            seconds = seconds + step;
            time -= step;
            if (seconds >= refresh + 0.1 - 1e-9) refresh += 0.1, shown = consumed;
        }
    }
};
device_state* now = nullptr;

qtk::nvml_library fake(device_state& state) {
    now = &state;
    return {{.init = [] { return 0; },
             .shutdown = [] { return ++now->shutdowns, 0; },
             .error_string = [](int) { return "GPU is lost"; },
             .device_by_index = [](unsigned, void** device) { return *device = now, 0; },
             .name = [](void*, char* text, unsigned) { return std::strcpy(text, "Fake"), 0; },
             .total_energy =
                 [](void*, unsigned long long* count) {
                     *count = static_cast<unsigned long long>(std::llround(1000.0 * now->shown));
                     return now->energy_code;
                 },
             .power =
                 [](void*, unsigned* milliwatts) {
                     *milliwatts = static_cast<unsigned>(std::llround(1000.0 * now->watts));
                     return now->power_code.load();
                 }},
            ""};
}

qtk::nvml_options on(device_state& state) {
    qtk::nvml_options how;
    how.clock = {.now = [&state] { return state.seconds.load(); },
                 .sleep = [&state](double time) { state.pass(time); }};
    return how;
}

// A reading is late by at most one poll, at either end, at 250 W.
constexpr double slack = 2 * 0.005 * 250;

}  // namespace

TEST_CASE("a machine without NVML has no meter and says so") {
    qtk::nvml_meter meter({{}, "libnvidia-ml.so.1: no such file"}, {});
    CHECK_FALSE(meter.is_present());
    CHECK(meter.description() == "no NVML meter: libnvidia-ml.so.1: no such file");
    CHECK_THROWS_WITH_AS((void)meter.read(), doctest::Contains("no NVML meter"), qtk::value_error);
}

TEST_CASE("this machine's GPU is measured or the reason is given") {
    qtk::nvml_meter const meter({.idle_watts = 0.0});
    CHECK_FALSE(meter.description().empty());
}

TEST_CASE("a device that fails when it is opened is no meter, and NVML is left as it was") {
    device_state state;
    state.energy_code = 15;
    qtk::nvml_meter const meter(fake(state), on(state));
    CHECK_FALSE(meter.is_present());
    CHECK(meter.description() ==
          "no NVML meter: NVML: nvmlDeviceGetTotalEnergyConsumption: GPU is lost");
    CHECK(state.shutdowns == 1);
}

TEST_CASE("idle power is measured when the meter is opened, and subtracted") {
    device_state state;
    qtk::nvml_meter meter(fake(state), on(state));
    REQUIRE(meter.is_present());
    CHECK(meter.idle_watts() == doctest::Approx(50.0).epsilon(0.01));
    CHECK(meter.description().starts_with("NVML, Fake, energy counter, less "));
    CHECK(meter.description().ends_with(" W idle (measured)"));
    CHECK(std::fabs(meter.read().count()) < slack);
    state.watts = 250.0;
    state.pass(3.0);
    state.watts = 50.0;
    CHECK(std::fabs(meter.read().count() - 3.0 * 200.0) < slack);
    // Nothing is added while nothing runs.
    state.pass(10.0);
    CHECK(std::fabs(meter.read().count() - 3.0 * 200.0) < slack + 0.01 * 50 * 10);
}

TEST_CASE("given idle power is taken as it is") {
    device_state state;
    auto how = on(state);
    how.idle_watts = 0.0;
    qtk::nvml_meter meter(fake(state), how);
    CHECK(meter.description().ends_with(" W idle (given)"));
    double const begin = state.seconds;
    state.pass(2.0);
    double const used = meter.read().count();
    CHECK(std::fabs(used - 50.0 * (state.seconds - begin)) < slack);
}

TEST_CASE("a stale counter is waited out: short work is seen") {
    device_state state;
    qtk::nvml_meter meter(fake(state), on(state));
    double const before = meter.read().count();
    // 30 ms of work end before the counter is refreshed.
    state.watts = 250.0;
    state.pass(0.03);
    state.watts = 50.0;
    CHECK(std::fabs(meter.read().count() - before - 0.03 * 200.0) < slack);
}

TEST_CASE("the device's work is waited for before the counter is read") {
    device_state state;
    auto how = on(state);
    bool is_running = false;
    how.synchronize = [&] {
        if (std::exchange(is_running, false)) {
            state.watts = 250.0;
            state.pass(1.0);
            state.watts = 50.0;
        }
    };
    qtk::nvml_meter meter(fake(state), how);
    auto const used = qtk::measured_energy(meter, [&] { is_running = true; });
    REQUIRE(used.has_value());
    CHECK(std::fabs(used->count() - 200.0) < 2 * slack);
}

TEST_CASE("a counter that stands still is an error, not a zero") {
    device_state state;
    qtk::nvml_meter meter(fake(state), on(state));
    state.watts = 0.0;
    state.pass(1.0);
    CHECK_THROWS_WITH_AS((void)meter.read(), doctest::Contains("stands still at"),
                         qtk::system_error);
    state.energy_code = 15;
    CHECK_THROWS_WITH_AS((void)meter.read(), doctest::Contains("GPU is lost"), qtk::system_error);
}

TEST_CASE("the integral of power is exact where power is straight") {
    qtk::power_integral sum;
    sum.add(1.0, 10.0);
    CHECK(sum.total() == qtk::joules(0));
    sum.add(3.0, 20.0);
    CHECK(sum.total() == qtk::joules(30));
    sum.add(3.0, 99.0);
    sum.add(2.0, 99.0);
    CHECK(sum.total() == qtk::joules(30));
    sum.add(4.0, 20.0);
    CHECK(sum.total() == qtk::joules(50));
}

TEST_CASE("a device without a counter is integrated, whatever the sampling thread does") {
    device_state state;
    state.energy_code = qtk::nvml_not_supported;
    auto how = on(state);
    how.idle_watts = 20.0;
    qtk::nvml_meter meter(fake(state), how);
    REQUIRE(meter.is_present());
    CHECK(meter.description().find("integrated power") != std::string::npos);
    // Power is constant, so the times of the samples do not matter.
    state.seconds = state.seconds + 4.0;
    CHECK(meter.read().count() == doctest::Approx(4.0 * (50.0 - 20.0)));
    state.power_code = 15;
    CHECK_THROWS_WITH_AS((void)meter.read(), doctest::Contains("nvmlDeviceGetPowerUsage"),
                         qtk::system_error);
}
