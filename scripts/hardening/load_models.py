#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes load.sh's files, most of them holes: a Llama of more than 8 GB whose embeddings are more than 2^31 elements, and a
file of 100,000 tensors.

    load_models.py GOLDEN FOLDER"""
import json
import os
import shutil
import struct
import sys

golden, folder = sys.argv[1:3]
width, inner, blocks, vocabulary = 4096, 11008, 6, 524320


def write(path, tensors):
    """tensors: {name: (dtype, bytes of one, shape)}; every element is zero but a few at the ends of each tensor."""
    header, at = {}, 0
    for name, (dtype, size, shape) in tensors.items():
        length = size
        for side in shape:
            length *= side
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + length]}
        at += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in header.values():
            begin, end = tensor["data_offsets"]
            # 1.0 in the upper half of a float, of bfloat16 the whole.
            file.seek(8 + len(text) + end - 2)
            file.write(b"\x80\x3f")
        file.truncate(8 + len(text) + at)
    return at


model = f"{folder}/model"
os.makedirs(model, exist_ok=True)
shutil.copytree(f"{golden}/architectures/llama3-scaling", model, dirs_exist_ok=True)
with open(f"{golden}/tokenizers/llama3.json") as file:
    known = json.load(file)
with open(f"{model}/tokenizer.json", "w") as file:
    json.dump(known["tokenizer"], file)
with open(f"{model}/config.json") as file:
    config = json.load(file)
special = {t["content"]: t["id"] for t in known["tokenizer"]["added_tokens"]}
config.update(hidden_size=width, intermediate_size=inner, num_hidden_layers=blocks, num_attention_heads=32, num_key_value_heads=32,
              head_dim=128, vocab_size=vocabulary, tie_word_embeddings=True, bos_token_id=special["<|begin_of_text|>"],
              eos_token_id=special["<|end_of_text|>"])
with open(f"{model}/config.json", "w") as file:
    json.dump(config, file)
tensors = {"model.embed_tokens.weight": ("BF16", 2, [vocabulary, width]), "model.norm.weight": ("F32", 4, [width])}
for i in range(blocks):
    block = f"model.layers.{i}."
    for name in "qkvo":
        tensors[f"{block}self_attn.{name}_proj.weight"] = ("F32", 4, [width, width])
    for name, shape in (("gate", [inner, width]), ("up", [inner, width]), ("down", [width, inner])):
        tensors[f"{block}mlp.{name}_proj.weight"] = ("F32", 4, shape)
    for name in ("input_layernorm", "post_attention_layernorm"):
        tensors[f"{block}{name}.weight"] = ("F32", 4, [width])
size = write(f"{model}/model.safetensors", tensors)
print(f"a model of {size / 1e9:.2f} GB, its largest tensor of {vocabulary * width} elements (2^31 = {2**31})")
assert size > 8e9 and vocabulary * width > 2**31
write(f"{folder}/many.safetensors", {f"model.layers.{i // 100}.mlp.experts.{i % 100}.up_proj.weight": ("F32", 4, [2, 2]) for i in range(100000)})
