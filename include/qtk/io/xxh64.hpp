// SPDX-License-Identifier: Apache-2.0
//
// Are these still the bytes that were written? XXH64 (Yann Collet's specification), which finds what a
// disk or a crash did at the speed of memory. It is no protection from a person: sha256.hpp is.
#pragma once

#include <qtk/io/byte_reader.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace qtk {

/// A running checksum: update() any number of times, then value().
class xxh64 {
  public:
    void update(std::span<std::byte const> bytes) noexcept {
        length_ += bytes.size();
        if (filled_ > 0) {
            std::size_t const taken = std::min(block_.size() - filled_, bytes.size());
            std::memcpy(block_.data() + filled_, bytes.data(), taken);
            filled_ += taken;
            bytes = bytes.subspan(taken);
            if (filled_ < block_.size()) return;
            absorb(block_.data());
            filled_ = 0;
        }
        for (; bytes.size() >= block_.size(); bytes = bytes.subspan(block_.size()))
            absorb(bytes.data());
        if (bytes.empty()) return;
        std::memcpy(block_.data(), bytes.data(), bytes.size());
        filled_ = bytes.size();
    }

    /// The checksum of everything so far.
    [[nodiscard]] std::uint64_t value() const noexcept {
        std::uint64_t hash = prime[4];  // of fewer bytes than a block
        if (length_ >= block_.size()) {
            hash = std::rotl(lane_[0], 1) + std::rotl(lane_[1], 7) + std::rotl(lane_[2], 12) +
                   std::rotl(lane_[3], 18);
            for (std::uint64_t const lane : lane_)
                hash = (hash ^ mixed(0, lane)) * prime[0] + prime[3];
        }
        hash += length_;
        std::byte const* at = block_.data();
        std::size_t left = filled_;
        for (; left >= 8; left -= 8, at += 8) {
            hash ^= mixed(0, load_little_endian<std::uint64_t>(at));
            hash = std::rotl(hash, 27) * prime[0] + prime[3];
        }
        if (left >= 4) {
            hash ^= load_little_endian<std::uint32_t>(at) * prime[0];
            hash = std::rotl(hash, 23) * prime[1] + prime[2];
            left -= 4, at += 4;
        }
        for (; left > 0; --left, ++at) {
            hash ^= std::to_integer<std::uint64_t>(*at) * prime[4];
            hash = std::rotl(hash, 11) * prime[0];
        }
        hash = (hash ^ hash >> 33) * prime[1];
        hash = (hash ^ hash >> 29) * prime[2];
        return hash ^ hash >> 32;
    }

  private:
    static constexpr std::array<std::uint64_t, 5> prime{0x9e3779b185ebca87u, 0xc2b2ae3d27d4eb4fu,
                                                        0x165667b19e3779f9u, 0x85ebca77c2b2ae63u,
                                                        0x27d4eb2f165667c5u};

    [[nodiscard]] static constexpr std::uint64_t mixed(std::uint64_t lane,
                                                       std::uint64_t word) noexcept {
        return std::rotl(lane + word * prime[1], 31) * prime[0];
    }
    void absorb(std::byte const* block) noexcept {
        for (std::size_t i = 0; i < lane_.size(); ++i)
            lane_[i] = mixed(lane_[i], load_little_endian<std::uint64_t>(block + 8 * i));
    }

    std::array<std::uint64_t, 4> lane_{prime[0] + prime[1], prime[1], 0, 0 - prime[0]};
    std::array<std::byte, 32> block_{};
    std::size_t filled_ = 0;
    std::uint64_t length_ = 0;
};

}  // namespace qtk
