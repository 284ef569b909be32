// SPDX-License-Identifier: Apache-2.0
//
// How far is the approximation from the reference? With r the reference and e = approximation - r:
//
//     MSE = sum e^2 / n     NMSE = sum e^2 / sum r^2     SQNR = -10 log10(NMSE) dB
//
// Sums are kept in double; differences are taken in double, so float inputs lose nothing.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/stats/summary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>

namespace qtk {

/// The error figures of one or more pieces; add them row by row or all at once. NaN anywhere makes
/// every figure NaN. Figures of no values at all throw value_error.
class distortion {
  public:
    /// shape_error where the two differ in length.
    void add(std::span<float const> reference, std::span<float const> approximation) {
        accumulate(reference, approximation);
    }
    void add(std::span<double const> reference, std::span<double const> approximation) {
        accumulate(reference, approximation);
    }

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    /// Mean squared error.
    [[nodiscard]] double mse() const {
        return error_energy_.value() / static_cast<double>(require_values());
    }
    /// Error energy over signal energy. A zero signal: 0 where it is met exactly, else +inf.
    [[nodiscard]] double nmse() const {
        require_values();
        double const error = error_energy_.value(), signal = signal_energy_.value();
        return error == 0.0 ? 0.0 : error / signal;
    }
    /// Signal over quantization noise, decibels: +inf for an exact copy, -inf for any error on a
    /// zero signal.
    [[nodiscard]] double sqnr_db() const { return -10.0 * std::log10(nmse()); }
    /// Cosine of the angle between the two. Two zero vectors: 1; one: 0.
    [[nodiscard]] double cosine() const {
        require_values();
        double const a = signal_energy_.value(), b = approximation_energy_.value();
        if (a == 0.0 && b == 0.0) return 1.0;
        if (a == 0.0 || b == 0.0) return std::isnan(a + b) ? a + b : 0.0;
        return std::clamp(dot_.value() / (std::sqrt(a) * std::sqrt(b)), -1.0, 1.0);
    }
    /// The largest |e|.
    [[nodiscard]] double max_error() const {
        require_values();
        return max_error_;
    }

  private:
    template <typename T>
    void accumulate(std::span<T const> reference, std::span<T const> approximation) {
        if (reference.size() != approximation.size())
            throw shape_error("distortion: the reference has " + std::to_string(reference.size()) +
                              " values but the approximation has " +
                              std::to_string(approximation.size()));
        // Compensation is paid once a block: inside one, 1024 plain additions lose at most 10 bits
        // of 53.
        static constexpr std::size_t block = 1024;
        for (std::size_t start = 0; start < reference.size(); start += block) {
            std::size_t const end = std::min(start + block, reference.size());
            double signal = 0.0, approximated = 0.0, error = 0.0, dot = 0.0;
            for (std::size_t i = start; i < end; ++i) {
                auto const r = static_cast<double>(reference[i]);
                auto const a = static_cast<double>(approximation[i]), e = a - r;
                signal += r * r;
                approximated += a * a;
                error += e * e;
                dot += r * a;
                // Written so that NaN enters and stays.
                if (std::fabs(e) > max_error_ || std::isnan(e)) max_error_ = std::fabs(e);
            }
            signal_energy_ += signal;
            approximation_energy_ += approximated;
            error_energy_ += error;
            dot_ += dot;
        }
        count_ += reference.size();
    }

    std::size_t require_values() const {
        if (count_ == 0) throw value_error("distortion: there are no values to compare");
        return count_;
    }

    compensated_sum signal_energy_, approximation_energy_, error_energy_, dot_;
    double max_error_ = 0.0;
    std::size_t count_ = 0;
};

/// All figures of one pair of float sequences.
[[nodiscard]] inline distortion distortion_of(std::span<float const> reference,
                                              std::span<float const> approximation) {
    distortion result;
    result.add(reference, approximation);
    return result;
}
/// The same in double.
[[nodiscard]] inline distortion distortion_of(std::span<double const> reference,
                                              std::span<double const> approximation) {
    distortion result;
    result.add(reference, approximation);
    return result;
}

}  // namespace qtk
