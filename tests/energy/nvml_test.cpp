// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/nvml.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <string>

namespace {

int inits = 0, shutdowns = 0, device_code = 0, energy_code = 0;

qtk::nvml_functions fake() {
    inits = shutdowns = device_code = energy_code = 0;
    return {
        .init = [] { return ++inits, 0; },
        .shutdown = [] { return ++shutdowns, 0; },
        .error_string = [](int code) { return code == 3 ? "Not Supported" : "Unknown Error"; },
        .device_by_index = [](unsigned, void** device) { return *device = &inits, device_code; },
        .name =
            [](void*, char* text, unsigned size) {
                std::memset(text, 'x', size);  // as long as the buffer, and no zero at its end
                return 0;
            },
        .total_energy = [](void*, unsigned long long* count) { return *count = 5, energy_code; },
        .power = [](void*, unsigned* milliwatts) { return *milliwatts = 1500, 0; }};
}

}  // namespace

TEST_CASE("a machine without the driver gets the reason") {
    auto const library = qtk::open_nvml("libqtk-no-such-library.so.1");
    CHECK_FALSE(bool(library.functions.init));
    CHECK(library.absence.find("libqtk-no-such-library.so.1") != std::string::npos);
}

TEST_CASE("a library that is not NVML is named with the function that it lacks") {
    auto const library = qtk::open_nvml("libm.so.6");
    CHECK_FALSE(bool(library.functions.power));
    CHECK(library.absence == "libm.so.6 has no nvmlInit_v2");
}

TEST_CASE("what is opened is closed") {
    {
        qtk::detail::nvml_device const device(fake(), 0);
        CHECK(inits == 1);
        CHECK(device.millijoules() == 5);
        CHECK(device.watts() == 1.5);
        CHECK(device.name().size() == 95);
    }
    CHECK(shutdowns == 1);
    auto const functions = fake();
    device_code = 2;
    CHECK_THROWS_WITH_AS(qtk::detail::nvml_device(functions, 7),
                         "NVML: nvmlDeviceGetHandleByIndex(7): Unknown Error", qtk::system_error);
    CHECK(shutdowns == inits);
}

TEST_CASE("a device without a counter is told from one that fails") {
    qtk::detail::nvml_device const device(fake(), 0);
    CHECK(device.has_counter());
    energy_code = qtk::nvml_not_supported;
    CHECK_FALSE(device.has_counter());
    energy_code = 15;
    CHECK_THROWS_AS((void)device.has_counter(), qtk::system_error);
    CHECK_THROWS_WITH_AS((void)device.millijoules(),
                         doctest::Contains("nvmlDeviceGetTotalEnergyConsumption"),
                         qtk::system_error);
}
