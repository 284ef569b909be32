// SPDX-License-Identifier: Apache-2.0
//
// What the tests of GGUF's blocks share: an input, what ggml itself makes of it, and how both are
// compared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cases {

/// 256 floats, exact in binary.
inline std::vector<float> golden_input() {
    std::vector<float> x(256);
    for (std::size_t i = 0; i < 256; ++i)
        x[i] = static_cast<float>(static_cast<int>((7919 * i + 13) % 257) - 128) / 64.0f;
    return x;
}

/// FNV-1a with the offset basis of the goldens.
inline std::uint64_t hash_of(std::span<std::uint8_t const> bytes) {
    std::uint64_t hash = 1469598103934665603ull;
    for (std::uint8_t const byte : bytes) hash = (hash ^ byte) * 1099511628211ull;
    return hash;
}

inline std::string hex_of(std::span<std::uint8_t const> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::uint8_t const byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}
inline std::vector<std::uint8_t> bytes_of(std::string_view hex) {
    auto const digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    std::vector<std::uint8_t> bytes(hex.size() / 2);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::uint8_t>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return bytes;
}

/// sum (x - y)^2 / sum x^2
inline double nmse(std::span<float const> x, std::span<float const> y) {
    double off = 0.0, all = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        double const a = static_cast<double>(x[i]), b = static_cast<double>(y[i]);
        off += (a - b) * (a - b);
        all += a * a;
    }
    return off / all;
}

/// What ggml's own reference quantizers (commit d99724f) make of the golden input: the hash of all
/// bytes, the NMSE of what they decode to, and the first block.
struct ggml_golden {
    std::string_view type;
    std::uint64_t hash;
    double nmse;
    std::string_view first;
};
inline constexpr std::array<ggml_golden, 13> ggml_goldens{{
    {"q4_0", 0xb79a1342de74a1f7ull, 0.00357764927, "00b4ff225588bbee114477aaddf0336699cc"},
    {"q4_1", 0x526995d3c185f4bbull, 0.00129680035, "3c34e0bf11ddaa875422eebb9865330fcca97644"},
    {"q5_0", 0x0fd7f3d7f66e8119ull, 0.00101649449, "00b039c639ceee44aa0066cc2288ee44aaf066cc2288"},
    {"q5_1", 0xb84f23d687835a72ull, 0.00106879173,
     "1930e0bfc639ce3121bb550fa943dd7721cb650fa943ed88"},
    {"q8_0", 0x5463fe54ce7906fbull, 1.06093173e-05,
     "08248e5d2efece9f6e3f0fdfb07f4f20f0c091603101d1a2714112e2b3835223f3c3"},
    {"q2_K", 0xec22dd2f5eca4a7dull, 0.0625011821,
     "effeeeeeeedeffffefefdfdffeeeeeee00ffaaa955003ffeaa554003ffaa955500ffaaaa55003fff"
     "aa554000ffaa9555000ffaaa555000ffaaa55500fffaaa55000ffaaa555000ffaaa55500fffaaa55"
     "ae2c292f"},
    {"q3_K", 0x957dd74cb3dbeaefull, 0.0181053278,
     "a59a5a5fe5a5a25a5bfda5a45a5a7fa5b689494ff6b6b14949feb6b649495fb677ddab00deb70daa"
     "741daa70de7700ea7dd7a940d7ad03ea7d17aa7cd6bd00daadc36add07aadc779d007add33aad077"
     "afc076df05aadf75ab007adf31aadc751fd0d1df0f1ff0f10f3cf0f34ca4"},
    {"q4_K", 0xa76b0e1fbde6efc0ull, 0.000885549604,
     "1f1c1628fffefefefffcf9febe8edfaf11eebb885522ffcc9966330fddaa774411eebb885522ffcc"
     "99663300ddaa774421fecb9865320fdca9764310edba875421fecb9865320fdca9764310edba8754"
     "22ffcc99663300ddaa774411eebb885522ffcc99663300ddaa774411eebb88553300ddaa774411ee"
     "bb885522ffcc99663300ddaa774411eebb885522ffcc9966"},
    {"q5_K", 0xee03c028a25dea46ull, 0.000873006693,
     "2a180028fffbfbfbfefdfaffcb9bebbb003ffffe000007ffffc00001fffff800003ffffe000007ff"
     "ffc00000fffff80021db750fa943fd9731cb650fb953fd8721db751fb944fd9731db7600b953fe98"
     "42fd9720ca640fb953ec8620db751fa842fd9731db640fb953fd9720eb751fb944ff9922cc6600bb"
     "55ee8822dd7711aa44ff9933dd6600bb55ff9922ee7711bb6600bb55ee8822dd7711aa44ff9933dd"
     "6600bb55ff8822dd7711bb44ff9933dd"},
    {"q6_K", 0x1ea0d899ef166296ull, 0.000201987167,
     "bc4915d0ac7805c19c6824f18d4814e093491cd094580dc185581cd085490dc084ca0d4185c80e42"
     "85c90d4096da1d419bd5125e9bd7115d9ad6135f99d5125ed91e4286d91d5186ca1e5195cb1e5296"
     "d7105d99d6135fa8e5225e9be4206daa36f09c6925e2be5814e1ad6a13d09c6914d09c5814d09c58"
     "14d09c5814d09c5833ccd99a66330ccd99667330cc99a6673cc3d696693c03c396697c3cc396a969"
     "ccc33366999ccc33666999cc33366699cfc030659a9fcf30656a9acf3035659a807a79888a857c7d"
     "7a8a88837f7c87831d10"},
    {"iq4_nl", 0x949f6513503acdc3ull, 0.00503723536, "25a4ff124488ccee113367abdef0225599cd"},
    {"iq4_xs", 0x6c0d259521804532ull, 0.00479936893,
     "3c10cc33e0e31e1fff224488bcee113367aaddf0225599cc11fecc985422ffddaa663200eebb7743"
     "ff113377bbee0022569addff114488cc11ffdda9552200eebb773311fecc884422ffddaa663200ee"
     "bb774311ffcc9955ee0022569addff124488ccee113367ab2200eebb773311eecc885422ffddaa66"
     "ddff225589ccef113477bbee0023669a"},
    {"mxfp4", 0x9ef027c563e4af00ull, 0.018296657, "7ede553300bbdd654411aacde6542299cc"},
}};

inline ggml_golden const& golden_of(std::string_view type) {
    for (ggml_golden const& golden : ggml_goldens)
        if (golden.type == type) return golden;
    return ggml_goldens.front();
}

}  // namespace cases
