#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What did the benches measure? Merges their JSON and writes the page and the picture of it.

    scripts/performance.py RESULT.json... [--merge FILE] [--page FILE --picture FILE]

A RESULT is what a bench program wrote, or an earlier merge. scripts/bench.sh calls this.
"""

import argparse
import json
import os
import re
import sys
from collections import namedtuple
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))
import roofline  # noqa: E402

SCHEMA = "qtk.bench/1"
HEATS = ("hot", "cold", "l2", "dram")
BASELINES = ("loop", "openblas", "onednn", "float_loop", "memcpy")
REQUIRED = ("limit/read/l2", "limit/read/dram", "limit/peak/fma/portable")
TITLES = {"loop": "plain loop", "float_loop": "plain loop", "openblas": "OpenBLAS", "onednn": "oneDNN"}

# operation/scheme/activation/by/size/heat; `by` is an instruction set or a baseline, `figures` the counters.
Row = namedtuple("Row", "name operation scheme activation by size heat figures")


class Problem(Exception):
    """What is wrong with the input, in one sentence."""


def read_runs(path):
    """The runs in one file: [{program, context, benchmarks}]."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise Problem(f"{path}: cannot be read as JSON: {problem}") from None
    if not isinstance(content, dict):
        raise Problem(f"{path}: expected an object of Google Benchmark or of {SCHEMA}")
    if "schema" in content:
        if content["schema"] != SCHEMA:
            raise Problem(f"{path}: schema is {content['schema']!r}, expected {SCHEMA!r}")
        runs = content.get("runs", [])
    else:
        runs = [content]
    for run in runs:
        if "context" not in run or "benchmarks" not in run:
            raise Problem(f"{path}: no \"context\" or no \"benchmarks\": not the output of a bench program")
        program = Path(run["context"].get("executable", "unknown")).name
        run.setdefault("program", program.removeprefix("qtk_bench_"))
    return runs


def median_rows(run):
    """One entry a name: the median where a bench was repeated."""
    chosen = {}
    for entry in run["benchmarks"]:
        name = entry.get("run_name", entry["name"])
        if entry.get("error_occurred"):
            raise Problem(f"{name}: {entry.get('error_message', 'failed')}")
        if entry.get("run_type") == "aggregate":
            if entry.get("aggregate_name") == "median":
                chosen[name] = entry
        else:
            chosen.setdefault(name, entry)
    return chosen


def parse_row(name, figures):
    parts = [part for part in name.split("/") if not re.match(r"(real_time|threads:|min_time:|repeats:)", part)]
    # Google Benchmark repeats the argument behind names that already say it.
    if len(parts) > 3 and parts[-2] in HEATS and parts[-1] == parts[-3]:
        parts.pop()
    tail = parts.pop() if parts[-1] == "nt" else ""
    heat = parts.pop() if parts[-1] in HEATS else ""
    size = parts.pop() if re.fullmatch(r"\d+(x\d+)*", parts[-1]) else ""
    by = parts.pop() if len(parts) > 1 else ""
    # Only products say what their activations are; elsewhere a scheme may end in its rounding.
    has_activation = is_product(parts[0]) and len(parts) > 2 and by not in BASELINES
    activation = parts.pop() if has_activation else ""
    row = Row(name, parts[0], "/".join(parts[1:]), activation, f"{by}, {tail}" if tail else by, size, heat, figures)
    if is_product(row.operation):
        missing = [counter for counter in ("seconds", "ops_per_second", "bytes_per_second") if counter not in figures]
        if missing or not re.fullmatch(r"\d+x\d+x\d+", size):
            raise Problem(f"{name}: a product needs a size MxNxK and counters seconds, ops_per_second, bytes_per_second"
                          + (f"; missing: {', '.join(missing)}" if missing else ""))
    return row


def is_product(operation):
    return operation.split("_")[0] in ("gemv", "gemm")


