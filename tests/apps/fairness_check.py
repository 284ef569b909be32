#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does `quant-fairness sweep` hold together: figures that fit each other, the same for any number of threads, and one
clear error for input that makes no sense?"""
import json
import subprocess
import sys
import tempfile

program, source = sys.argv[1:3]
failures = []
few = ["--langs", "en,ar", "--windows", "2", "--mix", "en,ar", "--calibration-windows", "12"]


def run(*arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


for model, scheme, methods in (("polyglot-llama", "i3/g64/asym", "rtn,gptq"), ("polyglot-gpt2", "i2/channel", "rtn")):
    folder = f"{source}/examples/data/{model}"
    done = [run("sweep", "--model", folder, "--schemes", scheme, "--methods", methods, *few, "--threads", threads, "--json")
            for threads in (1, 2)]
    check(f"{model} sweeps", all(d.returncode == 0 for d in done), done[0].stderr, done[1].stderr)
    if failures:
        continue
    rows = [json.loads(d.stdout)["rows"] for d in done]
    check(f"{model}: threads change nothing", rows[0] == rows[1])
    for row in rows[0]:
        check("a row a block", [layer["layer"] for layer in row["layers"]] == list(range(12)))
        whole = row["quantized"]
        check("the mean cost is the mean of the costs",
              abs(whole["mean_cost"]["value"] - sum(whole["cost"].values()) / 2) < 1e-12, whole)
        check("the gap is between worst and best",
              abs(whole["gap"]["value"] - (whole["cost"][whole["worst"]] - whole["cost"][whole["best"]])) < 1e-12, whole)
        check("intervals hold their figures", all(f["low"] <= f["value"] <= f["high"] for f in (whole["mean_cost"], whole["gap"])), whole)
        # The first block costs most, in both networks at these widths, as in the golden tables.
        alone = [layer["only"]["mean_cost"]["value"] for layer in row["layers"]]
        check(f"{model}, {row['method']}: the first block costs most alone", alone.index(max(alone)) == 0, alone)
        check("protecting it leaves less", row["layers"][0]["protected"]["mean_cost"]["value"] < whole["mean_cost"]["value"])
    check("gptq costs less", len(rows[0]) < 2 or rows[0][1]["quantized"]["mean_cost"]["value"] < rows[0][0]["quantized"]["mean_cost"]["value"])
    human = run("sweep", "--model", folder, *few)
    check("people see the protocol and the layers", "windows of 256 tokens" in human.stdout and "L11" in human.stdout, human.stdout)

with tempfile.TemporaryDirectory() as folder:
    open(f"{folder}/empty.txt", "w").close()
    for arguments, status, words in (
        (["--langs", "xx"], 3, "xx.txt"),
        (["--text", f"en={folder}/none.txt"], 3, "none.txt"),
        (["--text", f"en={folder}/empty.txt"], 2, "fewer than one window"),
        (["--schemes", "fp16"], 2, "no codes"),
        (["--schemes", "i9"], 2, "i9"),
        (["--methods", "gptk"], 2, "gptk"),
        (["--modl", "x"], 2, "Did you mean --model"),
        (["--model", f"{folder}/none"], 3, "none"),
    ):
        done = run("sweep", *few, *arguments) if arguments[0] != "--text" else run("sweep", *few[2:], *arguments)
        check(arguments, done.returncode == status and words in done.stderr, done.returncode, done.stderr)
        check(f"{arguments}: one error", done.stderr.count("error:") == 1, done.stderr)
done = run("swep")
check("a wrong command", done.returncode == 2 and "quant-fairness has no such command. Did you mean sweep?" in done.stderr, done.stderr)

for failure in failures:
    print(failure)
sys.exit(1 if failures else 0)
