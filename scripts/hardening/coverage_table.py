#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The share of lines that tests reach, by room, from gcovr's JSON.

    scripts/hardening/coverage_table.py build/coverage/coverage.json

Exit status 1 where all headers together are below 90 % or those of io below 95 %. A line is a line of a function that was
compiled into some test or program: a template that nothing instantiates has no lines.
"""

import json
import sys
from collections import defaultdict

FLOOR, FLOOR_OF_IO = 0.90, 0.95


def main(path):
    lines = defaultdict(dict)  # room -> (file, line) -> was it reached
    for file in json.load(open(path, encoding="utf-8"))["files"]:
        name = file["file"].split("include/qtk/", 1)[1]
        room = name.split("/")[0] if "/" in name else "front"
        for line in file["lines"]:
            if line.get("gcovr/noncode"):
                continue
            place = (name, line["line_number"])
            lines[room][place] = lines[room].get(place, False) or line["count"] > 0
    if not lines:
        print("error: no line of a header in the report", file=sys.stderr)
        return 1
    total = {place: reached for places in lines.values() for place, reached in places.items()}

    def share(places):
        return sum(places.values()) / len(places)

    print(f"{'room':<12} {'lines':>7} {'reached':>8} {'share':>7}")
    for room in sorted(lines):
        print(f"{room:<12} {len(lines[room]):>7} {sum(lines[room].values()):>8} {share(lines[room]):>7.1%}")
    print(f"{'all':<12} {len(total):>7} {sum(total.values()):>8} {share(total):>7.1%}")

    missed = defaultdict(int)
    for (name, _), reached in total.items():
        missed[name] += not reached
    print("most lines missed:")
    for name, count in sorted(missed.items(), key=lambda item: -item[1])[:10]:
        print(f"  {count:>4}  qtk/{name}")

    status = 0
    for what, places, floor in (("include/", total, FLOOR), ("io/", lines.get("io", {}), FLOOR_OF_IO)):
        if places and share(places) < floor:
            print(f"error: {what}: {share(places):.1%} of lines reached, expected at least {floor:.0%}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1]))