def check(runs):
    """Limits by (name, threads) and rows by run. Raises Problem."""
    if not runs:
        raise Problem("no runs: nothing was measured")
    limits, rows = {}, []
    for run in runs:
        context = run["context"]
        if context.get("extent") == "smoke":
            raise Problem(f"{run['program']}: a smoke run (QTK_BENCH=smoke) measures nothing")
        threads = int(context.get("threads", 1))
        own = []
        chosen = median_rows(run)
        missing = [name for name in REQUIRED if name not in chosen]
        if missing:
            raise Problem(
                f"{run['program']}, {threads} thread(s): no row {', '.join(missing)}: without limits a figure says "
                "little. Hint: run without --benchmark_filter, or let it match ^limit/"
            )
        for name, entry in chosen.items():
            if "of_limit" not in entry:
                raise Problem(f"{run['program']}: row {name} has no counter of_limit")
            if name.startswith("limit/"):
                # The program that holds the products divides by its own; its limits are the ones shown.
                if run["program"] == "kernel" or (name, threads) not in limits:
                    limits[name, threads] = entry
            else:
                own.append(parse_row(name, entry))
        rows.append((run["program"], threads, own))
    return limits, rows


def short(value):
    """Three digits that count."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def percent(fraction):
    return f"{100 * fraction:.0f} %" if fraction >= 0.1 else f"{100 * fraction:.1f} %"


def table(head, lines):
    """Markdown; the first column to the left, figures to the right."""
    out = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    out += ["| " + " | ".join(line) + " |" for line in lines]
    return out


def who(row):
    if row.by in TITLES:
        return f"{TITLES[row.by]}, {row.scheme}"
    parts = [f"`{row.scheme}`", row.activation, row.by]
    return ", ".join(part for part in parts if part)


def seconds_of(row):
    """Of one call; where the bench sets no such counter, Google Benchmark's own time, in `time_unit`."""
    if "seconds" in row.figures:
        return row.figures["seconds"]
    unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[row.figures.get("time_unit", "ns")]
    return row.figures["real_time" if "/real_time" in row.name else "cpu_time"] * unit


def families(rows):
    """Rows that differ in size and heat alone, in order of appearance: baselines first."""
    found = {}
    for row in rows:
        found.setdefault((row.by not in BASELINES, row.scheme, row.activation, row.by), []).append(row)
    return [found[key] for key in sorted(found, key=lambda key: (key[0], list(found).index(key)))]


def rows_of_x(row):
    return int(row.size.split("x")[0])


def product_tables(rows):
    """gemv: time, bandwidth and ratios; gemm: operations and ratios over the number of rows of X."""
    out = []
    for ending in sorted({row.operation.split("_", 1)[1] if "_" in row.operation else "" for row in rows}):
        suffix = f"_{ending}" if ending else ""
        if ending == "codes":
            out += ["", "### Canonical codes, not prepacked"]
        part = [row for row in rows if row.operation in ("gemv" + suffix, "gemm" + suffix)]
        # Baselines are rows once; both kinds of weights are compared with them.
        peers = {(row.by, row.size, row.heat): seconds_of(row) for row in rows if row.by in ("openblas", "onednn")}

        def times_faster(row, by, peers=peers):
            peer = peers.get((by, row.size, row.heat))
            return "" if peer is None or row.by in BASELINES else short(peer / seconds_of(row))

        single = [row for row in part if row.size and rows_of_x(row) == 1]
        if single:
            lines = []
            for family in families(single):
                for row in family:
                    lines.append([who(row), row.heat, short(1e3 * seconds_of(row)),
                                  short(row.figures["bytes_per_second"] / 1e9), percent(row.figures["of_limit"]),
                                  times_faster(row, "openblas"), times_faster(row, "onednn")])
            out += ["", f"One row of X ({single[0].size}):", ""]
            out += table(["weights, activations, by", "", "ms", "GB/s", "of limit", "x OpenBLAS", "x oneDNN"], lines)
        several = [row for row in part if row.size and rows_of_x(row) > 1 and row.heat != "cold"]
        if several:
            counts = sorted({rows_of_x(row) for row in several})
            head = ["weights, activations, by"] + [f"M = {m}" for m in counts]
            speeds, ratios = [], []
            for family in families(several):
                by_count = {rows_of_x(row): row for row in family}
                cells = [by_count.get(m) for m in counts]
                speeds.append([who(family[0])] + [
                    "" if row is None else
                    f"{short(row.figures['ops_per_second'] / 1e9)} ({percent(row.figures['of_limit'])})" for row in cells])
                if family[0].by not in BASELINES:
                    ratios.append([who(family[0])] + [
                        "" if row is None else
                        f"{times_faster(row, 'openblas') or '-'} / {times_faster(row, 'onednn') or '-'}".replace("- / -", "")
                        for row in cells])
            layer = several[0].size.split("x", 1)[1]
            out += ["", f"M rows of X ({layer}), weights hot: GOP/s (of limit):", ""] + table(head, speeds)
            if ratios:
                out += ["", "The same, times as fast as OpenBLAS / oneDNN at that M:", ""] + table(head, ratios)
    return out


