// SPDX-License-Identifier: Apache-2.0
//
// What PyPI's `gguf` decodes, made by tests/golden/gguf_decoders.py: the first eight floats and the
// FNV-1a hash of all float bits (little endian, offset basis 1469598103934665603).
#pragma once

#include <qtk/format/gguf_blocks.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace goldens {

struct gguf_decoded {
    qtk::gguf_type type;
    std::vector<std::size_t> halves;  // high bytes of the halves of a block
    std::uint64_t hash;
    std::array<float, 8> first;
};

inline std::vector<gguf_decoded> const gguf_decoders{
    {qtk::gguf_type::f32,
     {3},
     0x58ca0749a0e1ee03,
     {-0x1.16080a0000000p-90f, -0x1.fc39d00000000p-71f, -0x1.1591300000000p-67f,
      0x1.6625ee0000000p-84f, -0x1.cfeaca0000000p-89f, 0x1.d953fc0000000p-65f,
      0x1.58d8920000000p-80f, 0x1.9fb42c0000000p-93f}},
    {qtk::gguf_type::f16,
     {1},
     0x0d2188ec697caf05,
     {0x1.0140000000000p-10f, -0x1.a2c0000000000p-11f, 0x1.3a00000000000p-8f,
      -0x1.1f80000000000p-8f, -0x1.2600000000000p-9f, -0x1.8280000000000p-8f,
      0x1.bdc0000000000p-11f, 0x1.6cc0000000000p-10f}},
    {qtk::gguf_type::bf16,
     {1},
     0xc5506d1c6890c38d,
     {0x1.0a00000000000p-87f, -0x1.1600000000000p-90f, 0x1.d000000000000p-70f,
      -0x1.fc00000000000p-71f, -0x1.3000000000000p-78f, -0x1.1400000000000p-67f,
      0x1.ee00000000000p-90f, 0x1.6600000000000p-84f}},
    {qtk::gguf_type::q4_0,
     {1},
     0xc37154fa7772a1b5,
     {0x1.81e0000000000p-9f, -0x1.81e0000000000p-8f, 0x0.0p+0f, 0x1.0140000000000p-8f,
      0x1.81e0000000000p-8f, 0x1.0140000000000p-8f, 0x0.0p+0f, 0x0.0p+0f}},
    {qtk::gguf_type::q4_1,
     {1, 3},
     0x16bfcc04bd4ee92b,
     {0x1.ce28000000000p-8f, 0x1.67b4000000000p-7f, 0x1.a804000000000p-7f, 0x1.67b4000000000p-7f,
      0x1.ce28000000000p-8f, 0x1.ce28000000000p-8f, 0x1.2764000000000p-7f, 0x1.a804000000000p-7f}},
    {qtk::gguf_type::q5_0,
     {1},
     0x87c26e64833d7c5a,
     {0x1.c230000000000p-7f, 0x1.81e0000000000p-7f, -0x1.0140000000000p-7f, 0x1.0140000000000p-7f,
      -0x1.81e0000000000p-8f, -0x1.0140000000000p-9f, -0x1.2168000000000p-7f,
      0x1.0140000000000p-9f}},
    {qtk::gguf_type::q5_1,
     {1, 3},
     0x39985ba107d8ff0a,
     {0x1.ce28000000000p-8f, 0x1.ce28000000000p-8f, 0x1.2764000000000p-7f, 0x1.d542000000000p-6f,
      0x1.8dd8000000000p-8f, 0x1.1452000000000p-6f, 0x1.2466000000000p-6f, 0x1.448e000000000p-6f}},
    {qtk::gguf_type::q8_0,
     {1},
     0x2006b5a3b8725aca,
     {-0x1.d649000000000p-4f, -0x1.79d6000000000p-4f, -0x1.81e0000000000p-6f, 0x1.c230000000000p-6f,
      0x1.fa76000000000p-4f, -0x1.d244000000000p-4f, -0x1.a208000000000p-4f,
      -0x1.c230000000000p-5f}},
    {qtk::gguf_type::q2_K,
     {81, 83},
     0xd98659e011538584,
     {-0x1.d290000000000p-9f, -0x1.d290000000000p-9f, -0x1.5dec000000000p-7f,
      -0x1.5dec000000000p-7f, -0x1.d290000000000p-8f, -0x1.d290000000000p-9f, 0x0.0p+0f,
      -0x1.5dec000000000p-7f}},
    {qtk::gguf_type::q3_K,
     {109},
     0xc4bf313a7257602a,
     {-0x1.7850000000000p-4f, 0x1.7850000000000p-4f, -0x1.7850000000000p-4f, 0x1.7850000000000p-4f,
      0x1.7850000000000p-5f, 0x1.7850000000000p-5f, 0x1.1a3c000000000p-3f, 0x1.7850000000000p-4f}},
    {qtk::gguf_type::q4_K,
     {1, 3},
     0xec0685eb4299d2cd,
     {0x1.b936000000000p-3f, 0x1.b936000000000p-3f, 0x1.2cff000000000p-2f, 0x1.186e000000000p-3f,
      0x1.232e800000000p-1f, 0x1.7d63000000000p-2f, 0x1.f5f9000000000p-2f, 0x1.3747800000000p-1f}},
    {qtk::gguf_type::q5_K,
     {1, 3},
     0x64921f619ef6a171,
     {0x1.afdd800000000p-1f, 0x1.0020c00000000p+0f, 0x1.9bc4800000000p-1f, 0x1.c3f6800000000p-1f,
      0x1.186e000000000p-3f, 0x1.7392800000000p-1f, 0x1.de98000000000p-5f, 0x1.9bc4800000000p-1f}},
    {qtk::gguf_type::q6_K,
     {209},
     0xafabd017493547e9,
     {-0x1.49bc200000000p+1f, -0x1.3a08800000000p+1f, 0x1.3a08800000000p-1f, -0x1.f674000000000p-3f,
      -0x1.78d7000000000p+1f, 0x1.3a08800000000p+1f, -0x1.b7a5800000000p+0f,
      0x1.f674000000000p-2f}},
    {qtk::gguf_type::iq4_nl,
     {1},
     0x8dde126e1438b7ee,
     {0x1.317c000000000p-5f, -0x1.4d9f000000000p-4f, 0x1.0140000000000p-10f, 0x1.aa12000000000p-5f,
      0x1.65bd000000000p-4f, 0x1.aa12000000000p-5f, 0x1.0140000000000p-10f,
      0x1.0140000000000p-10f}},
    {qtk::gguf_type::iq4_xs,
     {1},
     0x6f31d823cb68ee1b,
     {0x1.81e0000000000p-6f, 0x1.81e0000000000p-6f, 0x1.2d77000000000p-1f, 0x1.0c4dc00000000p+1f,
      -0x1.e258000000000p-3f, -0x1.f46e800000000p+0f, -0x1.87e7800000000p+0f,
      -0x1.a60d000000000p-1f}},
    {qtk::gguf_type::mxfp4,
     {},
     0x7003b4f51b686637,
     {0x1.0000000000000p-121f, -0x1.8000000000000p-122f, 0x1.0000000000000p-122f, 0x0.0p+0f,
      -0x1.0000000000000p-121f, -0x1.0000000000000p-120f, -0x1.0000000000000p-121f, 0x0.0p+0f}},
};

}  // namespace goldens
