#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does bad input give one clear error, the documented exit code and no output file?"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

program, source = sys.argv[1:3]
model = f"{source}/examples/data/polyglot-gpt2"
failures = []


def run(*arguments, **more):
    return subprocess.run([program, "quickstart", "--langs", "en", "--windows", "1", *arguments],
                          capture_output=True, text=True, **more)


def expect(what, result, code, *words):
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    text = result.stderr + result.stdout
    if result.returncode != code or any(word not in text for word in words) or (code not in (0, 2) and len(lines) != 1):
        failures.append(f"{what}: exit {result.returncode} (expected {code}), said: {text!r}")


def with_model(what, change, code, *words):
    """Runs on a copy of the model that `change(header, data)` has damaged; nothing may be left behind."""
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "model")
        shutil.copytree(model, copy)
        path = os.path.join(copy, "model.safetensors")
        raw = open(path, "rb").read()
        (length,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8:8 + length])
        open(path, "wb").write(change(header, bytearray(raw[8 + length:]), raw))
        out = os.path.join(folder, "out")
        os.mkdir(out)
        result = run("--model", copy, "--schemes", "i4/g64", "--save", out, f"--json={out}/report.json")
        expect(what, result, code, *words)
        if os.listdir(out):
            failures.append(f"{what}: left {os.listdir(out)} behind")


def pack(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


name = "transformer.h.0.attn.c_attn.weight"


def overlapping(header, data, raw):
    header[name]["data_offsets"] = [0, header[name]["data_offsets"][1] - header[name]["data_offsets"][0]]
    return pack(header, data)


def missing(header, data, raw):
    header["somewhere.else"] = header.pop(name)
    return pack(header, data)


def wrong_shape(header, data, raw):
    header[name]["shape"] = header[name]["shape"][::-1]
    return pack(header, data)


def not_a_number(header, data, raw):
    begin = header[name]["data_offsets"][0]
    data[begin + 10:begin + 12] = struct.pack("<H", 0x7E00)
    return pack(header, data)


with_model("truncated", lambda h, d, raw: raw[:-1000], 3, "cut short", "model.safetensors")
with_model("truncated in the header", lambda h, d, raw: raw[:100], 3, "model.safetensors")
with_model("empty", lambda h, d, raw: b"", 3, "model.safetensors")
with_model("oversized header", lambda h, d, raw: struct.pack("<Q", 1 << 62) + raw[8:], 3, "header")
with_model("overlapping", overlapping, 3, "overlap")
with_model("not UTF-8", lambda h, d, raw: raw[:8] + raw[8:].replace(b"ln_1", b"ln\xff1", 1), 3, "UTF-8")
with_model("missing tensor", missing, 3, name)
with_model("wrong shape", wrong_shape, 3, name, "576")
with_model("NaN weight", not_a_number, 5, name.removesuffix(".weight"), "1 NaN")

expect("no subcommand", subprocess.run([program], capture_output=True, text=True), 2)
expect("unknown flag", run("--shcemes", "i4/g64"), 2, "--shcemes")
expect("unknown scheme", run("--schemes", "i4/g0"), 2, "granularity")
expect("unknown format", run("--schemes", "int4/g64"), 2, "format")
expect("no model", run("--model", "/nowhere"), 3, "/nowhere")
expect("unknown energy table", run("--energy-table", "magic"), 2, "horowitz_45nm")
expect("bad windows", run("--windows", "-1"), 2, "--windows")
expect("help", subprocess.run([program, "quickstart", "--help"], capture_output=True, text=True), 0, "--schemes")

def suggests(what, arguments, found, meant):
    """One error that names what was found, and what may have been meant."""
    result = subprocess.run([program, *arguments], capture_output=True, text=True)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    expected = f" Did you mean {meant}?" if meant else ""
    if result.returncode != 2 or len(errors) != 1 or found not in errors[0] or expected not in errors[0] \
            or (not meant and "Did you mean" in errors[0]):
        failures.append(f"{what}: exit {result.returncode}, said: {result.stderr!r}")


suggests("wrong command", ["quantise", "a", "b"], "quantise: qtk has no such command", "quantize")
suggests("swapped letters", ["bnech"], "bnech", "bench")
suggests("no command at all like it", ["xylophone"], "xylophone: qtk has no such command", "")
suggests("wrong flag", ["quantize", "a", "b", "--shceme", "i4/g64"], "--shceme: qtk quantize has no such option", "--scheme")
suggests("wrong flag with a value", ["bench", "--promt-tokens=3"], "--promt-tokens: qtk bench", "--prompt-tokens")
suggests("wrong flag in place of a required one", ["generate", "--promt", "x"], "--promt: qtk generate", "--prompt")
suggests("an argument too many", ["doctor", "now"], "now: qtk doctor expects no further argument", "")
suggests("wrong format", ["generate", "--prompt", "x", "--format", "fp23"], '"fp23"', "fp32")
suggests("wrong format in a list", ["eval", "--formats", "fp32,w8a9"], '"w8a9"', "w8a8")
suggests("wrong name of a scheme", ["bench", "--formats", "mxpf4"], '"mxpf4"', "mxfp4")
suggests("wrong reference", ["eval", "--reference", "fp61"], '"fp61"', "fp16")
suggests("wrong format to compare", ["compare", "fp32", "nf4/g64@a8x"], "a8x", "")
suggests("wrong head", ["bench", "--head", "lmm_int8"], '"lmm_int8"', "llm_int8")
suggests("wrong element of a scheme", ["quantize", model, "/nowhere/x.safetensors", "--scheme", "ni4/g64"], '"ni4/g64"', "i4 or nf4")
suggests("wrong type", ["quantize", model, "/nowhere/x.gguf", "--type", "q4_k_m"], '"q4_k_m"', "q4_k")
suggests("wrong scheme of the quickstart", ["quickstart", "--schemes", "fb16"], '"fb16"', "fp16 or bf16")
if not os.path.exists("/dev/nvidia0"):
    suggests("no device to measure", ["bench", "--device", "cuda"], "Hint: build qtk with nvcc", "")

with tempfile.TemporaryDirectory() as folder:
    target = os.path.join(folder, "report.json")
    open(target, "w").write("old")
    # A file-size limit stands for the full disk: it needs no root.
    result = subprocess.run(["bash", "-c", f'ulimit -f 1; exec "$@"', "bash", program, "quickstart", "--langs", "en",
                             "--windows", "1", "--schemes", "fp32,i4/g64,i8/channel,i3/g64", f"--json={target}"],
                            capture_output=True, text=True)
    expect("full disk", result, 4, "report.json")
    if open(target).read() != "old" or os.listdir(folder) != ["report.json"]:
        failures.append(f"full disk: the old file is not as it was, or something was left: {os.listdir(folder)}")

print("\n".join(failures) or "every error was clear")
sys.exit(bool(failures))
