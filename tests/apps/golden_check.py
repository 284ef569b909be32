#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do the perplexities of both embedded models, float and quantized, meet the figures of an independent implementation?

Each language and the geometric mean: within 0.2 % for fp32 and 1 % for the quantized rows.
"""
import json
import subprocess
import sys

program, source = sys.argv[1:3]
golden = json.load(open(f"{source}/tests/golden/reference_rtn.json"))
failed = checked = 0
for model, rows in golden.items():
    spelling = {name: name if name == "fp32" else "i{}/{}/{}/f32".format(
        name[1], name.split("_")[1], name.split("_")[2]) for name in rows}
    report = json.loads(subprocess.run(
        [program, "quickstart", "--model", f"{source}/examples/data/{model}", "--json",
         "--schemes", ",".join(spelling.values())], check=True, stdout=subprocess.PIPE).stdout)
    found = {row["scheme"]: row for row in report["rows"]}
    for name, figures in rows.items():
        row = found[spelling[name]]
        bound = 0.002 if name == "fp32" else 0.01
        pairs = [("geomean", figures["geomean"], row["ppl_geomean"])]
        pairs += [(lang, value, row["ppl"][lang]) for lang, value in figures["per_language"].items()]
        for what, expected, got in pairs:
            checked += 1
            off = got["value"] / expected - 1
            inside = got["low"] <= got["value"] <= got["high"]
            if abs(off) > bound or not inside:
                failed += 1
                print(f"{model} {name} {what}: expected {expected}, found {got} ({off:+.2%})")
print(f"{checked} perplexities checked, {failed} outside")
sys.exit(failed > 0 or checked == 0)
