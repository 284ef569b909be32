#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does every kind of malformed model file give one clear error that names the file, exit code 3, and little memory?

The readers' own tests (tests/io, tests/model) hold each fault against its sentence; here the program meets at least one
file of every kind: safetensors, its index, GGUF, config.json, tokenizer.json, tokenizer_config.json, vocab and merges."""
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

program, source = sys.argv[1:3]
network = f"{source}/tests/golden/architectures/llama3-scaling"
failures = []
count = 0


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def little_memory():
    # A file that claims exabytes must not get them; a program with threads needs some room.
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


def expect(what, file, *arguments):
    global count
    count += 1
    try:
        result = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace", timeout=30,
                                preexec_fn=little_memory)
    except subprocess.TimeoutExpired:
        failures.append(f"{what}: hangs")
        return
    lines = result.stderr.strip().splitlines()
    if result.returncode != 3 or len(lines) != 1 or not lines[0].startswith("error: ") or file not in lines[0]:
        failures.append(f"{what}: exit {result.returncode}, said: {result.stderr[:400]!r}")
    if any(ord(c) < 32 for c in "".join(lines)):
        failures.append(f"{what}: prints control characters")


def generate(model):
    return ("generate", "--model", model, "--prompt", "x", "--tokens", "1", "--threads", "1")


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def damaged(folder, name, contents, *more):
    """Runs on the folder with each content in place of the file `name`."""
    path = f"{folder}/{name}"
    old = read(path) if os.path.exists(path) else None
    for what, content in contents.items():
        write(path, content)
        expect(f"{name}: {what}", name, *(more or generate(folder)))
    os.remove(path)
    if old is not None:
        write(path, old)


def base(folder):
    model = f"{folder}/model"
    shutil.copytree(network, model)
    with open(f"{source}/tests/golden/tokenizers/llama3.json") as file:
        write(f"{model}/tokenizer.json", json.dumps(json.load(file)["tokenizer"]))
    return model


any_json = {"empty": b"", "no JSON": b"<html>", "cut short": b'{"a": ', "an array": b"[]", "an empty object": b"{}",
            "not UTF-8": b'{"a\xff": 1}', "a key twice": b'{"model": 1, "model": 2}', "deep": b"[" * 100_000,
            "noise": bytes(range(256)) * 4}


def of_safetensors(folder):
    model = base(folder)
    whole = read(f"{model}/model.safetensors")
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    damaged(model, "model.safetensors", {
        "empty": b"", "seven bytes": whole[:7], "cut in the header": whole[:100], "cut in the data": whole[:-4],
        "bytes behind the data": whole + b"x", "a header of 2^62 bytes": struct.pack("<Q", 1 << 62) + whole[8:],
        "a header of 2^64 - 1 bytes": b"\xff" * 8 + whole[8:], "no object": safetensors(b"[]"),
        "a space in front": safetensors(b" {}"), "a tab behind": safetensors(b"{}\t"),
        "not UTF-8": safetensors(b'{"\xff":1}'), "no JSON": safetensors(b"{1}"), "deep": safetensors(b'{"w":' + b"[" * 50_000),
        "a name twice": safetensors(b'{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
                                    b'"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        "a dtype that is none": safetensors({"w": dict(one, dtype="Q4")}, b"x" * 8),
        "a negative length": safetensors({"w": dict(one, shape=[-2])}, b"x" * 8),
        "a length with an exponent": safetensors(b'{"w":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}', b"x" * 8),
        "lengths that wrap": safetensors({"w": dict(one, shape=[1 << 32, 1 << 32])}, b"x" * 8),
        "more than 2^64": safetensors({"w": dict(one, shape=[1 << 64])}, b"x" * 8),
        "nine axes": safetensors({"w": dict(one, shape=[2] + [1] * 8)}, b"x" * 8),
        "a size that does not fit": safetensors({"w": dict(one, shape=[3])}, b"x" * 8),
        "offsets backwards": safetensors({"w": dict(one, data_offsets=[8, 0])}, b"x" * 8),
        "an overlap": safetensors({"v": one, "w": dict(one, data_offsets=[4, 12])}, b"x" * 12),
        "a hole": safetensors({"v": one, "w": dict(one, data_offsets=[12, 20])}, b"x" * 20),
        "metadata that are no strings": safetensors({"__metadata__": {"a": 1}}),
        "control characters": safetensors({"\x1b[31m\x07": dict(one, shape=[3])}, b"x" * 8)})
    os.remove(f"{model}/model.safetensors")
    os.mkfifo(f"{model}/model.safetensors")
    expect("model.safetensors: a pipe", "model.safetensors", *generate(model))
    os.remove(f"{model}/model.safetensors")
    os.mkdir(f"{model}/model.safetensors")
    expect("model.safetensors: a folder", "model.safetensors", *generate(model))


def of_index(folder):
    model = base(folder)
    os.rename(f"{model}/model.safetensors", f"{model}/1.safetensors")
    shutil.copy(f"{model}/1.safetensors", f"{model}/2.safetensors")
    shutil.copy(f"{model}/1.safetensors", f"{folder}/outside.safetensors")
    os.symlink(f"{folder}/outside.safetensors", f"{model}/link.safetensors")
    index = "model.safetensors.index.json"

    def shards(**names):
        return json.dumps({"weight_map": names})
    damaged(model, index, {
        **any_json, "a number for a file": shards(a=1), "out by ..": shards(a="../outside.safetensors"),
        "an absolute name": shards(a=f"{folder}/outside.safetensors"), "out by a link": shards(a="link.safetensors"),
        "no name": shards(a=""), "a tensor that is not in its file": shards(a="1.safetensors")})
    write(f"{model}/{index}", shards(**{"model.norm.weight": "1.safetensors", "lm_head.weight": "2.safetensors"}))
    expect("index: a tensor in two files", ".safetensors", *generate(model))
    write(f"{model}/{index}", shards(a="3.safetensors"))
    expect("index: a file that is not there", "3.safetensors", *generate(model))


def of_json(folder):
    model = base(folder)
    config = json.loads(read(f"{model}/config.json"))

    def with_config(**changes):
        return json.dumps(dict(config, **changes))
    damaged(model, "config.json", {
        **any_json, "no type": with_config(model_type=None), "a type that is none": with_config(model_type="\x1b[31mx"),
        "Gemma": with_config(model_type="gemma"), "no layers": with_config(num_hidden_layers=0),
        "2^63 layers": with_config(num_hidden_layers=1 << 63), "a negative width": with_config(hidden_size=-1),
        "half a head": with_config(num_attention_heads=1.5), "heads that do not divide": with_config(num_key_value_heads=3),
        "an epsilon in words": with_config(rms_norm_eps="small"), "another activation": with_config(hidden_act="mish"),
        "another scaling": with_config(rope_parameters={"rope_type": "magic"}),
        "a token beyond the vocabulary": with_config(eos_token_id=96),
        "quantized weights": with_config(quantization_config={"bits": 4})})
    for changes, named in ((dict(vocab_size=97), "embed_tokens"), (dict(intermediate_size=41), "mlp"),
                           (dict(num_hidden_layers=3), "layers.2"), (dict(num_hidden_layers=1), "layers.1")):
        write(f"{model}/config.json", with_config(**changes))
        expect(f"config.json: not that of the weights, {changes}", named, *generate(model))
    write(f"{model}/config.json", json.dumps(config))

    known = json.loads(read(f"{model}/tokenizer.json"))

    def with_model(**changes):
        return json.dumps(dict(known, model=dict(known["model"], **changes)))
    damaged(model, "tokenizer.json", {
        **any_json, "another model": with_model(type="Unigram"), "a negative id": with_model(vocab={"a": -1}),
        "an id of 2^40": with_model(vocab={"a": 1 << 40}), "two tokens with one id": with_model(vocab={"a": 0, "b": 0}),
        "merges of unknown tokens": with_model(merges=[["\u0120", "nowhere"]]), "no merges": with_model(merges=5),
        "a pattern that is none": json.dumps(dict(known, pre_tokenizer={
            "type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated", "invert": False})),
        "an added token without text": json.dumps(dict(known, added_tokens=[{"id": 700, "content": ""}])),
        "another normalizer": json.dumps(dict(known, normalizer={"type": "Precompiled"}))})
    damaged(model, "tokenizer_config.json", {k: v for k, v in any_json.items() if k not in ("an empty object", "a key twice")})
    os.remove(f"{model}/tokenizer.json")
    write(f"{model}/merges.txt", "#version: 0.2\n")
    damaged(model, "vocab.json", any_json)


def of_gguf(folder):
    model = base(folder)

    def text(value):
        value = value if isinstance(value, bytes) else value.encode()
        return struct.pack("<Q", len(value)) + value

    def key(name, kind, value):
        return text(name) + struct.pack("<I", kind) + value

    def tensor(name, dims, kind, offset):
        return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)

    def gguf(keys=(), tensors=(), data=64, version=3, counts=None):
        start = b"GGUF" + struct.pack("<I2Q", version, *(counts or (len(tensors), len(keys)))) + b"".join([*keys, *tensors])
        return start + b"\0" * (-len(start) % 32) + b"\1" * data
    u32, string, array, f32, q4_0 = 4, 8, 9, 0, 2
    five = struct.pack("<I", 5)
    huge = struct.pack("<Q", (1 << 64) - 1)
    name = f"{folder}/bad.gguf"
    for what, content in {
            "empty": b"", "three bytes": b"GGU", "another magic": b"GGML" + gguf()[4:], "version 1": gguf(version=1),
            "version 4": gguf(version=4), "big endian": gguf(version=0x03000000), "2^64 - 1 tensors": gguf(counts=((1 << 64) - 1, 0)),
            "2^40 keys": gguf(counts=(0, 1 << 40)), "a key of 2^64 - 1 bytes": gguf(counts=(0, 1)).replace(b"\1" * 8, huge),
            "an empty key": gguf([key("", u32, five)]), "a key twice": gguf([key("a", u32, five)] * 2),
            "a key that is not UTF-8": gguf([key(b"\xff", u32, five)]), "a type of value that is none": gguf([key("a", 77, five)]),
            "a string of 2^64 - 1 bytes": gguf([key("a", string, huge)]),
            "an array of 2^63 elements": gguf([key("a", array, struct.pack("<IQ", u32, 1 << 63))]),
            "an array of arrays": gguf([key("a", array, struct.pack("<IQ", array, 1))]),
            "an array of a type that is none": gguf([key("a", array, struct.pack("<IQ", 99, 1))]),
            "an alignment of 0": gguf([key("general.alignment", u32, struct.pack("<I", 0))]),
            "an alignment of 24": gguf([key("general.alignment", u32, struct.pack("<I", 24))]),
            "an alignment in u64": gguf([key("general.alignment", 10, struct.pack("<Q", 32))]),
            "no dimensions": gguf(tensors=[tensor("t", [], f32, 0)]), "five dimensions": gguf(tensors=[tensor("t", [1] * 5, f32, 0)]),
            "2^32 - 1 dimensions": gguf(tensors=[text("t") + struct.pack("<I", (1 << 32) - 1)]),
            "a dimension of 0": gguf(tensors=[tensor("t", [4, 0], f32, 0)]),
            "a type that is none": gguf(tensors=[tensor("t", [4], 99, 0)]),
            "half a block": gguf(tensors=[tensor("t", [16], q4_0, 0)]),
            "dimensions that wrap": gguf(tensors=[tensor("t", [1 << 32, 1 << 32], f32, 0)]),
            "more than the file": gguf(tensors=[tensor("t", [1 << 40], f32, 0)]),
            "an offset beyond the file": gguf(tensors=[tensor("t", [4], f32, 1 << 40)]),
            "an odd offset": gguf(tensors=[tensor("t", [4], f32, 4)]),
            "a tensor twice": gguf(tensors=[tensor("t", [4], f32, 0), tensor("t", [4], f32, 32)]),
            "an overlap": gguf(tensors=[tensor("a", [9], f32, 0), tensor("b", [4], f32, 32)])}.items():
        write(name, content)
        expect(f"GGUF, {what}, inspected", "bad.gguf", "inspect", name)
        expect(f"GGUF, {what}, run", "bad.gguf", *generate(name))
    # A sound file whose keys do not say what network it is, and sound ones of other networks.
    for what, keys in {"no architecture": [], "another architecture": [key("general.architecture", string, text("mamba"))],
                       "an architecture in u32": [key("general.architecture", u32, five)],
                       "no layers": [key("general.architecture", string, text("llama"))]}.items():
        write(name, gguf(keys, [tensor("token_embd.weight", [4], f32, 0)]))
        expect(f"GGUF, {what}", "bad.gguf", *generate(name))
    # A whole model, cut anywhere.
    config = json.loads(read(f"{model}/config.json"))
    with_rows(model, config)
    subprocess.run([program, "quantize", model, f"{folder}/good.gguf", "--type", "f16"], check=True, capture_output=True)
    good = read(f"{folder}/good.gguf")
    for size in (24, 100, 1000, 10_000, len(good) // 2, len(good) - 1):
        write(name, good[:size])
        expect(f"GGUF cut to {size} bytes", "bad.gguf", *generate(name))
    write(name, good.replace(b"tokenizer.ggml.tokens", b"tokenizer.ggml.tokenz"))
    expect("GGUF without tokens", "bad.gguf", *generate(name))
    write(name, good.replace(b"blk.1.attn_k.weight", b"blk.9.attn_k.weight"))
    expect("GGUF with a tensor of a layer that is not there", "bad.gguf", *generate(name))


def with_rows(model, config):
    """More rows of embedding and head: as many as the tokenizer has tokens."""
    raw = read(f"{model}/model.safetensors")
    (length,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8:8 + length]), raw[8 + length:]
    rows, out, new = 710, b"", {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        part, shape = data[slice(*t["data_offsets"])], t["shape"]
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            part, shape = (part * 8)[:rows * len(part) // shape[0]], [rows, shape[1]]
        new[name] = dict(t, shape=shape, data_offsets=[len(out), len(out) + len(part)])
        out += part
    write(f"{model}/model.safetensors", safetensors(new, out))
    write(f"{model}/config.json", json.dumps(dict(config, vocab_size=rows)))


for step in (of_safetensors, of_index, of_json, of_gguf):
    with tempfile.TemporaryDirectory() as own:
        step(own)
print("\n".join(failures) or f"{count} malformed files, each with one clear error")
sys.exit(bool(failures))
