# SPDX-License-Identifier: Apache-2.0
"""Layers in published layouts, and the floats they stand for.

Writes layouts/*.safetensors: tensors "CASE.SUFFIX" as a checkpoint has them, "CASE.expected" (F32, [out, in])
and the quantization_config of each case as metadata. bitsandbytes and compressed-tensors files come from the
PyPI packages of these names (0.50 and 0.20), which also decode them; GPTQ and AWQ files are packed and decoded
here by the published rules, code by code. Needs numpy, torch, safetensors and the two packages.
"""
import json
from pathlib import Path

import bitsandbytes.functional as bnb
import numpy as np
import torch
from compressed_tensors.compressors import (
    FloatQuantizationCompressor,
    IntQuantizationCompressor,
    MXFP4PackedCompressor,
    NVFP4PackedCompressor,
    PackedQuantizationCompressor,
)
from compressed_tensors.quantization import QuantizationScheme
from safetensors.torch import save_file

rng = np.random.default_rng(20)
torch.manual_seed(20)
FOLDER = Path(__file__).parent / "layouts"


class cases:
    def __init__(self):
        self.tensors, self.metadata = {}, {}

    def add(self, name, config, tensors, expected):
        self.metadata[name] = json.dumps(config)
        self.tensors.update({f"{name}.{k}": torch.as_tensor(v).contiguous() for k, v in tensors.items()})
        self.tensors[f"{name}.expected"] = torch.as_tensor(np.asarray(expected, np.float32)).contiguous()

    def save(self, name):
        FOLDER.mkdir(exist_ok=True)
        save_file(self.tensors, FOLDER / f"{name}.safetensors", metadata=self.metadata)


