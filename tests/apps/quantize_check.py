#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does `qtk quantize` write what it says, whole or not at all, and go on where it was stopped?"""
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

program, source = sys.argv[1:3]
llama, gpt2 = (f"{source}/examples/data/polyglot-{kind}" for kind in ("llama", "gpt2"))
failures = []


def run(*arguments, **more):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, **more)


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def expect(what, result, code, *words):
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    text = result.stderr + result.stdout
    check(what, result.returncode == code and all(word in text for word in words)
          and (code in (0, 2) or len(lines) == 1), f"exit {result.returncode} (expected {code})", text)
    return result


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def header_of(path):
    raw = read(path)
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8:8 + length]), raw[8 + length:]


def safetensors(tensors):
    """A file of {name: (dtype, shape, bytes)}."""
    header, at = {}, 0
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values())


def report_of(result):
    return json.loads(result.stdout) if result.returncode == 0 else {}


def leftovers(folder):
    return sorted(name for name in os.listdir(folder) if "qtk-" in name)


def round_trips(folder):
    for model, name in ((llama, "llama"), (gpt2, "gpt2")):
        packed, back = f"{folder}/{name}.safetensors", f"{folder}/{name}-back.safetensors"
        report = report_of(expect(f"{name}: quantize", run("quantize", model, packed, "--json"), 0))
        check(f"{name}: size", report.get("bytes") == os.path.getsize(packed))
        first = read(packed)
        expect(f"{name}: again with little memory",
               run("quantize", model, packed, "--force", "--max-memory", "48MiB", "--threads", "1"), 0)
        check(f"{name}: the same bytes for any memory and number of threads", read(packed) == first)
        expect(f"{name}: dequantize", run("dequantize", packed, back, "--type", "fp16"), 0)
        old, _ = header_of(f"{model}/model.safetensors")
        new, _ = header_of(back)
        check(f"{name}: same tensors and shapes", {k: v["shape"] for k, v in old.items() if k != "__metadata__"}
              == {k: v["shape"] for k, v in new.items() if k != "__metadata__"})
        shutil.copytree(model, f"{folder}/{name}-folder")
        shutil.copy(back, f"{folder}/{name}-folder/model.safetensors")
        expect(f"{name}: inspect", run("inspect", packed, "--validate"), 0, "bits a weight", "i4/g64/asym/f16")
        for kind in ("f32", "q8_0", "q4_K"):
            gguf = f"{folder}/{name}-{kind}.gguf"
            said = report_of(expect(f"{name}: {kind}", run("quantize", model, gguf, "--type", kind, "--json"), 0))
            check(f"{name}: {kind} fallback", (said.get("fallback", {}).get("tensors", -1) > 0) == (kind == "q4_K"))
            expect(f"{name}: inspect {kind}", run("inspect", gguf, "--validate"), 0, "general.architecture")
        expect(f"{name}: GGUF to GGUF", run("quantize", f"{folder}/{name}-f32.gguf", f"{folder}/{name}-2.gguf",
                                            "--type", "q8_0"), 0)
        direct, twice = (report_of(run("inspect", f"{folder}/{name}-{kind}.gguf", "--json")) for kind in ("q8_0", "2"))
        layers = [[t for t in one.get("tensors", []) if t["type"] == "q8_0"] for one in (direct, twice)]
        check(f"{name}: the same layers by either way", layers[0] == layers[1] and layers[0])
        expect(f"{name}: GGUF to floats", run("dequantize", f"{folder}/{name}-q4_K.gguf", f"{folder}/{name}-3.safetensors"), 0)
        expect(f"{name}: no fallback", run("quantize", model, f"{folder}/no.gguf", "--type", "q4_K", "--no-fallback"), 2,
               "--no-fallback", "rows of 192")
        check(f"{name}: no fallback leaves nothing", not os.path.exists(f"{folder}/no.gguf"))
    check("nothing unfinished is left", not leftovers(folder), leftovers(folder))


def perplexities(folder):
    """A model that was converted still is that model."""
    def perplexity(model):
        result = run("eval", "--model", model, "--formats", "stored", "--langs", "en", "--windows", "1", "--json")
        return json.loads(result.stdout)["rows"][0]["ppl_geomean"]["value"] if result.returncode == 0 else result.stderr
    if "eval" not in run("--help").stdout:
        return
    for model, name in ((llama, "llama"), (gpt2, "gpt2")):
        expected = perplexity(model)
        for other, close in ((f"{name}-f32.gguf", 1e-3), (f"{name}-q8_0.gguf", 2e-2), (f"{name}-folder", 0.15)):
            found = perplexity(f"{folder}/{other}")
            check(f"{other}: the perplexity", isinstance(found, float) and isinstance(expected, float)
                  and abs(found / expected - 1) < close, found, expected)


