#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes include/qtk/io/normal_form_tables.hpp from the Unicode data that Python ships.

    scripts/make_normal_form_tables.py      writes the header; then run scripts/check_format.py --fix
"""

import unicodedata as u
from pathlib import Path

HEADER = Path(__file__).resolve().parent.parent / "include/qtk/io/normal_form_tables.hpp"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def runs(value_of):
    """Flat [first, last, value, ...] of the runs of code points whose value is not 0."""
    found = []
    for c in CODE_POINTS:
        value = value_of(c)
        if not value:
            continue
        if found and found[-1][1] == c - 1 and found[-1][2] == value:
            found[-1][1] = c
        else:
            found.append([c, c, value])
    return found


def composed():
    """(first, second, both) for the primary composites, without Hangul."""
    for c in CODE_POINTS:
        parts = u.decomposition(chr(c))
        if parts and not parts.startswith("<") and " " in parts and u.normalize("NFC", chr(c)) == chr(c):
            yield (*(int(part, 16) for part in parts.split()), c)


def table(name, kind, rows):
    numbers = ", ".join(str(number) for row in rows for number in row)
    size = len(rows)
    width = len(rows[0])
    return f"inline constexpr std::array<{kind}, {size * width}> {name}{{{numbers}}};\n"


def main():
    changed = [row[:2] for row in runs(lambda c: u.normalize("NFC", chr(c)) != chr(c))]
    pairs = sorted(composed())
    HEADER.write_text(
        f"""// SPDX-License-Identifier: Apache-2.0
//
// Which characters does Unicode's normal form C change or move? Tables of Unicode {u.unidata_version}, written by
// scripts/make_normal_form_tables.py; normal_form_c.hpp reads them.
#pragma once

#include <array>
#include <cstdint>

namespace qtk::detail {{

/// Characters that are never in normal form C: first and last of each run.
{table("nfc_changed", "std::uint32_t", changed)}
/// Canonical combining classes other than 0: first and last of each run, and the class.
{table("combining_classes", "std::uint32_t", runs(lambda c: u.combining(chr(c))))}
/// Characters that compose, sorted: first, second, and the one that they become; without Hangul.
{table("composed_small", "char16_t", [p for p in pairs if max(p) < 0x10000])}
{table("composed_large", "std::uint32_t", [p for p in pairs if max(p) >= 0x10000])}
}}  // namespace qtk::detail
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
