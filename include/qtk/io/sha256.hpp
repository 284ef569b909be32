// SPDX-License-Identifier: Apache-2.0
//
// Is this the same file as theirs? SHA-256 (FIPS 180-4), so that a report can name its tokenizer
// and its model by what `sha256sum` prints for them.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qtk {

namespace detail {

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
inline constexpr std::array<std::uint32_t, 64> sha256_constants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

}  // namespace detail

/// A running digest: update() any number of times, then hex().
class sha256 {
  public:
    void update(std::string_view bytes) noexcept {
        length_ += bytes.size();
        while (!bytes.empty()) {
            std::size_t const taken = std::min(block_.size() - filled_, bytes.size());
            for (std::size_t i = 0; i < taken; ++i)
                block_[filled_ + i] = static_cast<unsigned char>(bytes[i]);
            filled_ += taken;
            bytes.remove_prefix(taken);
            if (filled_ == block_.size()) absorb();
        }
    }

    /// The digest of everything so far, as 64 lower-case hexadecimal digits.
    [[nodiscard]] std::string hex() const {
        sha256 last = *this;
        std::uint64_t const bits = length_ * 8;
        // One bit, zeros, and the length in the last eight bytes of a block.
        last.update(std::string_view("\x80", 1));
        while (last.filled_ != 56) last.update(std::string_view("\0", 1));
        for (int shift = 56; shift >= 0; shift -= 8) {
            char const byte = static_cast<char>(bits >> shift & 0xff);
            last.update(std::string_view(&byte, 1));
        }
        std::string text;
        for (std::uint32_t const word : last.state_)
            for (int shift = 28; shift >= 0; shift -= 4)
                text += "0123456789abcdef"[word >> shift & 0xf];
        return text;
    }

  private:
    void absorb() noexcept {
        std::array<std::uint32_t, 64> w{};
        for (std::size_t i = 0; i < 16; ++i)
            for (std::size_t k = 0; k < 4; ++k) w[i] = w[i] << 8 | block_[4 * i + k];
        for (std::size_t i = 16; i < 64; ++i) {
            std::uint32_t const a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
                   (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
        }
        auto [a, b, c, d, e, f, g, h] = state_;
        for (std::size_t i = 0; i < 64; ++i) {
            std::uint32_t const up = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                                     ((e & f) ^ (~e & g)) + detail::sha256_constants[i] + w[i];
            std::uint32_t const down = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) +
                                       ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + up, d = c, c = b, b = a, a = up + down;
        }
        std::array<std::uint32_t, 8> const mixed{a, b, c, d, e, f, g, h};
        for (std::size_t i = 0; i < 8; ++i) state_[i] += mixed[i];
        filled_ = 0;
    }

    // The same for the square roots of the first 8 primes.
    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<unsigned char, 64> block_{};
    std::size_t filled_ = 0;
    std::uint64_t length_ = 0;
};

}  // namespace qtk
