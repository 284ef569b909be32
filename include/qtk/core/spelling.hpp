// SPDX-License-Identifier: Apache-2.0
//
// How is a scheme written? One spelling for file metadata, command lines, bench names, JSON and
// reports:
//
//   scheme = format "/" grain ["/" sym|asym] ["/" scale] ["/" rounding]      i4/g128/asym/f16
//   grain  = tensor | channel | g<N> | b<R>x<C>      scale = f32 | f16 | bf16 | e8m0 | e4m3
//   rounding = even | away | stochastic              names: mxfp4, nvfp4
//
// Format, grain, symmetry and scale are always printed, the rounding only when it is not the
// default.
#pragma once

#include <qtk/core/scheme.hpp>

#include <array>
#include <string>
#include <string_view>

namespace qtk {

namespace detail {

template <typename Value>
struct spelled {
    std::string_view word;
    Value value;
};
inline constexpr std::array<spelled<origin>, 2> origins{
    {{"sym", origin::fixed}, {"asym", origin::floating}}};
inline constexpr std::array<spelled<scale_type>, 5> scale_types{{{"f32", scale_type::f32},
                                                                 {"f16", scale_type::f16},
                                                                 {"bf16", scale_type::bf16},
                                                                 {"e8m0", scale_type::e8m0},
                                                                 {"e4m3", scale_type::e4m3}}};
inline constexpr std::array<spelled<rounding>, 3> roundings{{{"even", rounding::nearest_even},
                                                             {"away", rounding::nearest_away},
                                                             {"stochastic", rounding::stochastic}}};
inline constexpr std::array<spelled<scheme>, 2> named_schemes{{{"mxfp4", mxfp4}, {"nvfp4", nvfp4}}};

template <typename Value, std::size_t N>
[[nodiscard]] constexpr std::string_view word_for(std::array<spelled<Value>, N> const& words,
                                                  Value const& value) noexcept {
    for (auto const& entry : words)
        if (entry.value == value) return entry.word;
    return {};
}
/// Sets `out` if `word` is in the list.
template <typename Value, std::size_t N>
constexpr bool match(std::array<spelled<Value>, N> const& words, std::string_view word,
                     Value& out) noexcept {
    for (auto const& entry : words)
        if (entry.word == word) return out = entry.value, true;
    return false;
}

/// A positive decimal number of at most nine digits without sign or leading zero; 0 if `text` is
/// anything else.
[[nodiscard]] constexpr int parse_side(std::string_view text) noexcept {
    if (text.empty() || text.size() > 9 || text.front() == '0') return 0;
    int value = 0;
    for (char const c : text) {
        if (c < '0' || c > '9') return 0;
        value = value * 10 + (c - '0');
    }
    return value;
}
constexpr bool parse_grain(std::string_view word, granularity& out) noexcept {
    if (word == "tensor") return out = per_tensor, true;
    if (word == "channel") return out = per_channel, true;
    if (word.starts_with('g')) {
        out = {.rows = 1, .cols = parse_side(word.substr(1))};
        return out.cols > 0;
    }
    if (auto const cross = word.find('x'); word.starts_with('b') && cross != word.npos) {
        out = {.rows = parse_side(word.substr(1, cross - 1)),
               .cols = parse_side(word.substr(cross + 1))};
        return out.rows > 0 && out.cols > 0;
    }
    return false;
}

[[noreturn]] inline void bad_spelling(std::string_view text, std::string_view why) {
    throw value_error(
        "scheme \"" + std::string(text) + "\": " + std::string(why) +
        ". A scheme is FORMAT/GRAIN[/sym|asym][/SCALE][/ROUNDING], e.g. i4/g128/asym/f16");
}

}  // namespace detail

[[nodiscard]] inline std::string to_string(granularity const& g) {
    if (g == per_tensor) return "tensor";
    if (g == per_channel) return "channel";
    if (g.rows == 1) return "g" + std::to_string(g.cols);
    return "b" + std::to_string(g.rows) + "x" + std::to_string(g.cols);
}

/// The canonical spelling of a scheme, e.g. `i4/g128/asym/f32`.
[[nodiscard]] inline std::string to_string(scheme const& s) {
    std::string text(name_of(s.element));
    text.append("/").append(to_string(s.grain));
    text.append("/").append(detail::word_for(detail::origins, s.zero));
    text.append("/").append(detail::word_for(detail::scale_types, s.scale));
    if (s.round != rounding::nearest_even)
        text.append("/").append(detail::word_for(detail::roundings, s.round));
    return text;
}

/// The scheme that `text` spells; optional fields may be left out. Throws value_error with the
/// reason and the grammar otherwise. Usable at compile time: `constexpr scheme s =
/// parse_scheme("i4/g128");`.
[[nodiscard]] constexpr scheme parse_scheme(std::string_view text) {
    scheme s;
    if (detail::match(detail::named_schemes, text, s)) return s;

    std::array<std::string_view, 5> field{};
    std::size_t fields = 0;
    for (std::string_view rest = text;;) {
        auto const slash = rest.find('/');
        if (fields == field.size()) detail::bad_spelling(text, "it has more than five fields");
        field[fields++] = rest.substr(0, slash);
        if (slash == rest.npos) break;
        rest.remove_prefix(slash + 1);
    }
    s.element = format{.bits = 0};
    for (auto const& [name, value] : known_formats)
        if (name == field[0]) s.element = value;
    if (s.element.bits == 0)
        detail::bad_spelling(
            text, "the format is none of i2..i8, u2..u8, nf4, fp4, e2m1, e3m2, e4m3, e5m2");
    if (fields < 2) detail::bad_spelling(text, "it has no granularity");
    if (!detail::parse_grain(field[1], s.grain))
        detail::bad_spelling(
            text, "the granularity is none of tensor, channel, g<N>, b<R>x<C> (N, R, C > 0)");

    std::size_t next = 2;
    if (next < fields && detail::match(detail::origins, field[next], s.zero)) ++next;
    if (next < fields && detail::match(detail::scale_types, field[next], s.scale)) ++next;
    if (next < fields && detail::match(detail::roundings, field[next], s.round)) ++next;
    if (next < fields)
        detail::bad_spelling(text, "field " + std::to_string(next + 1) + " (\"" +
                                       std::string(field[next]) + "\") is not expected there");
    if (char const* fault = fault_of(s)) detail::bad_spelling(text, fault);
    return s;
}

static_assert(parse_scheme("i4/g128/asym/f16") == scheme{.element = i4,
                                                         .grain = per_group(128),
                                                         .zero = origin::floating,
                                                         .scale = scale_type::f16});
static_assert(parse_scheme("mxfp4") == parse_scheme("e2m1/g32/sym/e8m0"));

}  // namespace qtk