def stream(fields, bits):
    """Fields of one axis as words: one integer of all bits, cut into pieces of 32."""
    whole = sum(int(f) << (bits * i) for i, f in enumerate(fields))
    return [(whole >> (32 * w)) & 0xFFFFFFFF for w in range((len(fields) * bits + 31) // 32)]


def words(rows):
    return np.array(rows, np.uint32).view(np.int32)


def random_layer(out, groups, bits, inputs):
    scales = (rng.uniform(0.5, 2.0, (groups, out)) / 100).astype(np.float16)
    return rng.integers(0, 2**bits, (out, inputs)), rng.integers(0, 2**bits, (groups, out)), scales


def gptq():
    made = cases()
    for bits, group, out, inputs, version, ordered, sym in [
        (4, 16, 8, 40, 1, False, False), (4, 16, 16, 48, 2, True, False), (2, 32, 16, 64, 1, True, False),
        (3, 32, 32, 64, 1, False, False), (3, -1, 32, 32, 2, False, True), (8, 8, 4, 20, 1, True, False),
        (4, 8, 8, 16, 1, True, True),
    ]:
        width = inputs if group < 0 else group
        groups = -(-inputs // width)
        codes, zeros, scales = random_layer(out, groups, bits, inputs)
        if sym:
            zeros[:] = 2 ** (bits - 1)
        index = np.arange(inputs) // width
        if ordered:
            index = rng.permutation(index)
        expected = (codes.T - zeros[index]).astype(np.float32) * scales[index].astype(np.float32)
        stored = (zeros - 1) % 2**bits if version == 1 else zeros
        config = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": sym, "desc_act": ordered,
                  "checkpoint_format": "gptq" if version == 1 else "gptq_v2"}
        made.add(f"b{bits}_g{group}_v{version}" + "_act" * ordered + "_sym" * sym, config, {
            "qweight": words([stream(codes[o], bits) for o in range(out)]).T.copy(),
            "qzeros": words([stream(stored[g], bits) for g in range(groups)]),
            "scales": scales, "g_idx": index.astype(np.int32)}, expected.T)
    made.save("gptq")


def awq():
    made = cases()
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    pack = lambda row: [sum(int(row[8 * w + order[k]]) << (4 * k) for k in range(8)) for w in range(len(row) // 8)]
    for group, out, inputs in [(16, 16, 48), (-1, 8, 12)]:
        width = inputs if group < 0 else group
        codes, zeros, scales = random_layer(out, inputs // width, 4, inputs)
        index = np.arange(inputs) // width
        expected = (codes.T - zeros[index]).astype(np.float32) * scales[index].astype(np.float32)
        made.add(f"g{group}", {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True,
                               "version": "gemm"},
                 {"qweight": words([pack(codes[:, i]) for i in range(inputs)]),
                  "qzeros": words([pack(zeros[g]) for g in range(inputs // width)]), "scales": scales}, expected.T)
    made.save("awq")


def bitsandbytes():
    made = cases()
    for kind, nested, block, shape in [("nf4", False, 64, (6, 128)), ("nf4", True, 32, (258, 32)), ("nf4", True, 64, (2, 64)),
                                       ("fp4", False, 64, (4, 64)), ("nf4", True, 128, (3, 256)),
                                       ("fp4", False, 64, (5, 32))]:
        weight = torch.randn(shape)
        codes, state = bnb.quantize_4bit(weight, quant_type=kind, blocksize=block, compress_statistics=nested)
        tensors = {"weight": codes}
        tensors.update({f"weight.{k}": v for k, v in state.as_dict(packed=True).items()})
        expected = bnb.dequantize_4bit(codes, state).float()
        if shape[1] < block:  # version 0.50 takes the scale of another block there, on the CPU
            fields = torch.stack([codes >> 4, codes & 15], -1).flatten().long()
            expected = (state.code[fields] * state.absmax.repeat_interleave(block)[: len(fields)]).reshape(shape)
        made.add(f"{kind}_b{block}" + "_nested" * nested + f"_{shape[1]}",
                 {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False,
                  "bnb_4bit_quant_type": kind, "bnb_4bit_use_double_quant": nested},
                 tensors, expected)
    weight = torch.randn(5, 24, dtype=torch.float16)
    codes, scale, _ = bnb.int8_vectorwise_quant(weight)
    made.add("int8", {"quant_method": "bitsandbytes", "load_in_4bit": False, "load_in_8bit": True},
             {"weight": codes, "SCB": scale, "weight_format": torch.tensor(0, dtype=torch.uint8)},
             bnb.int8_vectorwise_dequant(codes, scale).float())
    made.save("bitsandbytes")


def compressed():
    made = cases()
    formats = {PackedQuantizationCompressor: "pack-quantized", IntQuantizationCompressor: "int-quantized",
               FloatQuantizationCompressor: "float-quantized", NVFP4PackedCompressor: "nvfp4-pack-quantized",
               MXFP4PackedCompressor: "mxfp4-pack-quantized"}
    for kind, bits, group, sym, shape in [
        (PackedQuantizationCompressor, 4, 16, True, (5, 48)), (PackedQuantizationCompressor, 4, 16, False, (9, 48)),
        (PackedQuantizationCompressor, 8, None, True, (3, 18)), (PackedQuantizationCompressor, 8, 8, False, (6, 16)),
        (PackedQuantizationCompressor, 3, 32, True, (4, 64)), (PackedQuantizationCompressor, 3, None, False, (11, 40)),
        (IntQuantizationCompressor, 8, None, True, (4, 10)), (IntQuantizationCompressor, 8, None, False, (4, 10)),
        (FloatQuantizationCompressor, 8, None, True, (4, 12)), (NVFP4PackedCompressor, 4, 16, True, (4, 32)),
        (MXFP4PackedCompressor, 4, 32, True, (4, 64)),
    ]:
        is_float = kind in (FloatQuantizationCompressor, NVFP4PackedCompressor, MXFP4PackedCompressor)
        strategy = "tensor_group" if kind is NVFP4PackedCompressor else "group" if group else "channel"
        weights = {"num_bits": bits, "type": "float" if is_float else "int", "symmetric": sym, "strategy": strategy,
                   "group_size": group, "dynamic": False}
        scheme = QuantizationScheme(targets=["Linear"], weights=weights)
        weight = torch.randn(shape)
        groups = shape[1] // group if group else 1
        tiles = weight.reshape(shape[0], groups, -1)
        top = {True: {4: 6.0, 8: 448.0}, False: {b: 2.0 ** (b - 1) - 1 for b in range(2, 9)}}[is_float][bits]
        state = {"weight": weight}
        if sym:
            scale = tiles.abs().amax(-1) / top
        else:
            low, high = tiles.amin(-1), tiles.amax(-1)
            scale = (high - low) / (2**bits - 1)
            state["weight_zero_point"] = torch.clamp(torch.round(-low / scale) - 2 ** (bits - 1), -(2 ** (bits - 1)),
                                                     2 ** (bits - 1) - 1).to(torch.int8)
        if kind is MXFP4PackedCompressor:
            scale = 2.0 ** torch.ceil(torch.log2(scale))
        if kind is NVFP4PackedCompressor:
            state["weight_global_scale"] = torch.tensor([512.0])
            scale = (scale * state["weight_global_scale"]).to(torch.float8_e4m3fn).float()
        state["weight_scale"] = scale
        packed = kind.compress(state, scheme)
        decoded = kind.decompress(dict(packed), scheme)["weight"]
        made.add(f"{formats[kind]}_b{bits}_{group}" + "_asym" * (not sym),
                 {"quant_method": "compressed-tensors", "format": formats[kind], "quantization_status": "compressed",
                  "config_groups": {"group_0": json.loads(scheme.model_dump_json())}, "ignore": ["lm_head"]},
                 {k: v for k, v in packed.items() if v is not None}, decoded.float())
    made.save("compressed_tensors")


gptq()
awq()
bitsandbytes()
compressed()
