#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/format/gguf_goldens.hpp: what PyPI's `gguf` decodes from bytes that the test makes
again. Needs numpy and gguf: gguf_decoders.py > tests/format/gguf_goldens.hpp"""

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

# The high bytes of the halves of a block, which the test tames.
TYPES = {
    "f32": [3],
    "f16": [1],
    "bf16": [1],
    "q4_0": [1],
    "q4_1": [1, 3],
    "q5_0": [1],
    "q5_1": [1, 3],
    "q8_0": [1],
    "q2_K": [81, 83],
    "q3_K": [109],
    "q4_K": [1, 3],
    "q5_K": [1, 3],
    "q6_K": [209],
    "iq4_nl": [1],
    "iq4_xs": [1],
    "mxfp4": [],
}
FIRST_HASH = 1469598103934665603

print(f"""// SPDX-License-Identifier: Apache-2.0
//
// What PyPI's `gguf` decodes, made by tests/golden/gguf_decoders.py: the first eight floats and the
// FNV-1a hash of all float bits (little endian, offset basis {FIRST_HASH}).
#pragma once

#include <qtk/format/gguf_blocks.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace goldens {{

struct gguf_decoded {{
    qtk::gguf_type type;
    std::vector<std::size_t> halves;  // high bytes of the halves of a block
    std::uint64_t hash;
    std::array<float, 8> first;
}};

inline std::vector<gguf_decoded> const gguf_decoders{{""")
for name, halves in TYPES.items():
    t = GGMLQuantizationType[name.upper()]
    values, size = GGML_QUANT_SIZES[t]
    data, state = bytearray(3 * 512 // values * size), 12345
    for i in range(len(data)):
        state = (state * 1664525 + 1013904223) % 2**32
        data[i] = state >> 24
    for start in range(0, len(data), size):
        for half in halves:
            data[start + half] = data[start + half] & 0x9F | 0x10
    with np.errstate(over="ignore"):
        floats = dequantize(np.frombuffer(bytes(data), np.uint8).reshape(3, -1), t).astype("<f4")
    hash_ = FIRST_HASH
    for b in floats.tobytes():
        hash_ = (hash_ ^ b) * 1099511628211 % 2**64
    first = ", ".join(float(v).hex() + "f" for v in floats.reshape(-1)[:8])
    places = ", ".join(map(str, halves))
    print(f"    {{qtk::gguf_type::{name}, {{{places}}}, 0x{hash_:016x}, {{{first}}}}},")
print("""};

}  // namespace goldens""")
