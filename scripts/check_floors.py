#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the house stand?

A header includes its own floor or a lower one, and every header has its four places: the folder,
the test of its name, the line in docs/reference/headers.md and the line in cmake/headers.cmake.
Needs only the standard library. Exit status 0: it stands; 1: every complaint was printed.

    scripts/check_floors.py [ROOT]      check the tree at ROOT (default: this checkout)
    scripts/check_floors.py --self-test damage a small tree in every known way and see each noticed
"""

import re
import sys
import tempfile
from pathlib import Path

FLOOR_OF_ROOM = {
    "core": 0,
    "format": 1,
    "range": 2,
    "quantizer": 2,
    "kernel": 3,
    "math": 3,
    "cuda": 3,
    "method": 4,
    "torch": 4,
    "xtensor": 4,
    "io": 5,
    "model": 5,
    "energy": 5,
    "stats": 5,
    "eval": 6,
    "calibration": 6,
}
# Headers that lie directly in include/qtk, and the room that they belong to.
ROOM_OF_FRONT = {
    "version": "core",
    "quantize": "method",
    "quantize_any": "method",
    "xtensor": "xtensor",
}
# The only headers that may name one of xtensor's.
MAY_NAME_XTENSOR = {"qtk/xtensor.hpp", "qtk/xtensor/compat.hpp"}
# What the compiler or the kernel of the system brings besides the C++ standard library.
SYSTEM_HEADERS = {"immintrin.h", "cpuid.h", "arm_neon.h", "omp.h", "sys/mman.h", "sys/syscall.h", "unistd.h"}
# What single rooms take besides: a BLAS where the program links one.
ROOM_HEADERS = {"math": {"cblas.h"}}
# Where headers lie.
ROOTS = ("include", "cuda/include")
# What the room `cuda` takes besides.
CUDA_HEADERS = {"cuda_fp16.h", "cuda_runtime.h", "ucontext.h"}
# Folders of the room `kernel`: namesakes in them are one kernel, and share one test.
INSTRUCTION_SETS = {"portable", "avx2", "avx512", "amx"}
SHORTEST, LONGEST = 60, 350

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
SPDX = "// SPDX-License-Identifier: Apache-2.0"


def room_of(header):
    """The room of `qtk/<room>/<name>.hpp`, of a kernel `qtk/kernel/<instruction set>/<name>.hpp`
    or of a front header; None where there is none."""
    parts = Path(header).parts
    if len(parts) == 2:
        return ROOM_OF_FRONT.get(Path(header).stem)
    if len(parts) == 4:
        return "kernel" if parts[1] == "kernel" and parts[2] in INSTRUCTION_SETS else None
    return parts[1] if len(parts) == 3 and parts[1] in FLOOR_OF_ROOM else None


def includes(text):
    return [(quote == "<", name) for quote, name in INCLUDE.findall(text)]


def check_header(header, text):
    """Complaints about one header's own text."""
    room = room_of(header)
    if room is None:
        yield f"{header}: belongs to no room; the rooms are {', '.join(FLOOR_OF_ROOM)}"
        return
    floor = FLOOR_OF_ROOM[room]
    lines = text.splitlines()
    if not lines or lines[0] != SPDX:
        yield f"{header}: the first line must be `{SPDX}`"
    if "#pragma once" not in lines:
        yield f"{header}: `#pragma once` is missing"
    if len(lines) > LONGEST:
        yield f"{header}: {len(lines)} lines, more than {LONGEST}; split it by idea"
    for angled, name in includes(text):
        if not angled:
            yield f'{header}: includes "{name}"; write <{name}>'
        elif name.startswith("qtk/"):
            other = room_of(name)
            if other is None:
                yield f"{header}: includes <{name}>, which belongs to no room"
            elif FLOOR_OF_ROOM[other] > floor:
                yield (
                    f"{header}: floor {floor} ({room}) includes <{name}> "
                    f"of floor {FLOOR_OF_ROOM[other]} ({other})"
                )
        elif name.startswith(("xtensor/", "xtl/")):
            if header not in MAY_NAME_XTENSOR:
                yield f"{header}: names <{name}>; only {' and '.join(sorted(MAY_NAME_XTENSOR))} may"
        elif floor <= 3 and "." in name and name not in SYSTEM_HEADERS:
            is_of_cuda = room == "cuda" and (name in CUDA_HEADERS or name.startswith("cub/"))
            is_of_room = is_of_cuda or name in ROOM_HEADERS.get(room, ())
            if not (room == "kernel" and name.startswith("xsimd/")) and not is_of_room:
                yield f"{header}: floor {floor} ({room}) includes <{name}>; it needs the standard library only"


def reaches_xtensor(header, texts):
    """The chain of headers from `header` to one of xtensor's, or None."""
    chains, seen = [[header]], {header}
    while chains:
        chain = chains.pop()
        for angled, name in includes(texts[chain[-1]]):
            if name.startswith("xtensor/"):
                return chain + [name]
            if name in texts and name not in seen:
                seen.add(name)
                chains.append(chain + [name])
    return None


