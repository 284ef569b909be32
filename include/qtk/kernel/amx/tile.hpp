// SPDX-License-Identifier: Apache-2.0
//
// How are the tile registers configured, filled and multiplied? Eight registers, tmm0 to tmm7, hold
// up to 16 rows of up to 64 bytes; one instruction multiplies two of them into a third (Intel SDM
// volume 1, chapter 18; volume 2, TDPBSSD and its neighbours). Use them only where qtk::cpu().amx
// says so: asking it also asks the system for permission.
//
//   QTK_TILE_LOAD(t, base, stride)        row i of tile t = the bytes at base + i * stride
//   QTK_TILE_LOAD_ONCE(t, base, stride)   the same for data that need not stay in the L1 cache
//   QTK_TILE_STORE(t, base, stride)       the bytes at base + i * stride = row i of tile t
//   QTK_TILE_ZERO(t)                      t = 0
//   QTK_TILE_DOT_S8(c, a, b)              c += a b with signed bytes, sums in int32 that wrap
//   QTK_TILE_DOT_U8S8(c, a, b)            a holds unsigned bytes, b signed ones
//   QTK_TILE_DOT_S8U8(c, a, b)            a holds signed bytes, b unsigned ones
//   QTK_TILE_DOT_U8(c, a, b)              both hold unsigned bytes
//   QTK_TILE_DOT_BF16(c, a, b)            c += a b with bfloat16, sums in float
//
// Tile numbers are constant expressions; strides count bytes. In a product a is [m rows][4 k bytes],
// c is [m rows][n int32 or float], and b holds k rows of n groups of 4 bytes: the 4 bytes (2
// bfloat16) of one group are consecutive in the summed index. c, a and b are three tiles.
//
// These are assembly and not the compilers' intrinsics because those of g++ do not tell it that
// memory is read or written: g++ moves vector stores across them, and g++ 12 drops the stores that
// fill a configuration, of which its _tile_loadconfig names the first eight bytes alone. The memory
// clobber also keeps tile and vector work interleaved the way a kernel wrote it.
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

// clang-format off
#define QTK_TILE_ACCESS_(text, t, base, stride) \
    __asm__ volatile(text ::"i"(t), "r"(base), "r"(static_cast<std::ptrdiff_t>(stride)) : "memory")
// clang-format on
#define QTK_TILE_LOAD(t, base, stride) \
    QTK_TILE_ACCESS_("tileloadd (%1,%2,1), %%tmm%c0", t, static_cast<void const*>(base), stride)
#define QTK_TILE_LOAD_ONCE(t, base, stride) \
    QTK_TILE_ACCESS_("tileloaddt1 (%1,%2,1), %%tmm%c0", t, static_cast<void const*>(base), stride)
#define QTK_TILE_STORE(t, base, stride) \
    QTK_TILE_ACCESS_("tilestored %%tmm%c0, (%1,%2,1)", t, static_cast<void*>(base), stride)
#define QTK_TILE_ZERO(t) __asm__ volatile("tilezero %%tmm%c0" ::"i"(t) : "memory")

// The operands of the assembler stand in the order b, a, c.
#define QTK_TILE_DOT_(name, c, a, b) \
    __asm__ volatile(name " %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b) : "memory")
#define QTK_TILE_DOT_S8(c, a, b) QTK_TILE_DOT_("tdpbssd", c, a, b)
#define QTK_TILE_DOT_U8S8(c, a, b) QTK_TILE_DOT_("tdpbusd", c, a, b)
#define QTK_TILE_DOT_S8U8(c, a, b) QTK_TILE_DOT_("tdpbsud", c, a, b)
#define QTK_TILE_DOT_U8(c, a, b) QTK_TILE_DOT_("tdpbuud", c, a, b)
#define QTK_TILE_DOT_BF16(c, a, b) QTK_TILE_DOT_("tdpbf16ps", c, a, b)

namespace qtk::amx {
inline namespace QTK_ABI_NS {

inline constexpr int tile_count = 8;
inline constexpr int tile_rows = 16;   ///< at most
inline constexpr int tile_bytes = 64;  ///< of a row, at most

/// The shapes of the eight tiles, as ldtilecfg reads them (palette 1); all are 16 rows of 64 bytes
/// until told otherwise.
struct alignas(64) tile_config {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;  // where an interrupted load goes on: always 0 here
    std::uint8_t reserved[14] = {};
    std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};  // the last eight are reserved
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};    // the last eight are reserved

    /// Gives `tile` that many rows of that many bytes, a multiple of 4. The configuration itself
    /// comes back, for the next tile.
    constexpr tile_config& shape(int tile, int row_count, int row_bytes) noexcept {
        QTK_EXPECTS(tile >= 0 && tile < tile_count);
        QTK_EXPECTS(row_count > 0 && row_count <= tile_rows);
        QTK_EXPECTS(row_bytes > 0 && row_bytes <= tile_bytes && row_bytes % 4 == 0);
        rows[tile] = static_cast<std::uint8_t>(row_count);
        bytes[tile] = static_cast<std::uint16_t>(row_bytes);
        return *this;
    }
};
static_assert(sizeof(tile_config) == 64 && offsetof(tile_config, bytes) == 16 &&
              offsetof(tile_config, rows) == 48);

QTK_AMX_REGION

/// The tiles take their shapes from `config`, and hold zeros.
inline void configure_tiles(tile_config const& config) noexcept {
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
}

/// The tiles are empty and without shape: the system need not save them any more.
inline void release_tiles() noexcept {
    __asm__ volatile("tilerelease" ::: "memory");
}

/// The tiles of this thread belong to a kernel from the constructor to the destructor. Sessions do
/// not nest: what the tiles held before is lost, and nothing is left in them afterwards.
class tile_session {
  public:
    explicit tile_session(tile_config const& config = {}) noexcept { configure_tiles(config); }
    tile_session(tile_session const&) = delete;
    tile_session& operator=(tile_session const&) = delete;
    ~tile_session() { release_tiles(); }

    /// Other shapes, for the last rows of a matrix, say; the tiles hold zeros afterwards.
    void reshape(tile_config const& config) noexcept { configure_tiles(config); }
};

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::amx

#endif
