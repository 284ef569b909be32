// SPDX-License-Identifier: Apache-2.0
//
// In which number format does a network remember keys and values? A spelling:
//
//   fp32                    floats
//   int8                    8 bits, symmetric, a scale for each token and head
//   iB[/gN][/token][/rN]    B = 8, 4 or 2 bits, asymmetric, N values share scale and zero (g32): of keys N
//                           tokens of one channel, with /token N channels of one token; of values always
//                           N channels of one token. The last N tokens stay floats (r32; r0: none)
//
// The last is KIVI (Liu et al. 2024, arXiv:2402.02750): keys have channels that are large in every token,
// values have not. f32 and i8 are other names of the first two.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/model/decoder_config.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace qtk {

enum class kv_storage : std::uint8_t { f32, i8, groups };

struct kv_format {
    kv_storage storage = kv_storage::f32;
    // Of groups alone:
    int bits = 4;                  ///< 8, 4 or 2
    std::size_t group = 32;        ///< values that share a scale, 1 or more
    std::size_t recent = 32;       ///< tokens at the end that stay floats
    bool has_channel_keys = true;  ///< groups of keys lie along the tokens

    constexpr kv_format() = default;
    constexpr kv_format(kv_storage how) noexcept : storage(how) {}
    friend constexpr bool operator==(kv_format const&, kv_format const&) = default;
};

[[nodiscard]] inline std::string to_string(kv_format const& f) {
    if (f.storage == kv_storage::f32) return "fp32";
    if (f.storage == kv_storage::i8) return "int8";
    return "i" + std::to_string(f.bits) + "/g" + std::to_string(f.group) +
           (f.has_channel_keys ? "" : "/token") + "/r" + std::to_string(f.recent);
}

/// Throws value_error with what is expected.
[[nodiscard]] inline kv_format parse_kv_format(std::string_view text) {
    if (text == "fp32" || text == "f32") return kv_storage::f32;
    if (text == "int8" || text == "i8") return kv_storage::i8;
    kv_format format(kv_storage::groups);
    bool is_known = text.starts_with("i8") || text.starts_with("i4") || text.starts_with("i2");
    if (is_known) format.bits = text[1] - '0';
    std::string_view rest = text.substr(std::min<std::size_t>(text.size(), 2));
    constexpr std::size_t most = std::size_t{1} << 20;
    while (is_known && !rest.empty()) {
        std::size_t const end = std::min(rest.find('/', 1), rest.size());
        std::string_view const word = rest.substr(1, end - 1);
        is_known = rest.front() == '/' && !word.empty();
        rest.remove_prefix(end);
        if (word == "token") {
            format.has_channel_keys = false;
            continue;
        }
        std::size_t value = 0;
        auto const [stop, failure] =
            std::from_chars(word.data() + (word.empty() ? 0 : 1), word.data() + word.size(), value);
        bool const is_group = word.starts_with('g'), is_recent = word.starts_with('r');
        is_known = is_known && (is_group || is_recent) && failure == std::errc{} &&
                   stop == word.data() + word.size() && value <= most && (value > 0 || is_recent);
        (is_group ? format.group : format.recent) = value;
    }
    if (is_known) return format;
    throw value_error(
        "keys and values: expected fp32, int8 or iB[/gN][/token][/rN] with B = 8, 4 or "
        "2, e.g. i4/g64; found \"" +
        std::string(text) + "\"");
}

/// Bytes of one more token in all layers, once it is no longer a recent one: codes, scales and zeros of its
/// keys and values. A scale and a zero are two halves.
[[nodiscard]] inline double kv_bytes_per_token(decoder_config const& c, kv_format const& f) {
    double const heads = static_cast<double>(c.layers * c.kv_heads),
                 values = heads * static_cast<double>(c.head_dim);
    if (f.storage == kv_storage::f32) return 2.0 * 4.0 * values;
    if (f.storage == kv_storage::i8) return 2.0 * (values + 4.0 * heads);
    constexpr double group_bytes = 4.0;
    double const codes = heads * static_cast<double>(packed_bytes(c.head_dim, f.bits));
    double const by_token =
        heads * static_cast<double>(div_ceil(c.head_dim, f.group)) * group_bytes;
    double const keys =
        f.has_channel_keys ? values / static_cast<double>(f.group) * group_bytes : by_token;
    return 2.0 * codes + keys + by_token;
}

}  // namespace qtk
