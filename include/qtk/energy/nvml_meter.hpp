// SPDX-License-Identifier: Apache-2.0
//
// What did the GPU use? NVML's counter of millijoules, read when it is fresh; where a device has
// none, its power integrated over time. Idle power is subtracted, so that a figure is what the work
// added: measure it at the clocks of the work (the device just used, nothing running).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/joules.hpp>
#include <qtk/energy/meter.hpp>
#include <qtk/energy/nvml.hpp>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace qtk {

/// Where a meter gets the time, in seconds, and how it waits. Tests replace both.
struct meter_clock {
    std::function<double()> now = [] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
            .count();
    };
    std::function<void(double)> sleep = [](double seconds) {
        std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    };
};

struct nvml_options {
    unsigned device = 0;  ///< in the order of NVML (PCI), which CUDA's may differ from
    /// Called before every read: work on a device goes on after the call that started it
    /// (cudaDeviceSynchronize).
    std::function<void()> synchronize = [] {};
    /// Subtracted; measured over `idle_seconds` when the meter is opened where not given.
    std::optional<double> idle_watts;
    double idle_seconds = 1.0;
    /// How often the counter is asked whether it has moved, and power is sampled.
    double poll_seconds = 0.005;
    /// The counter is refreshed every 20 to 100 ms; if it stands still for longer it is broken.
    double most_wait_seconds = 1.0;
    meter_clock clock = {};
};

/// Energy from samples of power, by trapezoids: exact where power is straight between samples.
class power_integral {
  public:
    /// Samples in order of time; one that is not later than the last is left out.
    void add(double seconds, double watts) noexcept {
        if (has_sample_ && !(seconds > last_seconds_)) return;
        if (has_sample_) sum_ += 0.5 * (watts + last_watts_) * (seconds - last_seconds_);
        has_sample_ = true, last_seconds_ = seconds, last_watts_ = watts;
    }
    [[nodiscard]] joules total() const noexcept { return joules(sum_); }

  private:
    double sum_ = 0.0, last_seconds_ = 0.0, last_watts_ = 0.0;
    bool has_sample_ = false;
};

namespace detail {

/// A thread that integrates a device's power until it is destroyed.
class power_sampler {
  public:
    power_sampler(nvml_device const& device, nvml_options const& how)
        : device_(device), clock_(how.clock) {
        sample();
        thread_ = std::jthread([this, period = how.poll_seconds](std::stop_token const& stop) {
            std::unique_lock lock(mutex_);
            while (!stop.stop_requested()) {
                wake_.wait_for(lock, stop, std::chrono::duration<double>(period),
                               [] { return false; });
                try {
                    sample();
                } catch (error const&) {
                    return;  // read() asks the device itself and meets the same error
                }
            }
        });
    }
    [[nodiscard]] joules total() {
        std::lock_guard const lock(mutex_);
        sample();
        return sum_.total();
    }

  private:
    void sample() {
        double const watts = device_.watts();
        sum_.add(clock_.now(), watts);
    }

    nvml_device const& device_;
    meter_clock clock_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    power_integral sum_;
    std::jthread thread_;  // last: it ends before what it uses
};

}  // namespace detail

/// Models energy_meter: joules above idle since the meter was opened. Not copied or moved. Two
/// readings bound one phase (prefill, decode); run each for seconds.
class nvml_meter {
  public:
    explicit nvml_meter(nvml_options how = {}) : nvml_meter(open_nvml(), std::move(how)) {}

    /// With a library that is already open, or that a test made up.
    nvml_meter(nvml_library const& library, nvml_options how) : how_(std::move(how)) {
        if (library.functions.init == nullptr) {
            description_ = "no NVML meter: " + library.absence;
            return;
        }
        try {
            device_ = std::make_unique<detail::nvml_device>(library.functions, how_.device);
            has_counter_ = device_->has_counter();
            if (!has_counter_) sampler_ = std::make_unique<detail::power_sampler>(*device_, how_);
            start();
        } catch (error const& fault) {
            sampler_.reset();
            device_.reset();
            description_ = std::string("no NVML meter: ") + fault.what();
        }
    }
    nvml_meter(nvml_meter const&) = delete;
    nvml_meter& operator=(nvml_meter const&) = delete;

    [[nodiscard]] bool is_present() const noexcept { return device_ != nullptr; }
    [[nodiscard]] std::string const& description() const noexcept { return description_; }
    /// What is subtracted.
    [[nodiscard]] double idle_watts() const noexcept { return idle_watts_; }

    /// Waits for the device's work, then for a fresh value of the counter (up to about 100 ms; the
    /// idle power of the wait is subtracted too). Noise can make it a little less than it was. value_error
    /// without a meter; system_error where NVML refuses or the counter stands still.
    [[nodiscard]] joules read() {
        if (!is_present()) throw value_error(description_);
        how_.synchronize();
        reading const now = take();
        return now.energy - start_.energy - joules(idle_watts_ * (now.seconds - start_.seconds));
    }

  private:
    struct reading {
        joules energy;
        double seconds = 0.0;
    };

    void start() {
        how_.synchronize();
        start_ = take();
        if (how_.idle_watts) {
            idle_watts_ = *how_.idle_watts;
        } else {
            how_.clock.sleep(how_.idle_seconds);
            reading const later = take();
            double const seconds = later.seconds - start_.seconds;
            idle_watts_ = seconds > 0.0 ? (later.energy - start_.energy).count() / seconds : 0.0;
            start_ = later;
        }
        description_ = "NVML, " + device_->name() + ", " +
                       (has_counter_ ? "energy counter" : "integrated power") + ", less " +
                       std::to_string(idle_watts_) + " W idle" +
                       (how_.idle_watts ? " (given)" : " (measured)");
    }

    /// The counter just after it moved: its time is then known to one poll.
    [[nodiscard]] reading take() {
        if (!has_counter_) {
            joules const total = sampler_->total();
            return {total, how_.clock.now()};
        }
        auto const stale = device_->millijoules();
        double const begin = how_.clock.now();
        for (;;) {
            auto const count = device_->millijoules();
            double const now = how_.clock.now();
            if (count != stale) return {millijoules(static_cast<double>(count)), now};
            if (now - begin > how_.most_wait_seconds)
                throw system_error("NVML",
                                   "the energy counter of " + device_->name() +
                                       " stands still at " + std::to_string(stale) + " mJ for " +
                                       std::to_string(now - begin) + " s",
                                   0);
            how_.clock.sleep(how_.poll_seconds);
        }
    }

    nvml_options how_;
    std::unique_ptr<detail::nvml_device> device_;
    std::unique_ptr<detail::power_sampler> sampler_;  // after the device that it asks
    bool has_counter_ = false;
    double idle_watts_ = 0.0;
    reading start_;
    std::string description_;
};
static_assert(energy_meter<nvml_meter>);

}  // namespace qtk
