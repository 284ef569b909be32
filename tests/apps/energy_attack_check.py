#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Are attacks attacks? Bits flip in proportion to their rate and hurt the more, and, where there is LibTorch, images
that were moved by a gradient deceive, the farther they may move the more, and those made for a model more than noise."""
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


def rows_of(*arguments):
    done = run("attack", "--images", 200, *arguments, "--json")
    check(f"attack {arguments}", done.returncode == 0, done.stderr)
    return json.loads(done.stdout)["rows"] if done.returncode == 0 else []


flips = ("--attacks", "flips", "--schemes", "i8/channel,i4/channel", "--rates", "0,0.001,0.05", "--flip-seeds", 3)
rows = rows_of(*flips)
by = {(r["model"], r["attack"], r.get("rate")): r for r in rows}
names = [r["model"] for r in rows if r["attack"] == "none"]
check("float comes first", names[0] == "float" and len(names) == 3, names)
for name in names:
    clean, none, few, many = (by[name, *key] for key in (("none", None), ("flips", 0.0), ("flips", 0.001), ("flips", 0.05)))
    check(f"{name}: a rate of 0 changes nothing",
          none["accuracy"]["value"] == clean["accuracy"]["value"] and none["flips"] == 0, none)
    check(f"{name}: flips are in proportion to the rate", 40 < many["flips"] / few["flips"] < 60, few, many)
    check(f"{name}: many flips hurt", many["accuracy"]["value"] < clean["accuracy"]["value"] - 0.2, many)
eight, four = (by[name, "flips", 0.05]["flips"] for name in names[1:])
# The first and the last layer have 8 bits in both.
check("four bits have about half the bits to lose", 0.45 < four / eight < 0.6, four, eight)
check("quantized weights bear flips that floats do not",
      by[names[1], "flips", 0.001]["accuracy"]["value"] > by["float", "flips", 0.001]["accuracy"]["value"] + 0.3)
check("the same seed, the same flips", rows_of(*flips) == rows)
check("another seed, other flips", rows_of(*flips, "--seed", 1) != rows)

gradients = ("--schemes", "i4/channel", "--epsilons", "0,0.05,0.2", "--steps", 5, "--attacks", "fgsm,pgd")
if not has_torch:
    done = run("attack", *gradients)
    check("without LibTorch gradients are a usage error", done.returncode == 2 and "libtorch-dev" in done.stderr,
          done.returncode, done.stderr)
    done = run("attack", "--images", 20, "--rates", "0.01", "--flip-seeds", 2)
    check("what needs none of it runs, and says what is missing", done.returncode == 0 and "libtorch-dev" in done.stdout,
          done.stdout)
else:
    rows = rows_of(*gradients)
    by = {(r["model"], r["attack"], r.get("gradients"), r.get("epsilon")): r["accuracy"]["value"] for r in rows}
    model = next(r["model"] for r in rows if r["model"] != "float")
    for name, whose in (("float", "own"), (model, "own"), (model, "float")):
        clean = by[name, "none", None, None]
        for attack in ("fgsm", "pgd"):
            none, near, far = (by[name, attack, whose, e] for e in (0.0, 0.05, 0.2))
            check(f"{name} {attack} {whose}: an epsilon of 0 changes nothing", none == clean, none, clean)
            check(f"{name} {attack} {whose}: farther is worse", far < near <= clean and far < clean - 0.2, near, far)
        check(f"{name} {whose}: PGD is no weaker than one step", by[name, "pgd", whose, 0.2] <= by[name, "fgsm", whose, 0.2] + 0.05,
              by)

with tempfile.TemporaryDirectory() as folder:
    page = os.path.join(folder, "attack.html")
    done = run("attack", "--images", 20, "--schemes", "i8/channel", "--attacks", "flips", "--flip-seeds", 2, "--report", page)
    text = open(page).read() if os.path.exists(page) else ""
    check("the report", done.returncode == 0 and "i8/channel" in text and "probability" in text, done.stderr)
    done = run("attack", "--trained", folder, "--attacks", "flips")
    check("a folder without codes is refused", done.returncode == 2 and "no codes" in done.stderr, done.stderr)
for wrong in ("--rates=2", "--epsilons=-1", "--attacks=magic", "--schemes=i9/tensor"):
    check(f"{wrong} is refused", run("attack", wrong).returncode == 2)

for failure in failures:
    print("FAILED", failure)
sys.exit(1 if failures else 0)
