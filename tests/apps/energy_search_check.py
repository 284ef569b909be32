#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does `quant-energy search` keep its budgets, agree with itself for any number of threads, write a recipe that it reads again, and
refuse what makes no sense?"""
import json
import os
import subprocess
import sys
import tempfile

program, source = sys.argv[1:3]
failures = []
network = f"{source}/examples/data/digits/resnet_digits.safetensors"
few = ["--model", network, "--draws", "1", "--calibration-images", "20", "--test-images", "60", "--bits", "2,4,8"]


def run(*arguments):
    return subprocess.run([program, "search", *few, *map(str, arguments)], capture_output=True, text=True)


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def figures(*arguments):
    done = run(*arguments, "--json")
    check(arguments, done.returncode == 0, done.stderr)
    return json.loads(done.stdout) if done.returncode == 0 else {"models": [{"rows": []}]}


def check_budgets():
    arguments = ("--budget", "uniform4", "--cost", "energy,size", "--energy-table", "horowitz_45nm,tpu_7nm", "--solver",
                 "exact,greedy,haq", "--sensitivity", "divergence,sqnr,hessian", "--probes", "2", "--generations", "2", "--episodes", "4")
    reports = [figures(*arguments, "--threads", threads) for threads in (1, 2)]
    model = reports[0]["models"][0]
    check("threads change nothing", model["rows"] == reports[1]["models"][0]["rows"])
    check("the schema", reports[0].get("schema") == "qtk.energy.search/1")
    # Three costs: the uniform network, two solvers with three sensitivities each, and haq.
    check("every assignment is there", len(model["rows"]) == 3 * 8, len(model["rows"]))
    for row in model["rows"]:
        name = (row["cost"], row["solver"], row["sensitivity"])
        check("within the budget", row["spent"] <= row["allowed"] * (1 + 1e-9), name)
        bits = row["draws"][0]["bits"]
        check("bits are choices, and 8 at both ends", set(bits) <= {2, 4, 8} and bits[0] == bits[-1] == 8, name)
        figure = row["accuracy"]
        check("the interval holds the accuracy", figure["low"] <= figure["value"] <= figure["high"], name)
        # Costs are those of the layers at these bits.
        cost = next(c for c in model["costs"] if c["name"] == row["cost"])
        layers = [of[0] if len(of) == 1 else of[[2, 4, 8].index(b)] for of, b in zip(cost["by_layer"], bits)]
        check("the cost is a sum", abs(sum(layers) - row["spent"]) <= 1e-9 * row["spent"], name)
        if row["solver"] == "uniform":
            check("uniform is uniform", set(bits[1:-1]) == {4}, name)
            check("and spends all", abs(row["spent"] - row["allowed"]) <= 1e-9 * row["allowed"], name)
        else:
            draw = row["draws"][0]
            check("a p-value", 0 <= draw["p"] <= 1, name)
        if row["solver"] == "exact":
            of = {s: sum(next(c for c in l["candidates"] if c["bits"] == b)["divergence"] for l, b in zip(model["sensitivities"], r["draws"][0]["bits"]))
                  for r in model["rows"] if r["cost"] == row["cost"] for s in [(r["solver"], r["sensitivity"])]}
            if row["sensitivity"] == "divergence":
                check("nothing is better than exact in what it minimizes", all(of["exact", "divergence"] <= v + 1e-12 for v in of.values()), of)
    front = model["pareto_front"]
    check("the front rises and falls", all(a["cost"] < b["cost"] and a["loss"] > b["loss"] for a, b in zip(front, front[1:])) and len(front) > 10)


def check_recipe(folder):
    recipe, page = f"{folder}/recipe.txt", f"{folder}/report.html"
    found = figures("--budget", "uniform4", "--recipe", recipe, "--report", page)["models"][0]
    lines = [line for line in open(recipe).read().splitlines() if not line.startswith("#")]
    check("a line a layer", [line.split("=")[0] for line in lines] == found["layers"], lines)
    check("as formats", lines[0].split("=")[1] == "i8/channel/sym@a8_static_asym", lines[0])
    again = figures("--budget", "uniform4", "--from-recipe", recipe)["models"][0]["rows"]
    read = next(r for r in again if r["solver"] == "recipe")
    exact = next(r for r in again if r["solver"] == "exact")
    check("the recipe is the assignment", read["draws"][0]["bits"] == exact["draws"][0]["bits"])
    check("and the same network", read["test_loss"] == exact["test_loss"])
    check("a page", "resnet_digits" in open(page).read())
    with open(recipe, "a") as file:
        file.write("nothing=\n")
    check("a line without a format", run("--from-recipe", recipe).returncode != 0)
    with open(recipe, "w") as file:
        file.write("conv1=i8/channel/sym@a8_static_asym\n")
    done = run("--from-recipe", recipe)
    check("a layer without a line", done.returncode in (2, 3) and "layer1.0.conv1" in done.stderr, done.stderr)


def check_refused():
    for arguments, words in ((("--budget", "uniform5"), "5 bits"), (("--budget", "1e-9"), "budget"), (("--solver", "guess"), "--solver"),
                             (("--cost", "weight"), "--cost"), (("--sensitivity", "mood"), "sensitivity"), (("--scheme", "i4/channel"), "B for the bits"),
                             (("--first-last", "1"), "--first-last"), (("--energy-table", "mine"), "no table"), (("--activation-bits", "9"), "activations")):
        done = run(*arguments)
        check(arguments, done.returncode in (2, 3) and words in done.stderr, done.returncode, done.stderr)
    done = run("--recipe", "/no-such-folder/recipe.txt")
    check("a recipe that cannot be written", done.returncode == 4 and done.stdout == "" and "/no-such-folder/recipe.txt" in done.stderr, done.returncode, done.stderr)


check_budgets()
with tempfile.TemporaryDirectory() as folder:
    check_recipe(folder)
check_refused()
for failure in failures:
    print(failure[:2000])
sys.exit(1 if failures else 0)