def recipes(folder):
    out = f"{folder}/r.safetensors"
    rules = f"{folder}/rules"
    write(rules, b"# the rest\n\n *.self_attn.*=i8/channel \n")
    report = report_of(expect("recipe", run("quantize", llama, out, "--recipe", "*.layers.0.*=keep", "--recipe",
                                            "*.down_proj.*=mxfp4", "--recipe", "*embed*=fp32", "--recipe-file", rules,
                                            "--json"), 0))
    to = {t["name"]: t["to"] for t in report.get("tensors", [])}
    check("recipe: what became of what", to and to["model.layers.0.mlp.down_proj.weight"] == "keep"
          and to["model.layers.1.mlp.down_proj.weight"] == "e2m1/g32/sym/e8m0"
          and to["model.layers.1.self_attn.q_proj.weight"] == "i8/channel/sym/f32"
          and to["model.layers.1.mlp.up_proj.weight"] == "i4/g64/asym/f16"
          and to["model.embed_tokens.weight"] == "f32" and to["model.norm.weight"] == "keep")
    before = set(os.listdir(folder))
    expect("dry run", run("quantize", llama, f"{folder}/dry.gguf", "--type", "q4_K", "--dry-run"), 0,
           "Nothing was written", "Fallback", "q5_0 for q4_K", "are free")
    check("dry run writes nothing", set(os.listdir(folder)) == before)


