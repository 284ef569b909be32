#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the start corpora of the fuzz targets whose input is not simply text: small files, one for each
kind of what a format has. The same bytes each time.

    tests/fuzz/make_corpus.py        # into tests/fuzz/corpus

Texts (JSON, recipes, journals, command lines) and the older corpora are written by hand.
"""

import struct
import zlib
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"
FORMATS = "i2 i3 i4 i5 i6 i7 i8 u2 u3 u4 u5 u6 u7 u8 nf4 fp4 e2m1 e3m2 e4m3 e5m2".split()
PER_TENSOR, PER_CHANNEL, PER_GROUP, PER_BLOCK = range(4)
F32, F16, BF16, E8M0, E4M3 = range(5)
# The order of known_gguf_types in format/gguf_type.hpp: name, values and bytes of a block.
GGUF_TYPES = [
    ("f32", 1, 4), ("f16", 1, 2), ("q4_0", 32, 18), ("q4_1", 32, 20), ("q5_0", 32, 22), ("q5_1", 32, 24),
    ("q8_0", 32, 34), ("q2_K", 256, 84), ("q3_K", 256, 110), ("q4_K", 256, 144), ("q5_K", 256, 176),
    ("q6_K", 256, 210), ("iq2_xxs", 256, 66), ("iq2_xs", 256, 74), ("iq3_xxs", 256, 98), ("iq1_s", 256, 50),
    ("iq4_nl", 32, 18), ("iq3_s", 256, 110), ("iq2_s", 256, 82), ("iq4_xs", 256, 136), ("i8", 1, 1),
    ("i16", 1, 2), ("i32", 1, 4), ("i64", 1, 8), ("f64", 1, 8), ("iq1_m", 256, 56), ("bf16", 1, 2),
    ("tq1_0", 256, 54), ("tq2_0", 256, 66), ("mxfp4", 32, 17), ("nvfp4", 64, 36), ("q1_0", 128, 18),
    ("q2_0", 64, 18),
]  # fmt: skip
GGUF_DECODED = "f32 f16 q4_0 q4_1 q5_0 q5_1 q8_0 q2_K q3_K q4_K q5_K q6_K iq4_nl iq4_xs bf16 mxfp4".split()


def write(target, name, content):
    assert len(content) < 2048, (target, name, len(content))
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def noise(n, seed):
    """n bytes that look random (the generator of Lehmer, as in MINSTD)."""
    state, out = seed * 7919 + 1, bytearray()
    for _ in range(n):
        state = state * 48271 % 0x7FFFFFFF
        out.append(state >> 8 & 255)
    return bytes(out)


def scheme(name, grain, rows=1, cols=32, scale=F32, how=0):
    """The bytes that kernel_input.hpp takes a scheme from; how: rounding, plus 3 for a zero point."""
    return bytes([FORMATS.index(name), grain, rows - 1, cols - 1, scale, how])


def schemes():
    for i, name in enumerate(FORMATS):
        yield f"{name}_group", scheme(name, PER_GROUP, cols=16 + 8 * (i % 3))
    yield "i4_asym_group_f16", scheme("i4", PER_GROUP, cols=24, scale=F16, how=3)
    yield "u8_asym_channel", scheme("u8", PER_CHANNEL, how=4)
    yield "i3_asym_tensor_bf16", scheme("i3", PER_TENSOR, scale=BF16, how=5)
    yield "i5_block_e8m0", scheme("i5", PER_BLOCK, 3, 5, E8M0, 3)
    yield "mxfp4", scheme("e2m1", PER_GROUP, cols=32, scale=E8M0)
    yield "nvfp4", scheme("e2m1", PER_GROUP, cols=16, scale=E4M3)
    yield "i4_odd_groups", scheme("i4", PER_GROUP, cols=7, scale=F16, how=2)


def kernels():
    for seed, (name, head) in enumerate(schemes()):
        tensor_scale = struct.pack("<H", 0x3F80) if head[4] == E4M3 else b""
        write("decode", name, head + bytes([2]) + struct.pack("<H", 67) + tensor_scale + noise(360, seed))
        for wild in (0, 1) if seed % 4 == 0 else (0,):
            shape = bytes([2]) + struct.pack("<H", 67) + bytes([seed, 1 - wild])
            write("quantize", name + ("_wild" if wild else ""), head + shape + noise(268, seed))
        if seed % 2 == 0 or seed >= len(FORMATS):
            write("product", name, head + bytes([34]) + struct.pack("<H", 40) + bytes([2]) + noise(1800, seed))
    for seed, (name, values, size) in enumerate(GGUF_TYPES):
        if name in GGUF_DECODED or name == "iq2_xxs":
            blocks = 40 if values == 1 else 1
            columns = bytes([blocks - 1])
            write("gguf_blocks", name, bytes([seed, 1, 1]) + columns + noise(2 * blocks * size + 900, seed))
        if name in GGUF_DECODED:
            for flags in (4, 5):
                write("gguf_quantize", f"{name}_{flags}", bytes([seed, 0, flags]) + noise(1000, seed + flags))
    for bits in range(1, 9):
        write("pack", f"bits_{bits}", bytes([bits - 1]) + noise(150 + bits, bits))
    for layout, name in enumerate("gptq_weight gptq_zeros awq compressed_weight compressed_zeros bnb".split()):
        for bits, rows, cols, second in ((4, 16, 8, 0), (3, 32, 32, 1), (8, 8, 12, 1)):
            head = bytes([layout, bits - 1, rows, cols, second])
            write("checkpoint_packing", f"{name}_{bits}", head + noise(rows * cols, layout + bits))


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg(components, frame=0xC0):
    """8 x 8 pixels; one code of one bit in each table: no difference, end of block."""
    tables = segment(0xDB, bytes([0]) + bytes([16] * 64))
    for kind in (0x00, 0x10):
        tables += segment(0xC4, bytes([kind, 1] + [0] * 15 + [0]))
    parts = b"".join(bytes([i + 1, 0x11, 0]) for i in range(components))
    head = segment(frame, struct.pack(">BHHB", 8, 8, 8, components) + parts)
    last = 0 if frame == 0xC2 else 63
    scan = bytes([components]) + b"".join(bytes([i + 1, 0]) for i in range(components)) + bytes([0, last, 0])
    return b"\xff\xd8" + tables + head + segment(0xDA, scan) + b"\x03\xff\x00\x3f" + b"\xff\xd9"


def png(width, height, depth, colour, interlace=0):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes([1]) + noise((width * samples * depth + 7) // 8, depth)
    rows = row * height
    if interlace:  # as many bytes as the passes of 2 x 2 pixels of 8 bits have
        rows = bytes([0, 7] * 4)[: 2 + 2 + 3]
    palette = chunk(b"PLTE", noise(3 * 2**depth, 3)) if colour == 3 else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
        + palette
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def images():
    for components in (1, 3, 4):
        write("jpeg_png", f"baseline_{components}.jpg", jpeg(components))
    write("jpeg_png", "progressive.jpg", jpeg(1, 0xC2))
    for colour, depth in ((0, 1), (0, 16), (2, 8), (3, 4), (4, 8), (6, 8)):
        write("jpeg_png", f"type_{colour}_{depth}.png", png(5, 3, depth, colour))
    write("jpeg_png", "interlaced.png", png(2, 2, 8, 0, 1))
    write("image_sets", "cifar10", bytes([0, 7]) + noise(100, 1))
    write("image_sets", "cifar100_coarse", bytes([1, 19, 99]) + noise(100, 2))
    write("image_sets", "cifar100_fine", bytes([2, 3, 42]) + noise(100, 3))
    write("image_sets", "idx_labels", bytes([3]) + struct.pack(">II", 0x0801, 5) + bytes(range(5)))
    write("image_sets", "idx_images", bytes([4]) + struct.pack(">IIII", 0x0803, 2, 3, 4) + noise(24, 4))
    write("image_sets", "pgm", bytes([5]) + b"P5 # grey\n3 2\n255\n" + noise(6, 5))
    write("image_sets", "ppm", bytes([5]) + b"P6\n2 1 7\n" + bytes([0, 1, 2, 3, 4, 7]))


def text(content):
    return struct.pack("<Q", len(content)) + content


def importance():
    def entry(name, calls, values):
        return (
            struct.pack("<i", len(name)) + name + struct.pack("<ii", calls, len(values))
            + struct.pack(f"<{len(values)}f", *values)
        )  # fmt: skip

    dat = struct.pack("<i", 2) + entry(b"a", 2, [4.0, 1.0]) + entry(b"blk.0", 3, [0.0, 2.0, 6.0])
    write("imatrix", "entries.dat", dat)
    write("imatrix", "named.dat", dat + struct.pack("<ii", 7, 4) + b"text")
    # The GGUF form; the target writes the first 24 bytes, the two counts come first here.
    keys = text(b"general.type") + struct.pack("<I", 8) + text(b"imatrix")
    keys += text(b"imatrix.chunk_count") + struct.pack("<II", 4, 9)
    keys += text(b"imatrix.datasets") + struct.pack("<IIQ", 9, 8, 1) + text(b"wiki")
    infos = text(b"a.in_sum2") + struct.pack("<IQQIQ", 2, 4, 1, 0, 0)
    infos += text(b"a.counts") + struct.pack("<IQQIQ", 2, 1, 1, 0, 32)
    head = keys + infos
    data = struct.pack("<4f", 1.0, 2.0, 0.0, 8.0) + bytes(16) + struct.pack("<f", 2.0) + bytes(28)
    write("imatrix", "whole.gguf", bytes([2, 3]) + head + bytes(-(24 + len(head)) % 32) + data)


if __name__ == "__main__":
    kernels()
    images()
    importance()