def span_table(rows):
    """Other operations, over their size: GB/s (of limit; times as fast as the first baseline)."""
    def place(row):
        return tuple(int(part) for part in row.size.split("x") if part), row.size, row.heat

    places = sorted({place(row) for row in rows})
    base = next((row.by for row in rows if row.by in ("float_loop", "loop", "memcpy")), None)
    plain = {place(row): seconds_of(row) for row in rows if row.by == base}
    lines = []
    for family in families(rows):
        by_place = {place(row): row for row in family}
        cells = []
        for at in places:
            row = by_place.get(at)
            if row is None:
                cells.append("")
                continue
            text = f"{short(row.figures['bytes_per_second'] / 1e9)} ({percent(row.figures['of_limit'])}"
            if row.by != base and at in plain:
                text += f"; {short(plain[at] / seconds_of(row))}x"
            cells.append(text + ")")
        parts = [f"`{family[0].scheme}`", family[0].activation, TITLES.get(family[0].by, family[0].by)]
        lines.append([", ".join(part for part in parts if part)] + cells)
    heads = []
    for _, size, heat in places:
        heads.append(" ".join(part for part in (f"{int(size):,}".replace(",", " ") if size.isdigit() else size, heat) if part))
    against = {None: "", "memcpy": "; times as fast as memcpy of as many values"}.get(base, "; times as fast as the plain loop")
    return ["", f"GB/s (of limit{against}):", ""] + table(["scheme, by"] + heads, lines)


def limits_table(limits):
    counts = sorted({threads for _, threads in limits})
    lines = []
    for name in dict.fromkeys(name for name, _ in limits):
        cells = []
        for threads in counts:
            entry = limits.get((name, threads))
            if entry is None:
                cells.append("")
                continue
            unit = "GB/s" if "bytes_per_second" in entry else "GOP/s"
            cells.append(f"{short(entry['limit'] / 1e9)} {unit} ({percent(entry['of_limit'])})")
        lines.append([f"`{name}`"] + cells)
    return table(["limit"] + [f"{n} thread{'s' if n > 1 else ''}" for n in counts], lines)


def cache_text(context):
    sizes = {}
    for cache in context.get("caches", []):
        if cache["type"] != "Instruction":
            sizes[cache["level"]] = cache["size"]
    return ", ".join(f"L{level} {size // 1024} KiB" if size < 1 << 20 else f"L{level} {size / (1 << 20):g} MiB"
                     for level, size in sorted(sizes.items()))


