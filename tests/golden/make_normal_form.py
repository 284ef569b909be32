#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which texts does Python's unicodedata call composed? Writes tests/golden/normal_form_c.json: the
texts that are in normal form C, and those that are not, drawn from characters that meet in marks."""

import json
import random
import unicodedata as u
from pathlib import Path

HERE = Path(__file__).resolve().parent
MARKS = [c for c in range(0x300, 0x11000) if u.combining(chr(c))]
COMMON = [0x300, 0x301, 0x302, 0x303, 0x306, 0x307, 0x308, 0x30A, 0x30C, 0x31B, 0x323, 0x327, 0x328, 0x345]
INDIC = [0x9BE, 0x9C7, 0x9D7, 0xB3E, 0xBBE, 0xCD5, 0xDCF, 0x1025, 0x102E, 0x93C, 0x928, 0x921, 0x94D]
EAST = [0x1100, 0x1161, 0x11A8, 0x11A7, 0xAC00, 0xAC01, 0x304B, 0x3099, 0x309A, 0x6587, 0xF900]
SEMITIC = [0x5D0, 0x5B7, 0x5BC, 0x5C1, 0x627, 0x653, 0x654, 0x655, 0x64E, 0x651, 0xFB2E]
LARGE = [0x11099, 0x110BA, 0x1D15E, 0x11131, 0x11127, 0x1F600]
LATIN = [ord(c) for c in "aeouAEOnsdg ẹéèâấơựǻșş"]
SETS = [LATIN + COMMON, LATIN + MARKS, INDIC + [0x301], EAST, SEMITIC + [0x5B0, 0x670], LARGE + COMMON]


def main():
    draw = random.Random(15)
    found = {True: set(), False: set()}
    for n in range(12000):
        letters = SETS[n % len(SETS)]
        text = "".join(chr(draw.choice(letters)) for _ in range(draw.randint(1, 5)))
        same = u.normalize("NFC", text) == text
        if len(found[same]) < 1200:
            found[same].add(text)
    content = {
        "by": f"Python's unicodedata, Unicode {u.unidata_version}",
        "composed": sorted(found[True]),
        "others": sorted(found[False]),
    }
    (HERE / "normal_form_c.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
