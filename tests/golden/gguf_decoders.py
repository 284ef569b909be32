#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/format/gguf_goldens.hpp: what PyPI's `gguf` decodes from bytes that the test makes
again. Needs numpy and gguf: gguf_decoders.py > tests/format/gguf_goldens.hpp"""

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

print("""// SPDX-License-Identifier: Apache-2.0
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

inline constexpr std::array<gguf_decoded, 4> gguf_decoders{{""")
for name, t, values, size, halves in (
    ("q4_0", T.Q4_0, 32, 18, [1]),
    ("q8_0", T.Q8_0, 32, 34, [1]),
    ("q4_K", T.Q4_K, 256, 144, [1, 3]),
    ("q6_K", T.Q6_K, 256, 210, [209]),
):
    data, state = bytearray(3 * 512 // values * size), 12345
    for i in range(len(data)):
        state = (state * 1664525 + 1013904223) % 2**32
        data[i] = state >> 24
    for start in range(0, len(data), size):
        for half in halves:
            data[start + half] = data[start + half] & 0x9F | 0x10
    floats = dequantize(np.frombuffer(bytes(data), np.uint8).reshape(3, -1), t).astype("<f4")
    hash_ = 1469598103934665603
    for b in floats.tobytes():
        hash_ = (hash_ ^ b) * 1099511628211 % 2**64
    first = ", ".join(float(v).hex() + "f" for v in floats.reshape(-1)[:8])
    print(f"    {{qtk::gguf_type::{name}, 0x{hash_:016x}, {{{first}}}}},")
print("""}};

}  // namespace goldens""")
