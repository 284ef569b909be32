#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does training repair what rounding broke, and does the packed runtime say what LibTorch says?

A few epochs on the embedded digits: w2a4 with one step a tensor, which round to nearest turns into guessing, has to
come back; the network that was written is loaded again by quant-energy attack. A build without LibTorch has to say
so in one sentence."""
import json
import os
import subprocess
import sys
import tempfile

program, source, has_torch = sys.argv[1], sys.argv[2], sys.argv[3] == "1"
failures = []


def run(*arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


if not has_torch:
    done = run("train", "--epochs", 1)
    check("without LibTorch it is a usage error", done.returncode == 2, done.returncode)
    check("the sentence names the package", "libtorch-dev" in done.stderr and done.stderr.count("\n") == 1, done.stderr)
else:
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "w2a4")
        # One thread: the last bits of LibTorch's sums are the same in every run.
        once = ("train", "--schemes", "i2/tensor", "--methods", "lsq", "--epochs", 4, "--threads", 1, "--seed", 3,
                "--json")
        done = run(*once, "--out", out)
        check("train", done.returncode == 0, done.stderr)
        row = json.loads(done.stdout)["rows"][0]
        check("two bits collapse when they are rounded to nearest", row["accuracy_before"]["value"] < 0.2, row)
        check("training brings them back", row["accuracy"]["value"] > 0.97, row["accuracy"])
        check("the loss falls", row["epochs"][-1]["loss"] < 0.2 * row["epochs"][0]["loss"], row["epochs"])
        check("the interval holds the value",
              row["accuracy"]["low"] <= row["accuracy"]["value"] <= row["accuracy"]["high"], row["accuracy"])
        # Roundings at a tie may fall otherwise: sums are added in another order.
        check("packed and simulated agree", row["agreeing_images"] >= row["test_images"] - 2, row["agreeing_images"])
        check("so do their accuracies", abs(row["accuracy"]["value"] - row["accuracy_in_floats"]) <= 0.004, row)
        again = json.loads(run(*once).stdout)["rows"][0]
        check("the same seed trains the same network", again["epochs"] == row["epochs"], again["epochs"], row["epochs"])
        other = json.loads(run(*once[:-3], "--seed", 4, "--json").stdout)["rows"][0]
        check("another seed another one", other["epochs"] != row["epochs"])
        check("files", sorted(os.listdir(out)) == ["model.safetensors", "quantized.safetensors"], os.listdir(out))
        done = run("attack", "--schemes", "i2/tensor", "--trained", out, "--attacks", "flips", "--rates", "0.001",
                   "--flip-seeds", 2, "--json")
        check("attack of the written folder", done.returncode == 0, done.stderr)
        clean = {r["model"]: r["accuracy"]["value"] for r in json.loads(done.stdout)["rows"] if r["attack"] == "none"}
        check("the folder runs as it was judged", clean.get("w2a4") == row["accuracy"]["value"], clean)
        done = run("train", "--epochs", 1, "--out", out)
        check("a folder with something in it is left alone", done.returncode == 3 and "already" in done.stderr,
              done.returncode, done.stderr)
        # The other estimator, distillation, another family of networks, by channel, without rounded inputs.
        done = run("train", "--model", f"{source}/examples/data/digits/deit_digits.safetensors", "--schemes",
                   "i4/channel", "--methods", "ste,lsq", "--distill", "--activation-bits", 0, "--epochs", 1, "--images",
                   100, "--threads", 1, "--json")
        check("train a ViT", done.returncode == 0, done.stderr)
        rows = json.loads(done.stdout)["rows"] if done.returncode == 0 else []
        check("both methods", [r["method"] for r in rows] == ["ste+distill", "lsq+distill"], rows)
        for row in rows:
            check("it still knows digits", row["accuracy"]["value"] > 0.88, row["accuracy"])
            check("packed and simulated agree", row["agreeing_images"] >= 99, row["agreeing_images"])
    for wrong, word in (("--schemes=i3/g32", "are not learned"), ("--methods=lsq+magic", "lsq, ste"),
                        ("--activation-bits=1", "activation-bits")):
        done = run("train", "--epochs", 1, wrong)
        check(f"{wrong} is refused", done.returncode == 2 and word in done.stderr, done.returncode, done.stderr)

for failure in failures:
    print("FAILED", failure)
sys.exit(1 if failures else 0)
