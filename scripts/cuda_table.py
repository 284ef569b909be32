#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What did the CUDA benches measure? The table of one run, in Markdown.

    scripts/cuda_table.py RESULT.json

RESULT is what qtk_bench_cuda wrote with --benchmark_out. scripts/bench_cuda.sh calls this.
"""

import json
import sys
from pathlib import Path

KINDS = ("w4a16", "nf4a16", "w4a8", "w8a8", "w4a4", "llm_int8")


def read(path):
    """Context, and {(layer, rows): {kind/kernel: counters}} in the order of the file."""
    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
        context, benchmarks = result["context"], result["benchmarks"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        sys.exit(f"error: {path}: not the output of qtk_bench_cuda: {problem!r}")
    rows = {}
    for entry in benchmarks:
        parts = entry["name"].split("/")
        if entry.get("run_type") == "aggregate" or len(parts) < 5:
            continue
        if entry.get("error_occurred"):
            sys.exit(f"error: {path}: {entry['name']}: {entry.get('error_message', 'failed')}")
        kind, kernel, m, n, k = parts[:5]
        rows.setdefault((f"{n[1:]} x {k[1:]}", int(m[1:])), {})[f"{kind}/{kernel}"] = entry
    return context, rows


def cell(entry, with_share):
    if entry is None:
        return "-"
    share = f" ({100 * entry['of_bandwidth']:.0f} %)" if with_share else ""
    return f"{entry['us']:.1f}{share}"


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    context, rows = read(sys.argv[1])
    print(
        f"{context.get('device', '?')} (sm_{context.get('sm', '?')}, {context.get('multiprocessors', '?')} multiprocessors), "
        f"driver {context.get('driver', '?')}, runtime {context.get('runtime', '?')}, reads "
        f"{float(context.get('read_GB/s', 0)):.0f} GB/s; qtk {context.get('qtk', '?')}, {context.get('date', '?')}\n"
    )
    print("Microseconds a call, weights outside the cache; in brackets the share of the read bandwidth that the packed")
    print("weights alone make. The last column is a model of the T4 for W4A16, not measured.\n")
    print("| N x K | M | cuBLAS fp16 | " + " | ".join(KINDS) + " | T4 modelled |")
    print("|---|---|" + "---|" * (len(KINDS) + 2))
    for (layer, m), found in rows.items():
        cells = [cell(found.get("fp16/cublas"), False)]
        cells += [cell(found.get(f"{kind}/auto"), True) for kind in KINDS]
        model = found.get("w4a16/auto")
        cells.append(f"{model['t4_modelled_us']:.0f}" if model else "-")
        print(f"| {layer} | {m} | " + " | ".join(cells) + " |")
    forced = [
        (f"{kind} {kernel}", layer, m, entry)
        for (layer, m), found in rows.items()
        for (kind, _, kernel), entry in ((name.partition("/"), entry) for name, entry in found.items())
        if kernel in ("skinny", "gemm")
    ]
    if forced:
        print("\nKernels that were forced, where the table may want another border:\n")
        print("| kernel | N x K | M | us |\n|---|---|---|---|")
        for name, layer, m, entry in sorted(forced, key=lambda row: (row[0].split()[0], row[1], row[2], row[0])):
            print(f"| {name} | {layer} | {m} | {entry['us']:.1f} |")


if __name__ == "__main__":
    main()
