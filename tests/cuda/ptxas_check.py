#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do the kernels fit a T4? Compiles every instantiation in kernels.cu for sm_75 and reads what ptxas
says: no kernel spills registers, and each stays under the ceiling that leaves room for the warps
that its loads need. Where a disassembler is at hand, the instructions are looked at as well.

    ptxas_check.py --nvcc NVCC --include DIR... [--nvdisasm NVDISASM] kernels.cu
    ptxas_check.py --self-test

Exit status 77 (skipped) where there is no nvcc.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Registers a thread, by a part of the mangled name: 64 leave room for 1024 threads, all that an SM of Turing
# holds; 128 for two blocks of 256.
CEILINGS = {"skinny_w4a16ILb0ELj1": 64, "skinny_w4a16ILb1ELj1": 64, "skinny_w4a16": 128, "gemm_w4a16": 128,
            "gemm_integer": 128, "skinny_integer": 64, "quantize_rows": 48, "mark_outliers": 32,
            "list_outliers": 32, "fit_weight": 48, "encode_weight": 64,
            "repack_codes": 64, "repack_params": 64, "restore_codes": 64, "restore_params": 64}
# What a kernel must consist of, and what none may contain (local memory: spills, arrays by index).
INSTRUCTIONS = {
    "skinny_w4a16": [r"HMMA\.1688\.F32", r"LDG\.E\.\S*128"],
    "gemm_w4a16": [r"HMMA\.1688\.F32", r"LDG\.E\.\S*128", r"LDS\.\S*128"],
    "gemm_integer": [r"IMMA\.(8816\.U8\.S8|8832\.U4\.S4)", r"LDG\.E\.\S*128", r"LDS\.\S*128"],
    "skinny_integer": [r"IMMA\.(8816\.U8\.S8|8832\.U4\.S4)|IDP\.4A\.U8\.S8", r"LDG\.E\.\S*128"],
}
FORBIDDEN = r"\b(LDL|STL)\b"

ENTRY = re.compile(r"Compiling entry function '(\w+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")


def kernel_of(symbol):
    """The name in CEILINGS that a mangled symbol holds; the longest if there are several."""
    return max((name for name in CEILINGS if name in symbol), key=len, default=None)


def complaints_of(log):
    """What is wrong with the kernels in ptxas's output, and how many kernels there are."""
    found, symbol, seen = [], None, set()
    for line in log.splitlines():
        if match := ENTRY.search(line):
            symbol = match[1]
            seen.add(symbol)
            if kernel_of(symbol) is None:
                found.append(f"{symbol}: has no ceiling in CEILINGS")
        elif match := SPILLS.search(line):
            if any(int(number) for number in match.groups()):
                found.append(f"{symbol}: {match[0]}")
        elif match := REGISTERS.search(line):
            name = kernel_of(symbol or "")
            if name and int(match[1]) > CEILINGS[name]:
                found.append(f"{symbol}: {match[1]} registers, more than {CEILINGS[name]}")
    for name in CEILINGS:
        if not any(kernel_of(symbol) == name for symbol in seen):
            found.append(f"{name}: kernels.cu instantiates none")
    return found, len(seen)


def sass_complaints(sass):
    """What is wrong with the instructions."""
    found = []
    for block in re.split(r"^\s*\.section\s+\.text\.", sass, flags=re.MULTILINE)[1:]:
        symbol = re.match(r"\w+", block)[0]
        for pattern in [each for name in INSTRUCTIONS if name in symbol for each in INSTRUCTIONS[name]]:
            if not re.search(pattern, block):
                found.append(f"{symbol}: no instruction {pattern}")
        if match := re.search(FORBIDDEN, block):
            found.append(f"{symbol}: {match[0]}")
    return found


def self_test():
    sound = "".join(
        f"ptxas info : Compiling entry function 'f_{name}' for 'sm_75'\n"
        "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        f"ptxas info : Used {most} registers, used 1 barriers\n"
        for name, most in CEILINGS.items()
    )
    assert complaints_of(sound) == ([], len(CEILINGS))
    assert "registers" in complaints_of(sound.replace("64 reg", "65 reg"))[0][0]
    assert "spill" in complaints_of(sound.replace("0 bytes spill stores", "8 bytes spill stores"))[0][0]
    assert "instantiates none" in complaints_of("")[0][0]
    assert "no ceiling" in complaints_of(sound.replace("quantize_rows", "other"))[0][0]
    section = "\t.section\t.text.f12skinny_w4a16\nHMMA.1688.F32 R1 ;\nLDG.E.EF.128.SYS R4 ;\n"
    assert sass_complaints(section) == []
    assert "HMMA" in sass_complaints(section.replace("HMMA", "FFMA"))[0]
    assert "LDL" in sass_complaints(section + "LDL R0, [R1] ;\n")[0]
    print("self-test: every damage is noticed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--nvdisasm", default="nvdisasm")
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("source", nargs="?")
    options = parser.parse_args()
    if options.self_test:
        self_test()
        return 0
    nvcc = shutil.which(options.nvcc)
    if nvcc is None:
        print("skipped: nvcc was not found; CUDA kernels were not compiled")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernels.cubin"
        includes = [f"-I{path}" for path in options.include]
        done = subprocess.run(
            [nvcc, "-std=c++20", "-arch=sm_75", "-cubin", "-Xptxas", "-v", "--Werror", "all-warnings",
             *includes, options.source, "-o", cubin],
            capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stdout + done.stderr)
            return 1
        found, count = complaints_of(done.stdout + done.stderr)
        disassembler, looked = shutil.which(options.nvdisasm), "no disassembler"
        if disassembler:
            sass = subprocess.run([disassembler, cubin], capture_output=True, text=True, check=True)
            found += sass_complaints(sass.stdout)
            looked = "instructions looked at"
    for line in found:
        print(f"error: {line}")
    print(f"{count} kernels for sm_75, {looked}, {len(found)} errors")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