def check_lists(root, headers):
    """Complaints about headers that are missing from a list, and lists that name no header."""
    listed = []
    for block in (root / "cmake/headers.cmake").read_text().split("set("):
        names = re.findall(r"qtk/[\w/]+\.hpp", block)
        listed += names
        if names != sorted(names):
            yield "cmake/headers.cmake: the list is not sorted"
    documented, section = {}, ""
    for line in (root / "docs/reference/headers.md").read_text().splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        elif entry := re.match(r"\| `(qtk/[\w/]+\.hpp)` \| (.*) \|$", line):
            documented[entry[1]] = section
            if not entry[2].strip():
                yield f"docs/reference/headers.md: {entry[1]} has no sentence"
    for where, names in (("cmake/headers.cmake", listed), ("docs/reference/headers.md", documented)):
        for header in sorted(set(headers) - set(names)):
            yield f"{header}: missing from {where}"
        for header in sorted(set(names) - set(headers)):
            yield f"{where}: lists {header}, which does not exist"
    for header, section in documented.items():
        if header in headers and section != room_of(header):
            yield f"docs/reference/headers.md: {header} stands under `{section}`, not `{room_of(header)}`"


def check_tests(root, headers):
    """Complaints about headers without a test, and about sources that no CMakeLists.txt builds."""
    for header in headers:
        room = room_of(header)
        if room is None:
            continue
        test = root / "tests" / room / f"{Path(header).stem}_test.cpp"
        if not test.exists():
            yield f"{header}: its test tests/{room}/{test.name} is missing"
            continue
        if header not in {name for _, name in includes(test.read_text())}:
            yield f"tests/{room}/{test.name}: must include <{header}>"
    for pattern in ("tests/*/*.cpp", "bench/*/*.cpp", "examples/*.cpp"):
        for source in sorted(root.glob(pattern)):
            if source.parent.name in ("support", "fuzz", "consumer"):
                continue
            build = source.parent / "CMakeLists.txt"
            name = source.stem if pattern == "examples/*.cpp" else source.name
            if not build.exists() or not re.search(rf"\b{re.escape(name)}\b", build.read_text()):
                yield f"{source.relative_to(root)}: {build.relative_to(root)} does not build it"


def check(root):
    """All complaints about the tree, and the remarks that do not fail it."""
    texts = {
        str(path.relative_to(root / folder)): path.read_text()
        for folder in ROOTS
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }
    complaints, remarks = [], []
    for header, text in texts.items():
        complaints += check_header(header, text)
        if text.count("\n") < SHORTEST:
            remarks.append(f"{header}: {text.count(chr(10))} lines, fewer than {SHORTEST}")
        room = room_of(header)
        if room is not None and FLOOR_OF_ROOM[room] <= 3:
            if chain := reaches_xtensor(header, texts):
                complaints.append(f"{header}: reaches xtensor through {' -> '.join(chain[1:])}")
    complaints += check_lists(root, list(texts))
    complaints += check_tests(root, list(texts))
    return texts, complaints, remarks


def small_house(root):
    """A tree with two headers that check() accepts; returns a writer of further files."""

    def write(name, text):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def header(*names):
        return f"{SPDX}\n#pragma once\n" + "".join(f"#include <{name}>\n" for name in names)

    write("include/qtk/core/a.hpp", header("vector"))
    write("include/qtk/kernel/k.hpp", header("qtk/core/a.hpp", "xsimd/xsimd.hpp", "immintrin.h"))
    write("include/qtk/xtensor.hpp", header("qtk/kernel/k.hpp", "xtensor/xtensor.hpp"))
    write("cmake/headers.cmake", "qtk/core/a.hpp\nqtk/kernel/k.hpp\nqtk/xtensor.hpp\n")
    write(
        "docs/reference/headers.md",
        "## core\n| `qtk/core/a.hpp` | a |\n## kernel\n| `qtk/kernel/k.hpp` | k |\n"
        "## xtensor\n| `qtk/xtensor.hpp` | x |\n",
    )
    for room, name, first in (
        ("core", "a", "qtk/core/a.hpp"),
        ("kernel", "k", "qtk/kernel/k.hpp"),
        ("xtensor", "xtensor", "qtk/xtensor.hpp"),
    ):
        write(f"tests/{room}/{name}_test.cpp", f"#include <{first}>\n")
        write(f"tests/{room}/CMakeLists.txt", f"SOURCES {name}_test.cpp\n")
    write("examples/01_first.cpp", "int main() {}\n")
    write("examples/CMakeLists.txt", "qtk_add_example(01_first)\n")
    return write, header


