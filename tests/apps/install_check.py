#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the component `programs` install the programs, and beside each what it says about itself?

    install_check.py PREFIX PROGRAM...
"""
import os
import pathlib
import subprocess
import sys

prefix, failures, expected = pathlib.Path(sys.argv[1]), [], set()
for program in sys.argv[2:]:
    name = os.path.basename(program)
    files = {
        "share/man/man1/" + name + ".1": ["man"],
        "share/bash-completion/completions/" + name: ["completion", "bash"],
        "share/zsh/site-functions/_" + name: ["completion", "zsh"],
        "share/fish/vendor_completions.d/" + name + ".fish": ["completion", "fish"],
        "bin/" + name: None,
    }
    expected |= set(files)
    for path, arguments in files.items():
        if not (prefix / path).is_file():
            failures.append(f"{path} is not there")
        elif arguments:
            said = subprocess.run([prefix / "bin" / name, *arguments], capture_output=True, text=True, check=True).stdout
            if (prefix / path).read_text() != said:
                failures.append(f"{path} is not what {name} {' '.join(arguments)} prints")
found = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
failures += [f"{path} is no part of the programs" for path in sorted(found - expected)]
for failure in failures:
    print(f"error: {failure}", file=sys.stderr)
sys.exit(1 if failures else 0)
