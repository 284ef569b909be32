#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/gguf/*.gguf with PyPI's GGUFWriter. Needs numpy and gguf: make_gguf.py FOLDER

kinds.gguf   a key of every kind, no tensors        types.gguf   a tensor of every type, alignment 64
model.gguf   the shape of a small language model    big.gguf     a big-endian file
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFEndian, GGUFWriter

folder = Path(sys.argv[1])
NUMBERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "uint64", "int64", "float64")


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def noise(seed, count):
    """The bytes of a 32-bit linear congruence, which the test makes again."""
    data, state = bytearray(count), seed
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        data[i] = state >> 24
    return np.frombuffer(bytes(data), np.uint8)


w = GGUFWriter(folder / "kinds.gguf", "test")
for name in NUMBERS:
    kind = np.dtype(name).type
    low, high = (-1.5, 0.25) if kind(0.5) else (np.iinfo(kind).min, np.iinfo(kind).max)
    getattr(w, f"add_{name}")(f"low.{name}", low)
    getattr(w, f"add_{name}")(f"high.{name}", high)
w.add_bool("yes", True)
w.add_bool("no", False)
w.add_string("text", "Grüße, 世界")
w.add_array("ints", [1, -2, 3])
w.add_array("floats", [0.5, -1.25])
w.add_array("flags", [True, False, True])
w.add_array("tokens", ["<s>", "", "Ġthe", "世"])
finish(w)

w = GGUFWriter(folder / "types.gguf", "test")
w.add_custom_alignment(64)
for t in GGMLQuantizationType:
    if t.name in ("Q8_1", "Q8_K"):
        continue
    values, size = GGML_QUANT_SIZES[t]
    w.add_tensor(t.name, noise(int(t), 512 // values * size).reshape(2, -1), raw_dtype=t)
finish(w)

w = GGUFWriter(folder / "model.gguf", "llama")
w.add_block_count(1)
w.add_context_length(64)
w.add_embedding_length(32)
w.add_layer_norm_rms_eps(1e-5)
w.add_tensor("token_embd.weight", np.arange(3 * 32, dtype=np.float32).reshape(3, 32))
w.add_tensor("blk.0.attn_norm.weight", np.ones(32, np.float32))
w.add_tensor("blk.0.ffn_gate_exps.weight", np.arange(4 * 2 * 32, dtype=np.float16).reshape(4, 2, 32))
w.add_tensor("blk.0.ids", np.array([1, -2, 3], np.int32))
finish(w)

w = GGUFWriter(folder / "big.gguf", "test", endianess=GGUFEndian.BIG)
w.add_tensor("x", np.ones(8, np.float32))
finish(w)
