#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does `qtk bench --device cuda` say what the layers of a model take? The program here has a device that the CPU
emulates: the products are right, and the times mean nothing."""
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile

program, source = sys.argv[1:3]
golden = f"{source}/tests/golden"
failures = []
own = tempfile.TemporaryDirectory()


def folder_of(network):
    """The network with a tokenizer, without which no model is opened."""
    folder = f"{own.name}/{network}"
    if not os.path.exists(folder):
        shutil.copytree(f"{golden}/architectures/{network}", folder)
        with open(f"{golden}/tokenizers/llama3.json") as known, open(f"{folder}/tokenizer.json", "w") as file:
            json.dump(json.load(known)["tokenizer"], file)
    return folder


def run(*arguments):
    return subprocess.run([program, "bench", "--device", "cuda", "--runs", "3", "--warmup", "1", "--prompt-tokens", "5",
                           *arguments], capture_output=True, text=True)


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def rows_of(network, *arguments):
    result = run("--model", folder_of(network), "--json", *arguments)
    check(f"{network}: exit", result.returncode == 0, result.stderr)
    return (json.loads(result.stdout), result.stderr) if result.returncode == 0 else ({"rows": []}, result.stderr)


# Two blocks of width 32, four heads of 8 that share two of keys and values, 40 between the layers.
report, said = rows_of("mistral-window", "--formats", "w8a8,llm_int8,i4/g32/sym@a8_group,i4/g32/asym/f16,nf4/g32/f16")
check("schema", report.get("schema") == "qtk.bench_device/1" and report["device"]["name"] == "emulated on the CPU")
check("a line for each format", [row["format"] for row in report["rows"]]
      == ["w8a8", "llm_int8", "i4/g32/sym@a8_group", "i4/g32/asym/f16", "nf4/g32/f16"])
shapes = [(32, 32, 4, "q_proj, o_proj"), (16, 32, 4, "k_proj, v_proj"), (40, 32, 4, "gate_proj, up_proj"), (32, 40, 2, "down_proj")]
for row in report["rows"]:
    check(f"{row['format']}: distinct shapes", [(s["out"], s["in"], s["count"], s["names"]) for s in row["layers"]] == shapes, row)
    check(f"{row['format']}: bytes of a token", row["bytes_per_token"] == sum(s["count"] * s["bytes"] for s in row["layers"]))
    for kind in ("one_row_us", "rows_us"):
        total = sum(s["count"] * s[kind]["mean"] for s in row["layers"])
        check(f"{row['format']}: sum of {kind}", abs(row[kind]["mean"] / total - 1) < 1e-9 and len(row[kind]["values"]) == 3)
    bandwidth = row["bytes_per_token"] / row["one_row_us"]["mean"] * 1e6
    check(f"{row['format']}: of the bandwidth", abs(row["of_bandwidth"] * report["device"]["read_bandwidth"] / bandwidth - 1) < 1e-9)
    check(f"{row['format']}: tokens/s", abs(row["decode_tokens_per_second"] * row["one_row_us"]["mean"] / 1e6 - 1) < 1e-9
          and abs(row["prefill_tokens_per_second"] * row["rows_us"]["mean"] / 5e6 - 1) < 1e-9)
check("what is no device's is said", "no attention" in said and "without the head" in said, said)

report, said = rows_of("qwen2", "--formats", "w8a8", "--head", "w8a8")
check("the head is a layer", [(s["names"], s["out"], s["in"], s["count"]) for row in report["rows"] for s in row["layers"]][-1:]
      == [("head", 96, 32, 1)] and "the head in w8a8" in said, said)

table = os.path.join(own.name, "t.csv")
result = run("--model", folder_of("gpt2-untied"), "--formats", "w8a8", f"--csv={table}")
check("gpt2: tables", result.returncode == 0 and "all, one after the other" in result.stdout and "c_attn" in result.stdout,
      result.stdout, result.stderr)
with open(table, newline="") as file:
    lines = list(csv.DictReader(file))
check("gpt2: CSV", [(line["layer"], line["out"], line["in"]) for line in lines][:1] == [("c_attn", "96", "32")], lines)

result = run("--model", folder_of("qwen2"))
check("formats of the device if not given", result.returncode == 0 and all(
    f in result.stdout for f in ("w8a8", "llm_int8", "w4a8", "w4", "nf4")) and "fp32" not in result.stdout, result.stdout, result.stderr)
for formats, words in (("fp16", "no codes"), ("sim:w8a8", "no codes"), ("w3", "kernels take 4 and 8 bits"),
                       ("i4/g32@bf16", "llm_int8"), ("w9", "expected")):
    result = run("--model", folder_of("qwen2"), "--formats", formats)
    check(f"{formats} is refused", result.returncode == 2 and result.stderr.count("error:") == 1, result.returncode, result.stderr)
    check(f"{formats}: why", words in result.stderr or formats == "w9", result.stderr)

print("\n".join(failures) or "layers are measured on the device, and it is said how")
sys.exit(bool(failures))
