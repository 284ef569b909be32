// SPDX-License-Identifier: Apache-2.0
//
// What PyPI's `gguf` decodes, made by tests/golden/gguf_decoders.py: the first eight floats and the
// FNV-1a hash of all float bits (little endian, offset basis 1469598103934665603).
#pragma once

#include <qtk/format/gguf_blocks.hpp>

#include <array>
#include <cstdint>

namespace goldens {

struct gguf_decoded {
    qtk::gguf_type type;
    std::uint64_t hash;
    std::array<float, 8> first;
};

inline constexpr std::array<gguf_decoded, 4> gguf_decoders{{
    {qtk::gguf_type::q4_0,
     0xc37154fa7772a1b5,
     {0x1.81e0000000000p-9f, -0x1.81e0000000000p-8f, 0x0.0p+0f, 0x1.0140000000000p-8f,
      0x1.81e0000000000p-8f, 0x1.0140000000000p-8f, 0x0.0p+0f, 0x0.0p+0f}},
    {qtk::gguf_type::q8_0,
     0x2006b5a3b8725aca,
     {-0x1.d649000000000p-4f, -0x1.79d6000000000p-4f, -0x1.81e0000000000p-6f, 0x1.c230000000000p-6f,
      0x1.fa76000000000p-4f, -0x1.d244000000000p-4f, -0x1.a208000000000p-4f,
      -0x1.c230000000000p-5f}},
    {qtk::gguf_type::q4_K,
     0xec0685eb4299d2cd,
     {0x1.b936000000000p-3f, 0x1.b936000000000p-3f, 0x1.2cff000000000p-2f, 0x1.186e000000000p-3f,
      0x1.232e800000000p-1f, 0x1.7d63000000000p-2f, 0x1.f5f9000000000p-2f, 0x1.3747800000000p-1f}},
    {qtk::gguf_type::q6_K,
     0xafabd017493547e9,
     {-0x1.49bc200000000p+1f, -0x1.3a08800000000p+1f, 0x1.3a08800000000p-1f, -0x1.f674000000000p-3f,
      -0x1.78d7000000000p+1f, 0x1.3a08800000000p+1f, -0x1.b7a5800000000p+0f,
      0x1.f674000000000p-2f}},
}};

}  // namespace goldens
