# SPDX-License-Identifier: Apache-2.0
"""Small networks of tests/golden as model folders, with a tokenizer of their own."""
import json
import shutil
import struct


def read_safetensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for name, t in header.items()}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def build(golden, folder, network, tokenizer):
    """The network with as many tokens as the tokenizer has, each new row the copy of an old one, scaled."""
    shutil.copytree(f"{golden}/architectures/{network}", folder)
    with open(f"{golden}/tokenizers/{tokenizer}.json") as file:
        known = json.load(file)
    ids = [*known["tokenizer"]["model"]["vocab"].values(), *(t["id"] for t in known["tokenizer"]["added_tokens"])]
    vocabulary = max(ids) + 3  # some rows more, as many models have
    tensors = read_safetensors(f"{folder}/model.safetensors")
    for name, (kind, (rows, *rest), data) in list(tensors.items()):
        if not rest or not any(part in name for part in ("embed_tokens", "lm_head", "wte")):
            continue
        width = len(data) // rows
        values = struct.unpack(f"<{len(data) // 4}f", data)
        per_row = width // 4
        more = [values[(i % rows) * per_row + c] * (1 - i / (3 * vocabulary)) for i in range(vocabulary) for c in range(per_row)]
        tensors[name] = (kind, [vocabulary, *rest], struct.pack(f"<{len(more)}f", *more))
    write_safetensors(f"{folder}/model.safetensors", tensors)
    with open(f"{folder}/config.json") as file:
        config = json.load(file)
    special = {t["content"]: t["id"] for t in known["tokenizer"]["added_tokens"] if t["special"]}
    begin = special.get("<s>", special.get("<|begin_of_text|>", special.get("<|endoftext|>")))
    end = special.get("</s>", special.get("<|end_of_text|>", special.get("<|endoftext|>")))
    config.update(vocab_size=vocabulary, bos_token_id=begin, eos_token_id=end)
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file)
    with open(f"{folder}/tokenizer.json", "w") as file:
        json.dump(known["tokenizer"], file)
    return known["cases"], begin
