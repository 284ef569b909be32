#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do methods that calibrate do what their table says, and do the folders that they write hold it?

`qtk eval --methods` pairs every row with round to nearest; `qtk quantize --method` writes the same codes, which
`qtk eval` reads again from every layout with the perplexity that the table showed."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

program, source = sys.argv[1:3]
failures = []
model = f"{source}/examples/data/polyglot-llama"
# Little text: two windows of one language, so that the check is quick. What methods gain is measured elsewhere.
text = ["--langs", "en", "--windows", "2"]
calibration = ["--mix", "en,de", "--calibration-windows", "4"]


def run(*arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def rows_of(methods, formats, folder=model):
    done = run("eval", "--model", folder, "--methods", methods, "--formats", formats, "--reference", "stored",
               *text, *calibration, "--json")
    check(f"eval --methods {methods}", done.returncode == 0, done.stderr)
    return json.loads(done.stdout)["rows"] if done.returncode == 0 else []


def perplexity_of(folder, form="stored"):
    done = run("eval", "--model", folder, "--formats", form, "--reference", form, *text, "--json")
    check(f"eval of {folder}", done.returncode == 0, done.stderr)
    return json.loads(done.stdout)["rows"][0]["ppl_geomean"]["value"] if done.returncode == 0 else 0.0


def is_near(a, b, relative):
    return abs(a - b) <= relative * abs(b)


table = {row["method"]: row for row in rows_of("gptq,gptq:act,awq:layers", "i3/g64/asym/f16")}
check("round to nearest comes first", list(table) == ["rtn", "gptq", "gptq:act", "awq:layers"], list(table))
check("it is paired with itself", table["rtn"]["over_rtn"]["value"] == 1.0)
for name in ("gptq", "gptq:act", "awq:layers"):
    row = table[name]
    check(f"{name} is better than round to nearest", row["over_rtn"]["value"] < 1.0, row["over_rtn"])
    ratio = row["ppl_geomean"]["value"] / table["rtn"]["ppl_geomean"]["value"]
    check(f"{name}: the ratio is that of the perplexities", is_near(row["over_rtn"]["value"], ratio, 1e-9))
    check(f"{name}: memory and time", row["peak_memory_bytes"] > 1 << 20 and row["seconds"] > 0.0, row)

with tempfile.TemporaryDirectory() as folder:
    # Layouts with scales of 16 bits hold codes that have such scales exactly: the perplexity is the table's.
    written = {
        "gptq": ("gptq", "i3/g64/asym/f16", "gptq"),
        "gptq_v2": ("gptq", "i3/g64/asym/f16", "gptq_v2"),
        "ordered": ("gptq:act", "i3/g64/asym/f16", "gptq"),
        "folded": ("awq:layers", "i3/g64/asym/f16", "compressed_tensors"),
    }
    for name, (method, scheme, layout) in written.items():
        target = f"{folder}/{name}"
        done = run("quantize", "--method", method, "--scheme", scheme, "--layout", layout, *calibration, model, target)
        check(f"quantize {name}", done.returncode == 0, done.stderr)
        if done.returncode == 0:
            ppl, expected = perplexity_of(target), table[method]["ppl_geomean"]["value"]
            check(f"{name} read again", is_near(ppl, expected, 2e-3), ppl, expected)

    for layout, scheme in (("awq", "i4/g64/asym/f16"), ("bitsandbytes_nested", "nf4/g64"), ("bitsandbytes", "nf4/g64")):
        target = f"{folder}/{layout}"
        done = run("quantize", "--method", "rtn", "--scheme", scheme, "--layout", layout, *calibration, model, target)
        check(f"quantize {layout}", done.returncode == 0, done.stderr)
        if done.returncode == 0:
            expected = rows_of("rtn", scheme)[0]["ppl_geomean"]["value"]
            check(f"{layout} read again", is_near(perplexity_of(target), expected, 0.02), layout)

    target = f"{folder}/protected"
    done = run("quantize", "--method", "gptq", "--recipe", "*.down_proj.*=keep", *calibration, model, target)
    check("quantize protected", done.returncode == 0, done.stderr)
    with open(f"{target}/config.json") as file:
        check("the configuration names what was kept", "down_proj" in file.read())

    # AWQ leaves a block alone that is kept as a whole: the folder is less far from the float model than without.
    whole = f"{folder}/whole_block"
    done = run("quantize", "--method", "awq:layers", "--scheme", "i3/g64/asym/f16", "--layout", "compressed_tensors", "--recipe", "model.layers.0.*=keep",
               *calibration, model, whole)
    check("quantize with a block kept", done.returncode == 0, done.stderr)
    if done.returncode == 0:
        check("a kept block repairs", perplexity_of(whole) < 0.99 * perplexity_of(f"{folder}/folded"), perplexity_of(whole))

    # Several schemes and methods in one folder: better than one scheme, and read as they were written.
    plain = f"{folder}/plain"
    done = run("quantize", "--method", "rtn", "--scheme", "i3/g64", "--layout", "gptq", *calibration, model, plain)
    check("quantize at 3 bits", done.returncode == 0, done.stderr)
    rules = f"{folder}/rules"
    with open(rules, "w") as file:
        file.write("# two layers with more bits, one with a better method\n*.down_proj.weight=i8/channel\n*.o_proj.weight=i4/g32,gptq\n*.q_proj.weight=gptq:mse\n")
    for layout in ("gptq", "compressed_tensors"):
        target = f"{folder}/mixed_{layout}"
        done = run("quantize", "--method", "rtn", "--scheme", "i3/g64", "--layout", layout, "--recipe-file", rules, "--json",
                   *calibration, model, target)
        check(f"mixed {layout}", done.returncode == 0, done.stderr)
        if done.returncode == 0:
            rows = {r["layer"].split(".")[-1]: (r["scheme"].split("/sym/")[0], r["method"]) for r in json.loads(done.stdout)["rows"]}
            check("the rules hold", rows["down_proj"] == ("i8/channel", "rtn") and rows["o_proj"] == ("i4/g32", "gptq")
                  and rows["q_proj"] == ("i3/g64", "gptq:mse") and rows["up_proj"] == ("i3/g64", "rtn"), rows)
            check("mixed is better", perplexity_of(target) < 0.95 * perplexity_of(plain), layout)
    # A GGUF file and a folder with the same codes are the same floats, which fp32 multiplies; stored, q4_0 and q8_0
    # meet int8 activations. The lowest values of q4_1 are rounded.
    gpt2 = f"{source}/examples/data/polyglot-gpt2"
    for network, scheme, kind, exact in ((model, "i4/g32/sym/f16", "q4_0", True), (model, "i4/g32/asym/f16", "q4_1", False),
                                         (gpt2, "i8/g32/sym/f16", "q8_0", True)):
        target = f"{folder}/{kind}"
        done = run("quantize", "--method", "gptq", "--scheme", scheme, "--layout", "compressed_tensors", *calibration, network, target)
        check(f"quantize the folder of {kind}", done.returncode == 0, done.stderr)
        done = run("quantize", "--method", "gptq", "--scheme", scheme, "--layout", "gguf", "--json", *calibration, network,
                   f"{target}.gguf")
        check(f"quantize {kind}", done.returncode == 0, done.stderr)
        if done.returncode == 0:
            said = json.loads(done.stdout)
            check(f"{kind}: what was rounded is said", said["type"] == kind and (said["largest_scale_change"] == 0.0) == exact
                  and said["largest_scale_change"] <= 2**-11 and (said["exact_layers"] == len(said["rows"])) == exact, said)
            ppl, expected = perplexity_of(f"{target}.gguf", "fp32"), perplexity_of(target, "fp32")
            check(f"{kind} read again", is_near(ppl, expected, 1e-5 if exact else 1e-3), ppl, expected)
            ppl = perplexity_of(f"{target}.gguf")
            check(f"{kind} as stored", is_near(ppl, expected, 1e-3 if kind == "q4_1" else 0.02), ppl, expected)

    # Rules have the last word; what they name is quantized without the method.
    done = run("quantize", "--method", "rtn", "--layout", "gguf", "--recipe", "*.down_proj.*=keep", "--recipe", "*embed*=q8_0",
               *calibration, model, f"{folder}/rules.gguf")
    check("quantize by rules", done.returncode == 0 and "72 layers written" in done.stdout, done.stdout, done.stderr)
    inspected = json.loads(run("inspect", f"{folder}/rules.gguf", "--json").stdout or "{}")
    types = {tensor["name"]: tensor["type"] for tensor in inspected.get("tensors", [])}
    check("types by rules", [types.get(f"{name}.weight") for name in ("blk.3.ffn_down", "token_embd", "blk.3.ffn_up")]
          == ["f16", "q8_0", "q4_0"], types)
    check("the file names its method", inspected.get("metadata", {}).get("qtk.method") == "rtn i4/g32/sym/f16")
    done = run("quantize", "--method", "rtn", "--layout", "gguf", *calibration, model, f"{folder}/rules.gguf")
    check("a file is not replaced in silence", done.returncode == 2 and "--force replaces it" in done.stderr, done.stderr)
    # What is calibrated is not resumed: the hint does not say so.
    with open(f"{folder}/.left.gguf.qtk-part", "w") as part:
        part.write("what a killed run left")
    done = run("quantize", "--method", "rtn", "--layout", "gguf", *calibration, model, f"{folder}/left.gguf")
    check("an unfinished run", done.returncode == 2 and "Hint: --force begins anew" in done.stderr, done.stderr)
    os.remove(f"{folder}/.left.gguf.qtk-part")
    done = run("quantize", "--method", "rtn", "--layout", "gguf", "--force", "--dry-run", *calibration, model, f"{folder}/rules.gguf")
    check("dry run", done.returncode == 0 and "84 layers would be i4/g32/sym/f16 in blocks of q4_0" in done.stdout, done.stdout)

    before = os.listdir(folder)
    for arguments, status, words in (
        (["--method", "gptq:fast"], 2, "expected an option of the step"),
        (["--method", "rotate+gptq"], 2, "no published layout holds"),
        (["--method", "gptq", "--type", "q4_0"], 2, "without --type"),
        (["--method", "rtn", "--scheme", "nf4/g64", "--layout", "gptq"], 2, "gptq"),
        (["--method", "gptq", "--mix", "en:0"], 2, "--mix"),
        (["--method", "rtn", "--layout", "awq", "--scheme", "i4/g64/asym", "--recipe", "*.o_proj.*=i4/channel/asym"], 2, "one scheme for all layers"),
        (["--method", "rtn", "--recipe", "*.o_proj.*=awq+gptq"], 2, "change whole blocks"),
        (["--method", "rtn", "--recipe", "*.o_proj.*=fp16"], 2, "keep leaves"),
        (["--method", "awq+gptq", "--recipe", "*.o_proj.*=keep"], 2, "kept in a quantized block does not go together"),
        (["--method", "gptq", "--layout", "gguf"], 2, "--layout gguf and the ending .gguf go together"),
    ):
        done = run("quantize", *arguments, model, f"{folder}/none")
        check(arguments, done.returncode == status and words in done.stderr, done.returncode, done.stderr)
        check(f"{arguments}: one error", len(done.stderr.strip().splitlines()) == 1, done.stderr)
    for arguments, status, words in (
        (["--method", "gptq"], 2, "--layout gguf and the ending .gguf go together"),
        (["--method", "gptq", "--layout", "gguf", "--scheme", "i3/g32"], 2, "expected i4/g32/sym (q4_0)"),
        (["--method", "gptq:act", "--layout", "gguf"], 2, "Hint: gptq:act:fixed"),
        (["--method", "awq:layers+gptq", "--layout", "gguf"], 2, "Hint: without smooth, awq and rotate"),
        (["--method", "gptq+bias", "--layout", "gguf"], 2, "Hint: without bias"),
        (["--method", "gptq", "--layout", "gguf", "--resume"], 2, "without --resume"),
    ):
        done = run("quantize", *arguments, model, f"{folder}/none.gguf")
        check(arguments, done.returncode == status and words in done.stderr, done.returncode, done.stderr)
        check(f"{arguments}: one error", len(done.stderr.strip().splitlines()) == 1, done.stderr)
    check("nothing is left of what failed", sorted(os.listdir(folder)) == sorted(before), os.listdir(folder))
    done = run("eval", "--methods", "gptq", "--formats", "fp16", *text, *calibration)
    check("floats have no codes", done.returncode == 2 and "no codes" in done.stderr, done.stderr)

for failure in failures:
    print(failure)
sys.exit(1 if failures else 0)
