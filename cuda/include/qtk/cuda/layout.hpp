// SPDX-License-Identifier: Apache-2.0
//
// Where does a weight lie so that a tensor core takes it as it comes? One order of bytes serves
// every kernel of the T4: m16n8k8 on halves, m8n8k16 on bytes, m8n8k32 on nibbles and dp4a. Weights
// are the A operand, 16 rows of W at a time; K is permuted inside chunks of 64, and activations
// follow. A warp reads a chunk as 512 contiguous bytes, 16 from each lane:
//
//   4 bits   [rows / 16][cols / 64][lane 32][word j 4]          one uint4 a lane
//   8 bits   [rows / 16][cols / 64][half h 2][lane 32][word j 4]
//
//   lane 4g + t, word j   rows g (h = 0) and g + 8 (h = 1), columns 16j + 4t + e, e = 0..3
//   4 bits                nibble h + 2 * slot(e), slot = 0, 2, 1, 3: masking 0x0f0f0f0f gives the
//                         four columns of row g as bytes, 0x000f000f those of one half2
//   8 bits                byte slot(e): the same bytes
//
// A word spans 16 columns of the quad, so any group of a multiple of 32 columns ends between words.
// Fields are stored as they are (offset binary); rows and columns past the matrix decode to zero.
// Scales and zeros: [rows / 16][groups][g 8][h 2], so that a lane reads its two rows at once.
#pragma once

#include <qtk/core/host_device.hpp>

#include <cstddef>
#include <cstdint>

namespace qtk::cuda {

inline constexpr std::size_t tile_rows = 16;    ///< rows of W that one warp multiplies
inline constexpr std::size_t chunk_depth = 64;  ///< columns of W that one load of a warp brings
inline constexpr std::size_t warp_lanes = 32;

/// The byte of a word that holds column e of four: halves pair bytes 0, 2 and 1, 3.
[[nodiscard]] QTK_HD constexpr std::uint32_t slot_of(std::uint32_t e) noexcept {
    return (e >> 1) + 2 * (e & 1);
}

/// Where a field lies: bits [shift, shift + bits) of a 32-bit word.
struct bit_place {
    std::size_t word = 0;
    std::uint32_t shift = 0;
};

/// The shape of packed weights; group is columns a scale.
struct weight_layout {
    std::size_t rows = 0, cols = 0, group = 0;
    int bits = 4;

    [[nodiscard]] QTK_HD constexpr std::size_t tiles() const noexcept {
        return div_ceil(rows, tile_rows);
    }
    [[nodiscard]] QTK_HD constexpr std::size_t chunks() const noexcept {
        return div_ceil(cols, chunk_depth);
    }
    [[nodiscard]] QTK_HD constexpr std::size_t groups() const noexcept {
        return div_ceil(cols, group);
    }
    /// 32-bit words of a chunk of one tile.
    [[nodiscard]] QTK_HD constexpr std::size_t chunk_words() const noexcept {
        return tile_rows * chunk_depth * static_cast<std::size_t>(bits) / 32;
    }
    [[nodiscard]] QTK_HD constexpr std::size_t words() const noexcept {
        return tiles() * chunks() * chunk_words();
    }
    /// How many scales, and zeros if there are any; rows are filled up to whole tiles.
    [[nodiscard]] QTK_HD constexpr std::size_t params() const noexcept {
        return tiles() * groups() * tile_rows;
    }

    /// The field of row n and column k; both may lie past the matrix, inside its last tile.
    [[nodiscard]] QTK_HD constexpr bit_place field(std::size_t n, std::size_t k) const noexcept {
        std::size_t const chunk = n / tile_rows * chunks() + k / chunk_depth;
        std::size_t const lane = 4 * (n % 8) + k % 16 / 4, j = k % chunk_depth / 16;
        auto const h = static_cast<std::uint32_t>(n % tile_rows / 8);
        std::uint32_t const slot = slot_of(static_cast<std::uint32_t>(k % 4));
        if (bits == 4) return {(chunk * warp_lanes + lane) * 4 + j, 4 * (h + 2 * slot)};
        return {((chunk * 2 + h) * warp_lanes + lane) * 4 + j, 8 * slot};
    }
    /// The scale and the zero of row n and group q.
    [[nodiscard]] QTK_HD constexpr std::size_t param(std::size_t n, std::size_t q) const noexcept {
        return (n / tile_rows * groups() + q) * tile_rows + 2 * (n % 8) + n % tile_rows / 8;
    }
};

/// May a group end inside a chunk, at its half?
[[nodiscard]] constexpr bool has_narrow_groups(weight_layout const& w) noexcept {
    return w.group % chunk_depth != 0 && w.groups() > 1;
}

/// Where the code of column k lies in a row of int8 activations, filled up to whole chunks with
/// zeros: [chunk][t 4][j 4][slot 4], so that a lane reads its chunk as 16 bytes.
[[nodiscard]] QTK_HD constexpr std::size_t int8_place(std::size_t k) noexcept {
    std::size_t const slot = slot_of(static_cast<std::uint32_t>(k % 4));
    return k / chunk_depth * chunk_depth + k % 16 / 4 * 16 + k % chunk_depth / 16 * 4 + slot;
}

/// The same for int4 activations, two a byte: [chunk][t 4][j / 2][slot 4][j % 2]; a lane reads its
/// chunk as 8 bytes. Words j and j + 1 of the weights interleave into the operand of m8n8k32.
[[nodiscard]] QTK_HD constexpr bit_place int4_place(std::size_t k) noexcept {
    std::size_t const j = k % chunk_depth / 16;
    std::uint32_t const slot = slot_of(static_cast<std::uint32_t>(k % 4));
    return {k / chunk_depth * 8 + k % 16 / 4 * 2 + j / 2,
            4 * (2 * slot + static_cast<std::uint32_t>(j % 2))};
}

static_assert(slot_of(0) == 0 && slot_of(1) == 2 && slot_of(2) == 1 && slot_of(3) == 3);
static_assert(weight_layout{17, 65, 64, 4}.words() == 2 * 2 * 128, "a uint4 a lane");
static_assert(weight_layout{16, 64, 64, 8}.words() == 256);

}  // namespace qtk::cuda
