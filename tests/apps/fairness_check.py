#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do the commands of quant-fairness hold together: figures that fit each other and the same for any number of threads, a
recipe that `qtk quantize` takes and that makes the model that was verified, and one clear error for input that makes no sense?"""
import json
import math
import os
import subprocess
import sys
import tempfile

program, source, qtk = sys.argv[1:4]
failures = []
few = ["--langs", "en,ar,zh", "--windows", "2", "--mix", "en,ar", "--calibration-windows", "12"]
data = f"{source}/examples/data"


def run(*arguments, of=program):
    return subprocess.run([of, *map(str, arguments)], capture_output=True, text=True)


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def figures(*arguments):
    """The JSON of a command; empty where it fails."""
    done = run(*arguments, "--json")
    check(arguments, done.returncode == 0, done.stderr)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def holds(figure):
    low, value, high = (math.inf if figure[k] is None else figure[k] for k in ("low", "value", "high"))
    return low <= value <= high


def check_costs(what, costs):
    values = [c["value"] for c in costs["cost"].values()]
    check(f"{what}: the mean cost is the mean of the costs", abs(costs["mean_cost"]["value"] - sum(values) / len(values)) < 1e-12, costs)
    gap = costs["cost"][costs["worst"]]["value"] - costs["cost"][costs["best"]]["value"]
    check(f"{what}: the gap is between worst and best", abs(costs["gap"]["value"] - gap) < 1e-12 and costs["worst"] != costs["best"], costs)
    check(f"{what}: intervals hold their figures", all(map(holds, [costs["mean_cost"], costs["gap"], costs["gini"], *costs["cost"].values()])), costs)


def check_sweep():
    for model, scheme, methods in (("polyglot-llama", "i3/g64/asym", "rtn,gptq"), ("polyglot-gpt2", "i2/channel", "rtn")):
        arguments = ("sweep", "--model", f"{data}/{model}", "--schemes", scheme, "--methods", methods, *few, "--protect", 2)
        rows = [figures(*arguments, "--threads", threads)["rows"] for threads in (1, 2)]
        check(f"{model}: threads change nothing", rows[0] == rows[1])
        for row in rows[0]:
            check("a row a block", [layer["layer"] for layer in row["layers"]] == [f"L{i}" for i in range(12)])
            whole = row["quantized"]
            check_costs(model, whole)
            for language, cost in whole["cost"].items():
                again = math.log(whole["ppl"][language]) / math.log(row["float"]["ppl"][language]) - 1
                check("costs are of perplexities", abs(again - cost["value"]) < 1e-9, again, cost)
                again = whole["bits_per_byte"][language] / row["float"]["bits_per_byte"][language] - 1
                check("and of bits per byte", abs(again - cost["value"]) < 1e-9, again, cost)
            # The first block costs most, in both networks at these widths, as in the golden tables.
            alone = [layer["only"]["mean_cost"]["value"] for layer in row["layers"]]
            check(f"{model}, {row['method']}: the first block costs most alone", alone.index(max(alone)) == 0, alone)
            p = [layer["p_above_mean_holm"] for layer in row["layers"]]
            check("and it is surest of it", p.index(min(p)) == 0 and max(p) == 1 and (p[0] < 0.05 or row["method"] != "rtn"), p)
            check("protecting it leaves less", row["layers"][0]["protected"]["mean_cost"]["value"] < whole["mean_cost"]["value"])
            best = min((layer["protected"]["gap"]["value"], layer["layer"]) for layer in row["layers"])
            check("the first layer to protect leaves the least gap", [s["layers"] for s in row["protect"]][0] == best[1], row["protect"], best)
        costs = [row["quantized"]["mean_cost"]["value"] for row in rows[0]]
        check("gptq costs less", len(costs) < 2 or costs[1] < costs[0], costs)
    human = run("sweep", *few)
    check("people see the protocol and the layers", "windows of 256 tokens" in human.stdout and "\nL11" in human.stdout, human.stdout)


def check_modules():
    for model, names in (("polyglot-gpt2", "q k v o up down"), ("polyglot-llama", "q k v o gate up down")):
        row = figures("sweep", "--model", f"{data}/{model}", "--schemes", "i3/g64/asym", *few[:2], "--windows", 1, "--modules", "--protect", 0)["rows"][0]
        check(f"{model}: kinds of modules", [m["layer"] for m in row["module_kinds"]] == names.split(), row["module_kinds"])
        check(f"{model}: modules of blocks", len(row["modules"]) == 12 * len(names.split()) and row["modules"][0]["layer"] == "L0.q")
        sums = sum(m["only"]["mean_cost"]["value"] for m in row["module_kinds"])
        check("modules cost about what the whole does", 0.3 < sums / row["quantized"]["mean_cost"]["value"] < 3, sums)


def check_recommend(folder):
    model = f"{data}/polyglot-llama"
    recipe, report = f"{folder}/recipe.txt", f"{folder}/report.html"
    found = figures("recommend", "--model", model, *few, "--figure", "mean", "--target", "70%", "--max-layers", 3, "--recipe", recipe, "--report", report)
    check("a target that three layers meet", found["met"] is True and len(found["rules"]) in (1, 2, 3), found["rules"])
    check("sizes grow by one, and less is left", [len(s["layers"].split(",")) for s in found["sizes"][1:]] == list(range(1, len(found["sizes"])))
          and found["sizes"][-1]["mean"] <= found["target"] < found["sizes"][-2]["mean"], found["sizes"])
    check("every pair was tried", len(found["sizes"]) < 3 or found["sizes"][2]["search"] == "all 66", found["sizes"])
    for costs in ("unprotected", "mixture", "protected"):
        check_costs(costs, found[costs])
    # Round to nearest knows nothing of other layers: the recipe's model is the mixture.
    for language, cost in found["mixture"]["cost"].items():
        check("the mixture is the recipe's model", abs(cost["value"] - found["protected"]["cost"][language]["value"]) < 1e-6, cost)
    text = open(recipe).read()
    check("the recipe says what made it", text.startswith("# quant-fairness recommend") and all(rule in text.splitlines() for rule in found["rules"]), text)
    html = open(report).read()
    check("the report has maps, charts, the recipe and the command", html.count("<svg") >= 6 and found["rules"][0] in html and "quant-fairness recommend --model" in html)
    out = f"{folder}/out"
    done = run("quantize", "--method", "rtn", "--layout", "compressed_tensors", "--scheme", "i3/g64/asym/f16", "--recipe-file", recipe, model, out, of=qtk)
    check("qtk quantize takes the recipe", done.returncode == 0, done.stderr)
    lines = open(f"{data}/corpus/en.txt").read().split("\n")[120:160]
    open(f"{folder}/en.txt", "w").write("\n".join(lines))
    ppl = []
    for which, form in ((model, "fp32"), (out, "stored")):
        done = run("eval", "--model", which, "--formats", form, "--text", f"en={folder}/en.txt", "--windows", 2, "--json", of=qtk)
        check("the folder is read", done.returncode == 0, done.stderr)
        ppl.append(json.loads(done.stdout)["rows"][0]["ppl"]["en"]["value"])
    again, cost = math.log(ppl[1]) / math.log(ppl[0]) - 1, found["protected"]["cost"]["en"]["value"]
    check("the folder's loss on held-out passages is the one that was promised", abs(again - cost) < 2e-3, again, cost)
    tight = figures("recommend", *few, "--target", "0", "--max-bits", 4.7)
    check("a budget is kept", tight["bits_per_weight"] <= 4.7 and tight["met"] is False and len(tight["sizes"]) == 2, tight["sizes"])
    layers = figures("recommend", *few[:2], "--windows", 1, "--modules", "--max-layers", 1)
    check("layers instead of blocks", "." in layers["layers"] and layers["rules"][0].endswith("_proj.weight=keep"), layers["rules"])


def check_others(folder):
    found = figures("hypothesis", *few, "--set", "first,last", "--report", f"{folder}/hypothesis.html")
    check("all other pairs", found["set"] == "L0, L11" and found["others"] == 65 and not found["is_sample"] and len(found["sets"]) == 66)
    for figure, key in zip(found["figures"], ("mean_cost", "gap")):
        named, others = found["sets"][0][key], [s[key] for s in found["sets"][1:]]
        better = sum(o < named for o in others)
        check("ranks are counted", figure["rank"]["value"] == better + 1 and abs(figure["p"] - (1 + sum(o <= named for o in others)) / 66) < 1e-12, figure)
        check("the best is the least", figure["best"] == min([named, *others]), figure)
    with_first = [s["gap"] for s in found["sets"] if "L0" in s["layers"].split(", ")]
    check("ranks among sets with a layer", len(with_first) == 11 and {"layer": "L0", "figure": "gap", "sets": 11, "rank": 1 + sum(g < with_first[0] for g in with_first),
          "p": sum(g <= with_first[0] for g in with_first) / 11} in found["among_sets_with"], found["among_sets_with"])
    sample = figures("hypothesis", *few[:2], "--windows", 1, "--set", "L0,5,last", "--evaluations", 20)
    check("a sample where there are many", sample["is_sample"] and sample["set"] == "L0, L5, L11" and len(sample["sets"]) in (20, 21))
    task = figures("task", "--langs", "en,ar,zh", "--windows", 6, "--schemes", "i8/channel,i2/g64/asym", "--report", f"{folder}/task.html")
    check("two models", [row["scheme"] for row in task["rows"]] == ["i8/channel", "i2/g64/asym"])
    i8 = [d["value"] for d in task["rows"][0]["accuracy_drop"].values()]
    check("8 bits change few answers", max(map(abs, i8)) < 0.1, i8)
    check("correlations are some", all(-1 <= row["spearman_margin"]["value"] <= 1 and holds(row["spearman_margin"]) for row in task["rows"]), task["rows"])
    table = figures("compare", "--model", f"{data}/polyglot-llama", "--model", f"{data}/polyglot-gpt2", *few[:4], "--calibration-windows", 4,
                    "--methods", "rtn,gptq", "--mixes", "all,ar", "--report", f"{folder}/compare.html")
    names = [(row["model"], row["method"], row["calibrated_on"]) for row in table["rows"]]
    check("what reads no text is there once", names == [(m, *rest) for m in ("polyglot-llama", "polyglot-gpt2")
                                                        for rest in (("rtn", ""), ("gptq", "all"), ("gptq", "ar"))], names)
    for row in table["rows"]:
        check_costs("compare", row["costs"])
    first, third = table["rows"][0], table["rows"][2]
    fourth, fifth = table["rows"][3], table["rows"][4]
    for row, base in ((third, first), (fourth, first), (fifth, fourth)):
        change = row["costs"]["gap"]["value"] - base["costs"]["gap"]["value"]
        check("changes are differences", abs(row["gap_change"]["value"] - change) < 1e-12 and holds(row["gap_change"]), row)
    for name in ("hypothesis", "task", "compare"):
        html = open(f"{folder}/{name}.html").read()
        check(f"{name}: a report", "<svg" in html and "Make it again" in html and f"quant-fairness {name}" in html)


def check_errors(folder):
    open(f"{folder}/empty.txt", "w").close()
    open(f"{folder}/one.txt", "w").write("word " * 3000)
    for arguments, status, words in (
        (["sweep", "--langs", "xx"], 3, "xx.txt"),
        (["sweep", "--text", f"en={folder}/none.txt"], 3, "none.txt"),
        (["sweep", "--text", f"en={folder}/empty.txt"], 2, "en: perplexity: the text has 1 tokens, fewer than one window"),
        (["sweep", "--schemes", "fp16"], 2, "no codes"),
        (["sweep", "--schemes", "i9"], 2, "i9"),
        (["sweep", "--methods", "gptk"], 2, "gptk"),
        (["sweep", "--modl", "x"], 2, "Did you mean --model"),
        (["sweep", "--model", f"{folder}/none"], 3, "none"),
        (["sweep", "--journal", f"{data}/corpus/en.txt"], 3, "is not a journal"),
        (["recommend", "--text", f"en={folder}/one.txt"], 2, "expected two passages"),
        (["recommend", "--target", "much"], 2, "--target: expected a figure"),
        (["recommend", "--figure", "gab"], 2, "Did you mean gap?"),
        (["recommend", "--max-bits", "2"], 2, "3.500 bits a weight with nothing protected"),
        (["hypothesis", "--set", "L0,L12"], 2, "layer \"L12\": the model has 12, L0 to L11"),
        (["task", "--langs", "en,ar"], 2, "3 languages or more"),
        (["compare", "--mixes", "xx"], 3, "xx.txt"),
    ):
        more = few if not {"--text", "--langs", "--mixes"} & set(arguments) else few[2:4]
        done = run(*arguments, *more)
        check(arguments, done.returncode == status and words in done.stderr, done.returncode, done.stderr)
        check(f"{arguments}: one error", done.stderr.count("error:") == 1, done.stderr)
    done = run("swep")
    check("a wrong command", done.returncode == 2 and "quant-fairness has no such command. Did you mean sweep?" in done.stderr, done.stderr)
    own = [f"{name}={folder}/{name}.txt" for name in ("a", "b")]
    for at, name in enumerate(("a", "b")):
        lines = open(f"{data}/corpus/{'de' if at else 'en'}.txt").read().split("\n")
        open(f"{folder}/{name}.txt", "w").write("\n".join(lines[: 20 + 30 * at]))
    texts = [part for text in own for part in ("--text", text)]
    found = figures("sweep", *texts, "--windows", "all", "--protect", 0)
    check("texts of one's own, of unequal lengths", list(found["rows"][0]["quantized"]["cost"]) == ["a", "b"], found)


check_sweep()
check_modules()
with tempfile.TemporaryDirectory() as folder:
    check_recommend(folder)
    check_others(folder)
    check_errors(folder)
for failure in failures:
    print(failure)
sys.exit(1 if failures else 0)
