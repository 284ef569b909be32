// SPDX-License-Identifier: Apache-2.0
//
// How much energy is that? A type of its own, so that a millijoule is never read as a microjoule:
// it is made by naming the unit, and only sums, scalings and ratios of it exist.
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <compare>
#include <cstddef>
#include <string>
#include <string_view>

namespace qtk {

/// An amount of energy. Default is none; a bare number becomes one only where the unit is written.
class joules {
  public:
    constexpr joules() = default;
    explicit constexpr joules(double count) noexcept : count_(count) {}

    /// The number of joules.
    [[nodiscard]] constexpr double count() const noexcept { return count_; }
    /// The number of picojoules, the unit of coefficient tables.
    [[nodiscard]] constexpr double picojoules() const noexcept { return count_ * 1e12; }

    constexpr joules& operator+=(joules other) noexcept {
        count_ += other.count_;
        return *this;
    }
    constexpr joules& operator-=(joules other) noexcept {
        count_ -= other.count_;
        return *this;
    }

    friend constexpr joules operator+(joules a, joules b) noexcept { return a += b; }
    friend constexpr joules operator-(joules a, joules b) noexcept { return a -= b; }
    friend constexpr joules operator*(joules a, double times) noexcept {
        return joules(a.count_ * times);
    }
    friend constexpr joules operator*(double times, joules a) noexcept { return a * times; }
    friend constexpr joules operator/(joules a, double parts) noexcept {
        return joules(a.count_ / parts);
    }
    /// How many times b fits into a.
    friend constexpr double operator/(joules a, joules b) noexcept { return a.count_ / b.count_; }
    friend constexpr auto operator<=>(joules, joules) noexcept = default;

  private:
    double count_ = 0.0;
};

// Divided, not multiplied by 1e-12: powers of ten are exact, so only one rounding is left.
[[nodiscard]] constexpr joules picojoules(double n) noexcept {
    return joules(n / 1e12);
}
[[nodiscard]] constexpr joules nanojoules(double n) noexcept {
    return joules(n / 1e9);
}
[[nodiscard]] constexpr joules microjoules(double n) noexcept {
    return joules(n / 1e6);
}
[[nodiscard]] constexpr joules millijoules(double n) noexcept {
    return joules(n / 1e3);
}

/// Energy of a constant power (watts) over a time.
[[nodiscard]] constexpr joules power_over(double watts,
                                          std::chrono::duration<double> time) noexcept {
    return joules(watts * time.count());
}

/// `3.2_pJ`, `5_uJ`, `1.5_mJ`, `2_J` after `using namespace qtk::energy_literals`.
namespace energy_literals {
constexpr joules operator""_pJ(long double n) noexcept {
    return picojoules(static_cast<double>(n));
}
constexpr joules operator""_pJ(unsigned long long n) noexcept {
    return picojoules(static_cast<double>(n));
}
constexpr joules operator""_uJ(long double n) noexcept {
    return microjoules(static_cast<double>(n));
}
constexpr joules operator""_uJ(unsigned long long n) noexcept {
    return microjoules(static_cast<double>(n));
}
constexpr joules operator""_mJ(long double n) noexcept {
    return millijoules(static_cast<double>(n));
}
constexpr joules operator""_mJ(unsigned long long n) noexcept {
    return millijoules(static_cast<double>(n));
}
constexpr joules operator""_J(long double n) noexcept {
    return joules(static_cast<double>(n));
}
constexpr joules operator""_J(unsigned long long n) noexcept {
    return joules(static_cast<double>(n));
}
}  // namespace energy_literals

/// Three significant digits in the unit that keeps one to three of them before the point:
/// `1.23 mJ`, `640 pJ`. Beyond fJ and GJ the exponent is written out; the locale plays no part.
[[nodiscard]] inline std::string to_string(joules energy) {
    double const count = energy.count();
    if (count == 0.0) return "0 J";
    if (!std::isfinite(count)) return std::isnan(count) ? "nan J" : count > 0 ? "inf J" : "-inf J";

    // Rounded to digits first: 999.6 pJ is then one nJ and not a four-digit number of pJ.
    std::array<char, 32> buffer{};
    auto const end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::fabs(count),
                                   std::chars_format::scientific, 2)
                         .ptr;
    std::string_view const text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
    std::string const sign = count < 0 ? "-" : "";
    int exponent = 0;  // from_chars knows no plus
    std::size_t const digits_at = text.find_first_not_of('+', text.find('e') + 1);
    std::from_chars(text.data() + digits_at, end, exponent);
    static constexpr std::array<std::string_view, 9> units = {"fJ", "pJ", "nJ", "uJ", "mJ",
                                                              "J",  "kJ", "MJ", "GJ"};
    int const thousands = exponent + 15;
    if (thousands < 0 || thousands >= 3 * static_cast<int>(units.size()))
        return sign + std::string(text) + " J";

    std::string digits{text[0], text[2], text[3]};
    auto const before_point = static_cast<std::size_t>(thousands % 3 + 1);
    if (before_point < 3) digits.insert(before_point, 1, '.');
    return sign + digits + " " + std::string(units[static_cast<std::size_t>(thousands / 3)]);
}

static_assert(millijoules(1) > microjoules(999) && microjoules(1) > picojoules(999999));
static_assert(joules(6.0) / joules(2.0) == 3.0);

}  // namespace qtk
