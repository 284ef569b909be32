#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does `quant-energy study` show the collapse and its repair, agree with itself for any number of threads, price what it says,
read a folder of images, and refuse what makes no sense?"""
import json
import os
import subprocess
import sys
import tempfile

program, source = sys.argv[1:3]
failures = []
digits = f"{source}/examples/data/digits"
network = f"{digits}/resnet_digits.safetensors"


def run(*arguments):
    return subprocess.run([program, "study", *map(str, arguments)], capture_output=True, text=True)


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def study(*arguments):
    done = run("--model", network, "--seeds", 2, "--calibration-images", 40, "--no-times", "--no-mixed", *arguments, "--json")
    check(arguments, done.returncode == 0, done.stderr)
    return json.loads(done.stdout)


def check_repair():
    report = study("--no-grid", "--brecq-steps", 40)
    check("the schema", report["schema"] == "qtk.energy.study/1")
    model = report["models"][0]
    check("float accuracy", model["float"]["accuracy"] == 0.998, model["float"])
    check("three collapses", [l["collapse"] for l in model["ladders"]] == ["i3/tensor/sym", "i2/tensor/sym", "i4/tensor/sym@a4_static"])
    two_bits = [step["accuracy"] for step in model["ladders"][1]["steps"]]
    check("two bits collapse", two_bits[0] < 0.3, two_bits)
    check("and are repaired", two_bits[-1] > 0.95, two_bits)
    for ladder in model["ladders"]:
        check("five steps", [s["label"] for s in ladder["steps"]] == ["per tensor, symmetric", "per channel", "asymmetric", "MSE range", "BRECQ"])
        steps = [s["accuracy"] for s in ladder["steps"]]
        check("the last step is better than the first", steps[-1] > steps[0], ladder["collapse"], steps)
        check("an interval around the difference", all(s["against_float"]["low"] <= s["against_float"]["value"] <= s["against_float"]["high"]
                                                       for s in ladder["steps"]))
    # What an earlier study printed, to its four digits (the bits of the weight alone decide).
    saved = {row["format"]: row["saved"] for row in model["prices"] if row["traffic"] == "no reuse"}
    for bits, expected in {"8 bits": 75.0933, "6 bits": 81.3258, "5 bits": 84.4406, "4 bits": 87.5544, "3 bits": 90.6673, "2 bits": 93.7792}.items():
        check("1 : 200", abs(100 * saved[bits] - expected) < 5e-5, bits, saved[bits])
    check("every table is there", len({row["table"] for row in model["prices"]}) >= 6)


def check_grid():
    arguments = ("--no-ladders", "--schemes", "i4/channel/sym,i2/tensor/sym,i8/channel/sym@a8_static", "--methods", "rtn,gptq", "--range", "percentile:0.999")
    one, two = (study(*arguments, "--threads", threads)["models"][0] for threads in (1, 2))
    check("threads change nothing", one["rows"] == two["rows"])
    rows = {(row["format"], row["method"]): row for row in one["rows"]}
    check("formats by methods", len(rows) == 6)
    check("round to nearest of weights has no draw", len(rows["i4/channel/sym", "rtn"]["accuracies"]) == 1)
    check("GPTQ has one for each", len(rows["i4/channel/sym", "gptq"]["accuracies"]) == 2)
    check("so have static activations", len(rows["i8/channel/sym@a8_static", "rtn"]["accuracies"]) == 2)
    check("GPTQ repairs two bits", rows["i2/tensor/sym", "gptq"]["accuracy"] > rows["i2/tensor/sym", "rtn"]["accuracy"] + 0.1)
    check("fewer bits, fewer bytes", rows["i2/tensor/sym", "rtn"]["bytes"] < rows["i4/channel/sym", "rtn"]["bytes"] < one["float"]["bytes"])
    joules = [row["joules_per_image"]["horowitz_45nm"] for row in (rows["i8/channel/sym@a8_static", "rtn"], rows["i4/channel/sym", "rtn"], one["float"])]
    check("int8 on both sides is cheapest, float dearest", joules == sorted(joules), joules)
    edges = study("--no-ladders", "--schemes", "i2/channel/sym", "--methods", "rtn", "--edges", "float")["models"][0]["rows"][0]
    check("float edges cost bits", edges["bits_per_weight"] > 2.2, edges)


def write_folder(folder):
    """Digits as PGM files, a folder for each class."""
    pixels, labels = (open(f"{digits}/digits_{what}.u8", "rb").read() for what in ("images", "labels"))
    for i in range(1297, 1397):
        place = f"{folder}/{labels[i]}"
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/{i}.pgm", "wb") as file:
            file.write(b"P5 8 8 16\n" + pixels[64 * i:64 * i + 64])


def check_files():
    with tempfile.TemporaryDirectory() as folder:
        write_folder(f"{folder}/images")
        page, table = f"{folder}/study.html", f"{folder}/study.csv"
        done = run("--model", network, "--data", f"folder:{folder}/images", "--calibration-images", 10, "--seeds", 2, "--no-ladders", "--schemes",
                   "i8/channel/sym@a8_static", "--methods", "rtn", "--report", page, f"--csv={table}")
        check("a folder of images", done.returncode == 0, done.stderr)
        # PGM values of 0..16 become bytes of 0..255.
        check("its accuracy", "resnet_digits: 100.0 %" in done.stdout or "resnet_digits: 98.8 %" in done.stdout, done.stdout[:200])
        text = open(page).read()
        check("a page", "<html" in text and "Accuracy against energy" in text and "Energy by layer" in text)
        check("a line for each recipe", len(open(table).read().splitlines()) == 3)
        done = run("--model", network, "--no-ladders", "--no-times", "--no-mixed", "--seeds", 1, "--schemes", "i8/channel", "--methods", "rtn", "--report", "/dev/full/x.html")
        check("a place that is none", done.returncode == 4, done.returncode, done.stderr)


def check_refusals():
    for arguments, code, words in [
        (["--schemes", "i9/channel"], 2, "i9"),
        (["--schemes", "fp32"], 2, "float is always there"),
        (["--methods", "gtpq"], 2, "gtpq"),
        (["--edges", "7"], 2, "--edges"),
        (["--range", "max"], 2, "range"),
        (["--energy-table", "horowitz"], 2, "horowitz_45nm"),
        (["--data", "digit"], 2, "digits"),
        (["--data", "folder"], 2, "folder:DIR"),
        (["--data", "folder:/nonexistent"], 3, "/nonexistent"),
        (["--calibration-data", "folder:x"], 2, "--calibration-data"),
        (["--model", "/nonexistent.safetensors"], 3, "/nonexistent.safetensors"),
        (["--model", f"{digits}/digits_labels.u8"], 3, "digits_labels.u8"),
        (["--seed", "x"], 2, "--seed"),
        (["--shemes", "i4"], 2, "--schemes"),
        (["--schemes", "i4/channel/sym", "--mean", "0.5,0.5", "--no-ladders"], 2, "means"),
    ]:
        done = run(*arguments)
        check(arguments, done.returncode == code, done.returncode, done.stderr[:300])
        check(arguments, words in done.stderr and done.stderr.count("\n") <= 2, done.stderr[:300])


check_repair()
check_grid()
check_files()
check_refusals()
print("\n".join(failures) or "ok")
sys.exit(1 if failures else 0)