def page_text(runs, picture):
    limits, rows = check(runs)
    context = next((run["context"] for run in runs if run["program"] == "kernel"), runs[0]["context"])
    quick = any(run["context"].get("extent") == "quick" for run in runs)
    facts = [
        ("processor", f"{context.get('processor', 'unknown')}, {context.get('num_cpus', '?')} cores seen"),
        ("caches", cache_text(context)),
        ("instruction set", context.get("isa", "unknown")),
        ("compiler", f"{context.get('compiler', 'unknown')}, `{context.get('flags', '')}`"),
        ("qtk", f"{context.get('qtk', 'unknown')}, commit {context.get('commit', 'unknown')}"),
        ("date", context.get("date", "unknown")[:10]),
        ("OpenBLAS", context.get("openblas", "not installed: no rows")),
        ("oneDNN", context.get("onednn", "not installed: no rows")),
    ]
    out = [
        "# Performance",
        "",
        "Written by `scripts/bench.sh`" + (" --quick: fewer sizes, shorter runs." if quick else "; do not edit.")
        + " All figures are of one run on one machine.",
        "",
        "| | |",
        "|---|---|",
    ]
    out += [f"| {name} | {value} |" for name, value in facts]
    out += [
        "",
        "*Of limit* divides by what the same program measured when it started: the time that a call takes at least, the",
        "larger of its bytes over that memory's bandwidth and its operations over that instruction set's peak, over the",
        "time that it took. *Hot*: the operands were used just before, and the bandwidth is that of the smallest cache that",
        "holds them all, or of DRAM. *Cold*: copies take turns, so that each comes from DRAM. A multiplication and an",
        "addition are two operations. Times are medians; of one thread, processor time. Activations start as floats, and",
        "their quantization is timed; oneDNN is handed codes.",
        "",
        f"![Roofline of the products]({picture})",
        "",
        "## Limits",
        "",
        "Measured at the start; in brackets what the same loop reached again as a row, 100 % on a machine at rest. Two",
        "threads count together. `portable` is what the compile flags give without intrinsics.",
        "",
    ]
    out += limits_table(limits)
    for threads in sorted({threads for _, threads, _ in rows}):
        everything = [row for _, count, own in rows if count == threads for row in own]
        products = [row for row in everything if is_product(row.operation)]
        named = f"{threads} thread{'s' if threads > 1 else ''}"
        if products:
            out += ["", f"## Products Y = X W^T, {named}"] + product_tables(products)
        for operation in dict.fromkeys(row.operation for row in everything if row not in products):
            spans = [row for row in everything if row.operation == operation]
            out += ["", f"## {operation.capitalize()}, {named}"] + span_table(spans)
    return "\n".join(out) + "\n"


def picture_text(runs):
    limits, rows = check(runs)
    one = {name: entry["limit"] for (name, threads), entry in limits.items() if threads == 1}
    if not one:
        raise Problem("no run with one thread: the picture shows one")
    # L2 lies close to L3 and holds no weights: it is drawn where there is nothing between it and DRAM.
    cache = ("L3", "limit/read/l3") if "limit/read/l3" in one else ("L2", "limit/read/l2")
    slopes = [(label, one[name]) for label, name in (cache, ("DRAM", "limit/read/dram"))]
    peaks = []
    for label, names in (("f32 FMA", ("fma/avx512", "fma/avx2", "fma/portable")),
                         ("int8 VNNI", ("vnni/avx512", "vnni/avx2")),
                         ("int8 AMX", ("amx/int8",))):
        found = [one[f"limit/peak/{name}"] for name in names if f"limit/peak/{name}" in one]
        if found:
            peaks.append((label, max(found)))
    isa = next((run["context"].get("isa") for run in runs if run["program"] == "kernel"), None)
    # GGUF's types and unpacked floats stay in the tables: no picture has room for more lines.
    lines = []
    for _, threads, own in rows:
        shown = [row for row in own if threads == 1 and row.operation in ("gemv", "gemm") and row.heat != "cold"
                 and (row.by in BASELINES or row.by == isa and "/" in row.scheme)]
        for family in families(shown):
            points = [(row.figures["ops_per_second"] / row.figures["bytes_per_second"], row.figures["ops_per_second"])
                      for row in sorted(family, key=rows_of_x)]
            lines.append((who(family[0]).replace("`", ""), family[0].by in BASELINES, points))
    return roofline.draw(slopes, peaks, lines)


def write(path, text):
    """Whole or not at all."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as problem:
        raise Problem(f"{path}: cannot be written: {problem.strerror}") from None


def main():
    parser = argparse.ArgumentParser(description="Merges the JSON of bench programs; writes the page and the picture.")
    parser.add_argument("results", nargs="+", metavar="RESULT.json")
    parser.add_argument("--merge", metavar="FILE", help="write one JSON file with all runs")
    parser.add_argument("--page", metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--picture", metavar="FILE", help="write the roofline as SVG")
    options = parser.parse_args()
    if options.page and not options.picture:
        parser.error("--page shows the picture: name it with --picture FILE")
    try:
        runs = [run for path in options.results for run in read_runs(path)]
        if options.merge:
            write(options.merge, json.dumps({"schema": SCHEMA, "runs": runs}, indent=1) + "\n")
        # Both are made before one is written.
        texts = []
        if options.page:
            picture = os.path.relpath(options.picture, Path(options.page).parent or ".")
            texts.append((options.page, page_text(runs, picture)))
        if options.picture:
            texts.append((options.picture, picture_text(runs)))
        for path, text in texts:
            write(path, text)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
