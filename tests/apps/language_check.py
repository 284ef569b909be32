#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do generate, bench, eval, compare and study do what their page says, on the embedded models?"""
import array
import json
import os
import shutil
import subprocess
import sys
import tempfile

program, source = sys.argv[1:3]
data = f"{source}/examples/data"
failures = []


def check(what, fact):
    if not fact:
        failures.append(what)


def run(*arguments, code=0):
    done = subprocess.run([program, *arguments], capture_output=True)
    errors = [line for line in done.stderr.decode().splitlines() if line.startswith("error:")]
    if done.returncode != code or (code not in (0, 2) and len(errors) != 1):
        failures.append(f"{' '.join(arguments)}: exit {done.returncode}, expected {code}: {done.stderr.decode()!r}")
    return done


def report(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


def last_argmax(path, columns):
    """The index of the largest value in the last row of a float32 .npy file."""
    raw = open(path, "rb").read()
    row = array.array("f", raw[-4 * columns:])
    return max(range(columns), key=row.__getitem__)


def text_of(ids, model):
    """What byte-level BPE tokens spell."""
    pieces = {i: t for t, i in json.load(open(f"{data}/{model}/vocab.json")).items()}
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    byte_of = {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}
    return bytes(byte_of[c] for i in ids for c in pieces[i]).decode()


logits = json.load(open(f"{source}/tests/golden/reference_logits.json"))
golden = json.load(open(f"{source}/tests/golden/reference_rtn.json"))
for model in ("polyglot-gpt2", "polyglot-llama"):
    folder = f"{data}/{model}"
    # Greedy: the first token after the golden text is the argmax of its last golden logits.
    ids = logits[model]["ids"]
    prompt = text_of(ids[1:], model)
    first = report("generate", "--model", folder, "--prompt", prompt, "--tokens", "6", "--ignore-eos")
    check(f"{model}: prompt tokens", first["prompt_tokens"] == len(ids))
    check(f"{model}: greedy token", first["tokens"][0] ==
          last_argmax(f"{source}/tests/golden/{model}_logits.npy", 4096))
    again = report("generate", "--model", folder, "--prompt", prompt, "--tokens", "6", "--ignore-eos", "--kv", "i8",
                   "--threads", "1")
    check(f"{model}: int8 cache", again["tokens"][:2] == first["tokens"][:2])
    check(f"{model}: int8 cache is smaller", again["kv_bytes"] < 0.4 * first["kv_bytes"])
    drawn = [report("generate", "--model", folder, "--prompt", "And", "--tokens", "12", "--temperature", "1.5", "--seed",
                    seed)["tokens"] for seed in ("1", "1", "2")]
    check(f"{model}: seeds", drawn[0] == drawn[1] != drawn[2])

    rows = {"fp32": ("fp32", 0.002), "i4/g64/asym/f32": ("w4_g64_asym", 0.01)}
    found = report("eval", "--model", folder, "--formats", ",".join([*rows, "llm_int8"]), "--simulate")
    for row in found["rows"]:
        if row["format"] in rows:
            name, bound = rows[row["format"]]
            off = row["ppl_geomean"]["value"] / golden[model][name]["geomean"] - 1
            check(f"{model} {row['format']}: perplexity is off by {off:+.2%}", abs(off) <= bound)
        if "packed_over_simulated" in row:
            gap = row["packed_over_simulated"]["ppl_ratio"] - 1
            check(f"{model} {row['format']}: packed differs from simulated by {gap:+.2e}", abs(gap) < 5e-3)
    check(f"{model}: outliers are counted", 0 <= found["rows"][2]["outlier_columns"] < 0.5)

short = ["--langs", "en,de", "--windows", "4"]
same = report("compare", "fp32", "fp32", *short)
check("compare: the same", same["ratio_b_over_a"]["value"] == 1 and same["kl"] == 0 and same["p_value"] == 1)
worse = report("compare", "fp32", "i2/channel", *short)
check("compare: two bits are worse", worse["verdict"] == "fp32 is better" and worse["p_value"] < 0.05)
bench = report("bench", "--formats", "fp32,w4a8", "--runs", "2", "--warmup", "0", "--prompt-tokens", "8", "--new-tokens",
               "4")
check("bench: four bits are fewer bytes", bench["rows"][1]["bytes_per_token"] < bench["rows"][0]["bytes_per_token"])
bench = report("bench", "--synthetic", "15M", "--formats", "w4a8", "--runs", "1", "--warmup", "0", "--prompt-tokens", "4",
               "--new-tokens", "3")
check("bench: a synthetic model", bench["parameters"] > 14e6)

with tempfile.TemporaryDirectory() as place:
    out = os.path.join(place, "study")
    for turn in (1, 2):
        run("study", "--schemes", "fp32,w8a8,w4", "--runs", "3", "--warmup", "0", "--new-tokens", "4", "--out", out, *short)
        entries = [json.loads(line) for line in open(f"{out}/log.jsonl")]
        check(f"study: entry {turn} of the log", len(entries) == turn and
              open(f"{out}/log.md").read().count("\n## ") == turn)
    page = open(f"{out}/report.html").read()
    charts = page.count("<svg")
    check(f"study: {charts} charts", charts == 6 if shutil.which("gnuplot") else "gnuplot was not found" in page)
    check("study: the page needs nothing else", "<script" not in page and "src=" not in page)
    check("study: too few runs are named", "too few to tell" in page)
    check("study: rows", [r["format"] for r in entries[0]["models"][0]["rows"]] == ["fp32", "w8a8", "w4"])
    check("study: nothing unfinished is left", sorted(os.listdir(out)) == ["log.jsonl", "log.md", "report.html"])

doctor = report("doctor")
check("doctor: facts", doctor["read_bandwidth"] > 1e8 and doctor["environment"]["isa"] and doctor["energy_meter"])

run("generate", "--prompt", "a", "--format", "w5", code=2)
run("generate", "--prompt", "a", "--top-p", "0", code=2)
run("generate", "--prompt", "a", "--model", "/nowhere", code=3)
run("generate", code=2)
run("eval", "--window", "1", code=2)
run("eval", "--langs", "xx", code=3)
run("bench", "--device", "cuda", code=2)
run("compare", "fp32", code=2)
run("study", "--runs", "0", code=2)

for failure in failures:
    print(failure)
print(f"{len(failures)} failures")
sys.exit(len(failures) > 0)