def refusals(folder):
    copy = f"{folder}/copy"
    os.mkdir(copy)
    shutil.copy(f"{llama}/model.safetensors", f"{copy}/in.safetensors")
    os.link(f"{copy}/in.safetensors", f"{copy}/link.safetensors")
    weights, link = f"{copy}/in.safetensors", f"{copy}/link.safetensors"
    old = read(weights)
    expect("input is output", run("quantize", weights, weights, "--force"), 2, "the output is the input")
    expect("input is output by another name", run("quantize", weights, link, "--force"), 2, "the output is the input")
    target = f"{copy}/out.safetensors"
    write(target, b"old")
    os.chmod(target, 0o600)
    expect("existing target", run("quantize", weights, target), 2, "--force")
    expect("wrong flag", run("quantize", weights, target, "--shceme", "i4/g64"), 2, "--shceme")
    expect("wrong scheme", run("quantize", weights, target, "--force", "--scheme", "i4/g0"), 2, "granularity")
    expect("wrong type", run("quantize", llama, f"{copy}/x.gguf", "--type", "q4_K_M"), 2, "Did you mean q4_k?")
    expect("wrong rule", run("quantize", weights, target, "--force", "--recipe", "abc"), 2, "PATTERN=WHAT")
    expect("wrong size", run("quantize", weights, target, "--force", "--max-memory", "-3"), 2, "256MiB")
    expect("wrong ending", run("quantize", weights, f"{copy}/out.bin"), 2, ".gguf")
    expect("no folder for GGUF", run("quantize", weights, f"{copy}/out.gguf"), 2, "config.json")
    expect("nothing there", run("quantize", "/nowhere", f"{copy}/x.safetensors"), 3, "/nowhere")
    expect("no target folder", run("quantize", weights, f"{copy}/no/x.safetensors"), 4, "no")
    expect("little memory", run("quantize", weights, target, "--force", "--max-memory", "1MiB"), 2, "--max-memory")
    check("the old file is as it was", read(target) == b"old" and read(weights) == old)
    for what, content in (("cut short", old[:-1000]), ("empty", b""), ("header cut short", old[:100]),
                          ("huge header", struct.pack("<Q", 1 << 62) + old[8:]), ("noise", b"\x07\x1b[31m" * 100)):
        write(f"{copy}/bad.safetensors", content)
        expect(f"quantize {what}", run("quantize", f"{copy}/bad.safetensors", target, "--force"), 3)
        expect(f"inspect {what}", run("inspect", f"{copy}/bad.safetensors"), 3)
    write(f"{copy}/bad.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1))
    expect("bad GGUF", run("inspect", f"{copy}/bad.gguf"), 3)
    write(f"{copy}/nan.safetensors", safetensors({
        "model.layers.0.w.weight": ("F32", [4, 64], struct.pack("<f", 1.0) * 256),
        "model.layers.1.w.weight": ("F32", [4, 64], struct.pack("<256f", *[float("nan") if i == 100 else 1 for i in range(256)]))}))
    expect("NaN", run("quantize", f"{copy}/nan.safetensors", target, "--force"), 5, "model.layers.1.w.weight", "index 100")
    expect("NaN, inspected", run("inspect", f"{copy}/nan.safetensors", "--validate"), 5, "index 100")
    write(f"{copy}/large.safetensors", safetensors({"a.0.weight": ("F32", [1, 2], struct.pack("<2f", 1.0, 1e9))}))
    expect("beyond half precision", run("quantize", f"{copy}/large.safetensors", target, "--force", "--scheme", "fp16"), 5,
           "a.0.weight", "index 1")
    write(f"{copy}/esc.safetensors", safetensors({"\x1b[31m\x07.0.weight": ("F32", [1, 1], b"\0\0\0\0")}))
    said = expect("control characters", run("inspect", f"{copy}/esc.safetensors"), 0)
    check("control characters are not printed", "\x1b" not in said.stdout and "\x07" not in said.stdout)
    # A file-size limit stands for the full disk: it needs no root.
    full = subprocess.run(["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", program, "quantize", weights, target, "--force"],
                          capture_output=True, text=True)
    expect("full disk", full, 4, "out.safetensors")
    check("full disk leaves the old file", read(target) == b"old" and not leftovers(copy), leftovers(copy))
    expect("replacing", run("quantize", weights, target, "--force"), 0)
    check("a replaced file keeps its mode", os.stat(target).st_mode & 0o777 == 0o600)


def kills(folder):
    """kill -9 at random moments: the target is absent, old or whole, and --resume ends with the same bytes."""
    whole = f"{folder}/whole.gguf"
    began = time.time()
    expect("whole", run("quantize", llama, whole, "--type", "q6_K"), 0)
    length = time.time() - began
    expected, seed = read(whole), random.Random(7)
    resumed = 0
    for i in range(20):
        target = f"{folder}/k{i}.gguf"
        if i % 2:
            write(target, b"old")
        work = subprocess.Popen([program, "quantize", llama, target, "--type", "q6_K"] + ["--force"] * (i % 2),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seed.uniform(0, 1.1 * length))
        work.kill()
        work.wait()
        now = read(target) if os.path.exists(target) else None
        check(f"kill {i}: the target", now in (expected, b"old" if i % 2 else None))
        if now != expected:
            flags = ["--resume"] + (["--force"] if i % 2 and not leftovers(folder) else [])
            if leftovers(folder) and i == 10:
                expect("unfinished run", run("quantize", llama, target, "--type", "q6_K"), 2, "--resume")
            said = run("quantize", llama, target, "--type", "q6_K", *flags)
            if said.returncode == 2:  # killed before there was a journal that says what may be replaced
                said = run("quantize", llama, target, "--type", "q6_K", "--force", *flags)
            resumed += "earlier run" in said.stdout
            expect(f"kill {i}: resume", said, 0)
            check(f"kill {i}: the same bytes", read(target) == expected)
        check(f"kill {i}: nothing is left", not leftovers(folder), leftovers(folder))
    print(f"{resumed} of 20 killed runs had tensors to go on with")
    # A part file that was damaged is not believed.
    target = f"{folder}/damaged.gguf"
    for _ in range(50):
        work = subprocess.Popen([program, "quantize", llama, target, "--type", "q6_K"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        while work.poll() is None and not (os.path.exists(target + ".qtk-journal")
                                           and os.path.getsize(target + ".qtk-journal") > 2000):
            time.sleep(0.001)
        work.send_signal(signal.SIGINT)
        _, code = work.communicate(), work.returncode
        if code == 130:
            break
        os.remove(target)
    check("Ctrl-C: exit code", code == 130, code)
    check("Ctrl-C: keeps what is finished", leftovers(folder) == [".damaged.gguf.qtk-part", "damaged.gguf.qtk-journal"])
    expect("other flags", run("quantize", llama, target, "--type", "q5_K", "--resume"), 2, "other flags")
    part = bytearray(read(f"{folder}/.damaged.gguf.qtk-part"))
    entry = json.loads(read(target + ".qtk-journal").splitlines()[1])
    part[entry["offset"] + 5] ^= 1
    write(f"{folder}/.damaged.gguf.qtk-part", part)
    expect("damaged part", run("quantize", llama, target, "--type", "q6_K", "--resume"), 0)
    check("damaged part: the same bytes", read(target) == expected)


def memory(folder):
    """An input larger than the memory that the program may have."""
    big, limit = f"{folder}/big.safetensors", 96
    rows, cols, block = 2048, 8192, os.urandom(1 << 20)
    # Bytes below 0x3f at the top of each half keep every value finite.
    block = bytes(b & 0x3f if i % 2 else b for i, b in enumerate(block))
    size = rows * cols * 2
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(12)]
    header = {n: {"dtype": "F16", "shape": [rows, cols], "data_offsets": [i * size, (i + 1) * size]}
              for i, n in enumerate(names)}
    text = json.dumps(header).encode()
    with open(big, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _ in range(len(names) * size // len(block)):
            file.write(block)
    said = report_of(expect("large input", run("quantize", big, f"{folder}/small.safetensors", "--max-memory", f"{limit}MiB",
                                               "--json"), 0))
    peak = said.get("peak_memory", 1 << 60) / (1 << 20)
    print(f"{os.path.getsize(big) >> 20} MiB in with --max-memory {limit}MiB: peak {peak:.0f} MiB, {said.get('seconds', 0):.2f} s")
    check("large input: peak memory", peak <= limit, peak)
    expect("a whole tensor", run("quantize", big, f"{folder}/no.safetensors", "--scheme", "i8/tensor", "--max-memory",
                                 f"{limit}MiB"), 2, "rows at once")


def importance(folder):
    """--imatrix: the columns that matter keep more of their values."""
    def dat(entries):
        data = struct.pack("<i", len(entries))
        for name, values in entries.items():
            data += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 2, len(values))
            data += struct.pack(f"<{len(values)}f", *(2 * v for v in values))
        return data + struct.pack("<ii", 2, 4) + b"text"

    config = json.loads(read(f"{llama}/config.json"))
    width, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    wanted = {f"blk.{i}.{part}.weight": inner if part == "ffn_down" else width for i in range(layers)
              for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}
    source, plain, weighted = f"{folder}/m.dat", f"{folder}/plain.gguf", f"{folder}/weighted.gguf"
    write(source, dat({name: [100.0 if j % 4 == 0 else 1.0 for j in range(n)] for name, n in wanted.items()}))
    expect("without", run("quantize", llama, plain, "--type", "q4_0"), 0)
    said = expect("with", run("quantize", llama, weighted, "--type", "q4_0", "--imatrix", source), 0)
    check("every matrix has one", "no importance" not in said.stderr, said.stderr)
    check("other bytes, as many weights", read(plain) != read(weighted))
    check("the file says so", b"quantize.imatrix.entries_count" in read(weighted))
    check("q8_0 does not search", run("quantize", llama, f"{folder}/8.gguf", "--type", "q8_0", "--imatrix", source)
          .returncode == 0)
    write(source, dat({"blk.0.attn_q.weight": [1.0] * width}))
    expect("one of many", run("quantize", llama, weighted, "--type", "q4_0", "--imatrix", source, "--force"), 0,
           f"{len(wanted) - 1} matrices have no importance")
    write(source, dat({"blk.0.attn_q.weight": [1.0] * (width + 1)}))
    expect("another width", run("quantize", llama, weighted, "--type", "q4_0", "--imatrix", source, "--force"), 2,
           "another model")
    write(source, dat({"something": [1.0] * width}))
    expect("other names", run("quantize", llama, weighted, "--type", "q4_0", "--imatrix", source, "--force"), 2,
           "no name in it")
    write(source, dat({"blk.0.attn_q.weight": [1.0] * width})[:-9])
    expect("cut short", run("quantize", llama, weighted, "--type", "q4_0", "--imatrix", source, "--force"), 3)
    expect("not for safetensors", run("quantize", llama, f"{folder}/no.safetensors", "--imatrix", source), 2, ".gguf")


steps = (round_trips, perplexities, recipes, importance, refusals, kills, memory)
with tempfile.TemporaryDirectory() as shared:
    for step in steps:
        began = time.time()
        with tempfile.TemporaryDirectory() as own:
            try:
                step(shared if step in (round_trips, perplexities) else own)
            except Exception as fault:  # one step must not hide the others
                failures.append(f"{step.__name__}: {fault!r}")
        print(f"{step.__name__}: {time.time() - began:.1f} s")

print("\n".join(failures) or "quantize, dequantize and inspect do as they say")
sys.exit(bool(failures))
