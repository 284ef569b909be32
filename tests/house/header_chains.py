#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Headers in chains, a C++ file each: whoever compiles the files has seen that every header compiles when it comes first.

A chain is a list of headers of which each includes all that the ones before it include. A header that comes first in a
file needs nothing else; one that follows in a chain has only seen what it includes itself. So a chain shows of all its
headers what a file of its own would show of each, in the time of the last one. As few chains as possible: by matching
(Dilworth's theorem for the order of inclusion). CMake makes the chains when it configures: after a change of includes that
matters to them, `cmake BUILD` makes others.

    header_chains.py OUTPUT_FOLDER INCLUDE_FOLDER... < HEADERS    prints the names of the files
"""

import pathlib
import re
import sys


def closures(headers, folders):
    """All that each header includes, itself among it."""
    direct, closed = {}, {}
    pending = list(headers)
    while pending:
        header = pending.pop()
        if header in direct:
            continue
        path = next(f / header for f in folders if (f / header).is_file())
        direct[header] = re.findall(r"^\s*#\s*include <(qtk/[^>]+)>", path.read_text(), re.M)
        pending += direct[header]

    def close(header):
        if header not in closed:
            closed[header] = {header}.union(*map(close, direct[header]))
        return closed[header]

    return {header: close(header) for header in headers}


def chains(closed):
    above = {h: [g for g in closed if closed[h] < closed[g]] for h in closed}
    follows = {}  # the header before each, in its chain

    def place(header, seen):
        for other in above[header]:
            if other not in seen:
                seen.add(other)
                if other not in follows or place(follows[other], seen):
                    follows[other] = header
                    return True
        return False

    for header in closed:
        place(header, set())
    for last in sorted(set(closed) - set(follows.values())):
        chain = [last]
        while chain[0] in follows:
            chain.insert(0, follows[chain[0]])
        yield chain


def main():
    output = pathlib.Path(sys.argv[1])
    output.mkdir(parents=True, exist_ok=True)
    closed = closures(sys.stdin.read().split(), [pathlib.Path(f) for f in sys.argv[2:]])
    for chain in chains(closed):
        file = output / (re.sub(r"\W", "_", chain[-1]) + ".cpp")
        text = "".join(f"#include <{header}>\n" for header in chain)
        if not file.is_file() or file.read_text() != text:
            file.write_text(text)
        print(file)


if __name__ == "__main__":
    main()
