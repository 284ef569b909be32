// SPDX-License-Identifier: Apache-2.0
//
// What does NVIDIA's driver say about a device? The few functions of its management library (NVML)
// that an energy meter calls, found with dlopen when the program runs: qtk needs no CUDA to be
// built, and a machine without the driver gets a reason instead. Tests put functions of their own in
// the same places.
#pragma once

#include <qtk/core/error.hpp>

#include <dlfcn.h>

#include <string>
#include <type_traits>

namespace qtk {

/// NVML's functions by what they do; the types are those of nvml.h, with the opaque device handle
/// as void*. Every result is an nvmlReturn_t: 0 is success.
struct nvml_functions {
    int (*init)() = nullptr;
    int (*shutdown)() = nullptr;
    char const* (*error_string)(int) = nullptr;
    int (*device_by_index)(unsigned, void**) = nullptr;
    int (*name)(void*, char*, unsigned) = nullptr;
    /// Millijoules since the driver was loaded; Volta and newer.
    int (*total_energy)(void*, unsigned long long*) = nullptr;
    /// Milliwatts now.
    int (*power)(void*, unsigned*) = nullptr;
};

inline constexpr int nvml_success = 0, nvml_not_supported = 3;

/// The functions, or (where `functions.init` is null) the reason why there are none.
struct nvml_library {
    nvml_functions functions;
    std::string absence;
};

/// Opens the driver's library once for the life of the program: it is not closed, because other
/// code may have opened it too and its threads outlive us. `file` is looked for where dlopen looks.
[[nodiscard]] inline nvml_library open_nvml(char const* file = "libnvidia-ml.so.1") {
    void* const library = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        char const* const reason = ::dlerror();
        return {{}, reason != nullptr ? reason : std::string(file) + " cannot be opened"};
    }
    nvml_library result;
    auto const find = [&](char const* symbol, auto& function) {
        void* const address = ::dlsym(library, symbol);
        if (address == nullptr && result.absence.empty())
            result.absence = std::string(file) + " has no " + symbol;
        // POSIX lets an object pointer from dlsym become a function pointer.
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
    };
    nvml_functions& f = result.functions;
    find("nvmlInit_v2", f.init);
    find("nvmlShutdown", f.shutdown);
    find("nvmlErrorString", f.error_string);
    find("nvmlDeviceGetHandleByIndex_v2", f.device_by_index);
    find("nvmlDeviceGetName", f.name);
    find("nvmlDeviceGetTotalEnergyConsumption", f.total_energy);
    find("nvmlDeviceGetPowerUsage", f.power);
    if (!result.absence.empty()) f = {};
    return result;
}

namespace detail {

/// NVML initialized for one device. Throws system_error with the call, NVML's text and its number.
class nvml_device {
  public:
    nvml_device(nvml_functions const& functions, unsigned index) : nvml_(functions) {
        require(nvml_.init(), "nvmlInit");
        try {
            require(nvml_.device_by_index(index, &device_),
                    "nvmlDeviceGetHandleByIndex(" + std::to_string(index) + ")");
            char text[96] = {};
            require(nvml_.name(device_, text, sizeof text), "nvmlDeviceGetName");
            text[sizeof text - 1] = '\0';
            name_ = text;
        } catch (...) {
            nvml_.shutdown();
            throw;
        }
    }
    nvml_device(nvml_device const&) = delete;
    nvml_device& operator=(nvml_device const&) = delete;
    ~nvml_device() { nvml_.shutdown(); }

    [[nodiscard]] std::string const& name() const noexcept { return name_; }
    [[nodiscard]] bool has_counter() const {
        unsigned long long count = 0;
        int const code = nvml_.total_energy(device_, &count);
        if (code != nvml_not_supported) require(code, "nvmlDeviceGetTotalEnergyConsumption");
        return code == nvml_success;
    }
    [[nodiscard]] unsigned long long millijoules() const {
        unsigned long long count = 0;
        require(nvml_.total_energy(device_, &count), "nvmlDeviceGetTotalEnergyConsumption");
        return count;
    }
    [[nodiscard]] double watts() const {
        unsigned milliwatts = 0;
        require(nvml_.power(device_, &milliwatts), "nvmlDeviceGetPowerUsage");
        return static_cast<double>(milliwatts) / 1000.0;
    }

  private:
    void require(int code, std::string const& call) const {
        if (code == nvml_success) return;
        char const* const text = nvml_.error_string(code);
        throw system_error("NVML", call + ": " + (text != nullptr ? text : "unknown error"), code);
    }

    nvml_functions nvml_;
    void* device_ = nullptr;
    std::string name_;
};

}  // namespace detail

}  // namespace qtk