# What is done to the small house, and a part of the sentence that must come back.
DAMAGE = {
    "a lower floor includes a higher one": (
        lambda write, header: write("include/qtk/core/a.hpp", header("qtk/kernel/k.hpp")),
        "core/a.hpp: floor 0 (core) includes <qtk/kernel/k.hpp>",
    ),
    "an include hides behind blanks": (
        lambda write, header: write(
            "include/qtk/core/a.hpp", header() + "  #  include   <qtk/kernel/k.hpp>\n"
        ),
        "floor 0 (core) includes <qtk/kernel/k.hpp>",
    ),
    "a kernel names xtensor": (
        lambda write, header: write("include/qtk/kernel/k.hpp", header("xtensor/xtensor.hpp")),
        "kernel/k.hpp: names <xtensor/xtensor.hpp>",
    ),
    "a kernel reaches xtensor through the bridge": (
        lambda write, header: write("include/qtk/kernel/k.hpp", header("qtk/xtensor.hpp")),
        "kernel/k.hpp: reaches xtensor through qtk/xtensor.hpp -> xtensor/xtensor.hpp",
    ),
    "the core takes a third-party header": (
        lambda write, header: write("include/qtk/core/a.hpp", header("fmt/format.h")),
        "includes <fmt/format.h>; it needs the standard library only",
    ),
    "the core takes xsimd": (
        lambda write, header: write("include/qtk/core/a.hpp", header("xsimd/xsimd.hpp")),
        "includes <xsimd/xsimd.hpp>",
    ),
    "a quoted include": (
        lambda write, header: write("include/qtk/core/a.hpp", header() + '#include "b.hpp"\n'),
        'includes "b.hpp"',
    ),
    "no licence line": (
        lambda write, header: write("include/qtk/core/a.hpp", "#pragma once\n"),
        "the first line must be",
    ),
    "no include guard": (
        lambda write, header: write("include/qtk/core/a.hpp", SPDX + "\n"),
        "`#pragma once` is missing",
    ),
    "a header of 351 lines": (
        lambda write, header: write("include/qtk/core/a.hpp", header() + "\n" * 349),
        "351 lines, more than 350",
    ),
    "a room that does not exist": (
        lambda write, header: write("include/qtk/cellar/a.hpp", header()),
        "cellar/a.hpp: belongs to no room",
    ),
    "a header that CMake does not know": (
        lambda write, header: write("cmake/headers.cmake", "qtk/core/a.hpp\nqtk/xtensor.hpp\n"),
        "kernel/k.hpp: missing from cmake/headers.cmake",
    ),
    "a CMake line without a header": (
        lambda write, header: write(
            "cmake/headers.cmake",
            "qtk/core/a.hpp\nqtk/core/b.hpp\nqtk/kernel/k.hpp\nqtk/xtensor.hpp\n",
        ),
        "lists qtk/core/b.hpp, which does not exist",
    ),
    "an unsorted CMake list": (
        lambda write, header: write(
            "cmake/headers.cmake", "qtk/kernel/k.hpp\nqtk/core/a.hpp\nqtk/xtensor.hpp\n"
        ),
        "the list is not sorted",
    ),
    "a docs line in the wrong room": (
        lambda write, header: write(
            "docs/reference/headers.md",
            "## core\n| `qtk/core/a.hpp` | a |\n| `qtk/kernel/k.hpp` | k |\n"
            "## xtensor\n| `qtk/xtensor.hpp` | x |\n",
        ),
        "stands under `core`, not `kernel`",
    ),
    "no docs line": (
        lambda write, header: write("docs/reference/headers.md", "## core\n| `qtk/core/a.hpp` | a |\n"),
        "kernel/k.hpp: missing from docs/reference/headers.md",
    ),
    "a header without a test": (
        lambda write, header: (
            write("include/qtk/core/b.hpp", header()),
            write("tests/core/CMakeLists.txt", "SOURCES a_test.cpp b_test.cpp\n"),
        ),
        "core/b.hpp: its test tests/core/b_test.cpp is missing",
    ),
    "a test that does not include its header": (
        lambda write, header: write("tests/core/a_test.cpp", "#include <vector>\n"),
        "must include <qtk/core/a.hpp>",
    ),
    "a test that is not built": (
        lambda write, header: write("tests/core/other_test.cpp", "#include <qtk/core/a.hpp>\n"),
        "tests/core/CMakeLists.txt does not build it",
    ),
    "an example that is not built": (
        lambda write, header: write("examples/02_second.cpp", "int main() {}\n"),
        "examples/CMakeLists.txt does not build it",
    ),
}


def self_test():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        small_house(Path(folder))
        if complaints := check(Path(folder))[1]:
            failures += 1
            print(f"the sound house is refused: {complaints}")
    for name, (damage, expected) in DAMAGE.items():
        with tempfile.TemporaryDirectory() as folder:
            damage(*small_house(Path(folder)))
            complaints = check(Path(folder))[1]
            if not any(expected in complaint for complaint in complaints):
                failures += 1
                print(f"{name}: not noticed; complaints: {complaints}")
    print(f"self-test: {len(DAMAGE)} kinds of damage, {failures} failures")
    return 1 if failures else 0


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return self_test()
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    texts, complaints, remarks = check(root)
    for line in remarks:
        print(f"remark: {line}")
    for line in complaints:
        print(f"error: {line}")
    within = len(texts) - len(remarks)
    print(f"{len(texts)} headers, {within} of {SHORTEST} lines or more, {len(complaints)} errors")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
