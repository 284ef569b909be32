#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is every C++ file formatted? Changes nothing; `--fix` does.

    scripts/check_format.py [CLANG_FORMAT] [--fix]

Exit status 77 (skipped) where clang-format 14 is not installed.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("include", "cuda", "tests", "bench", "examples")
WRITTEN_FOR = "14"


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--fix"]
    tool = shutil.which(arguments[0] if arguments else "clang-format-14") or shutil.which("clang-format")
    if tool is None:
        print("skipped: clang-format is not installed")
        return 77
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    major = re.search(r"version (\d+)\.", version)
    if major is None or major[1] != WRITTEN_FOR:
        print(f"skipped: clang-format {WRITTEN_FOR} decides, but this is {version.strip()}")
        return 77
    files = sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".hpp", ".cpp", ".cuh", ".cu") and "build" not in path.relative_to(ROOT).parts
    )
    mode = ["-i"] if "--fix" in sys.argv[1:] else ["--dry-run", "-Werror"]
    done = subprocess.run([tool, *mode, *map(str, files)], cwd=ROOT)
    print(f"{len(files)} files {'formatted' if done.returncode == 0 else 'looked at'}")
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
