#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is anything written that the parsers' and writers' rules forbid?

Reads headers and programs as text, without comments and literals: what a grep can see of the rules, before a
compiler or an analyser is asked. Needs only the standard library. Exit status 0: nothing; 1: every complaint was
printed with its place and the reason of the rule.

    scripts/check_rules.py [ROOT]       check the tree at ROOT (default: this checkout)
    scripts/check_rules.py --self-test  break each rule once in a small tree and see it noticed
"""

import re
import sys
import tempfile
from pathlib import Path

ROOTS = ("include/qtk", "cuda/include/qtk", "examples/apps")
HEADERS = ("include/qtk/", "cuda/include/qtk/")
# Where values are read that nobody vouches for.
FILES = ("include/qtk/io/", "include/qtk/model/")
READERS = ("include/qtk/io/",)

# name, where (prefixes of paths), the words, what around them must not be found, why.
RULES = (
    ("assert", ROOTS, "assert", r"\b{words}\s*\(",
     "an assert is gone under NDEBUG: throw, or QTK_EXPECTS for what a caller owes"),
    ("assert", ROOTS, "cassert assert", r"<{words}(?:\.h)?>", "throw, or QTK_EXPECTS for what a caller owes"),
    ("lenient number", ROOTS,
     "stoi stol stoul stoll stoull stof stod stold atoi atol atoll atof strtol strtoul strtoll strtoull strtof strtod "
     "strtold strtoimax strtoumax scanf sscanf fscanf vsscanf",
     r"\b{words}\s*\(", "takes a sign, blanks and what follows the digits: std::from_chars on the whole text"),
    ("regex", ROOTS, "regex wregex basic_regex regex_match regex_search", r"\bstd::{words}\b|<{words}>",
     "recurses by the length of its input: PCRE2 with limits, or a loop"),
    ("unbounded C", ROOTS,
     "sprintf vsprintf strcpy strcat strncpy strncat strtok gets alloca tmpnam tempnam mktemp popen system rand srand "
     "setjmp longjmp",
     r"\b{words}\s*\(", "has no bound, a race or a hidden state"),
    ("unbounded C", ROOTS, "goto", r"\b{words}\b", "a loop, or a function"),
    ("namespace", ROOTS, "namespace", r"\busing\s+{words}\b", "a header's names are its own"),
    ("raw memory", ROOTS, "malloc calloc realloc", r"\b{words}\s*\(",
     "memory belongs to an object: a container or a unique_ptr"),
    ("raw memory", ROOTS, "delete", r"\b{words}\b(?!\s*[;,)])",
     "memory belongs to an object: a container or a unique_ptr"),
    ("console", HEADERS, "cout cerr clog", r"\bstd::{words}\b", "the library throws, and programs report"),
    ("console", HEADERS, "printf fprintf puts putchar", r"\b{words}\s*\(", "the library throws, and programs report"),
    ("exit", HEADERS, "exit quick_exit _exit", r"(?<![\w.>]){words}\s*\(", "the library does not end programs"),
    ("file access", FILES, "fstream ifstream ofstream fopen freopen", r"\b{words}\b",
     "files are read through mapped_file and written through atomic_file or staged_file"),
    ("contract", READERS, "QTK_EXPECTS", r"\b{words}\s*\(", "a file's value is no precondition: throw io_error"),
    ("unaligned load", READERS, "reinterpret_cast",
     r"\b{words}<\s*(?!(?:char|unsigned char|std::byte|std::uint8_t|PCRE2_SPTR8|PCRE2_UCHAR8|stbi_uc)\b)",
     "bytes of a file lie at any address: load_little_endian"),
    ("swallowed", ROOTS, "bad_alloc", r"\bcatch\s*\(\s*(?:std::)?{words}\b",
     "memory that is out is reported at the programs' edge"),
)
RULES = tuple(
    (name, where, set(words.split()), re.compile(pattern.replace("{words}", f"(?:{'|'.join(words.split())})")), why)
    for name, where, words, pattern, why in RULES
)
WORD = re.compile(r"[A-Za-z_]\w*")
PROMISE = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
CATCH_ALL = re.compile(r"\bcatch\s*\(\s*\.\.\.\s*\)\s*\{([^}]*)")

# rule -> {path: why it may}.
ALLOWED = {
    "contract": {
        "include/qtk/io/image.hpp": "the index of a pixel or an image is the caller's",
        "include/qtk/io/image_preprocess.hpp": "the index of a pixel is the caller's",
    },
    "console": {
        "include/qtk/core/contract.hpp": "a broken contract ends the program, and says which",
        "cuda/include/qtk/cuda/emulator.hpp": "a kernel that waits for ever ends the program, and says so",
    },
    "swallowed": {"examples/apps/common/exit_code.hpp": "the programs' edge"},
}

# A number taken from a file, and the name that it is given.
TAINT = re.compile(
    r"\b(?:auto|std::u?int\d+_t|std::size_t)\s+(?:const\s+)?(\w+)\s*=\s*[^;]*?"
    r"(?:\btake(?:_big_endian)?<(?!float|double)[^>]*>\s*\(|\bget<(?:std::u?int\d+_t|std::size_t|int)>\s*\()"
)
# Arithmetic on it that may wrap, and casts that may cut it.
WRAPS = r"(?<![\w.:>])(?:{0}\s*(?:\*|\+(?!\+)|<<)(?!=)|(?<=[*+]\s){0}\b(?!\s*\())"
CUTS = r"static_cast<(?:int|short|unsigned|std::u?int(?:8|16|32)_t)>\s*\(\s*{0}\s*\)"
# Arithmetic on a number from a file that has no name yet.
UNNAMED = re.compile(
    r"(?:\btake(?:_big_endian)?|\bget)<(?:std::u?int\d+_t|std::size_t|int)>\s*\([^()]*\)\s*(?:\*|\+|<<)"
)

LITERAL = re.compile(
    r"""R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<!\w)'(?:\\.|[^'\\\n])+'"""
    r"|//[^\n]*|/\*.*?\*/",
    re.DOTALL,
)


def code_of(text):
    """The text without comments and literals; lines keep their numbers."""

    def blank(found):
        kept = '""' if found[0][0] not in "/'" else ""
        return kept + "\n" * found[0].count("\n")

    return LITERAL.sub(blank, text)


def line_of(code, place):
    return code.count("\n", 0, place) + 1


def check_taint(path, text, code):
    """Complaints about arithmetic on numbers from files that may wrap in silence. A comment `bounded: why` on the
    line or the one above says what keeps a number small."""
    lines = text.splitlines()

    def is_bounded(line):
        return any("// bounded: " in near for near in lines[max(line - 2, 0):line])

    for found in UNNAMED.finditer(code):
        line = line_of(code, found.start())
        if not is_bounded(line):
            yield f"{path}:{line}: file value: a number from a file may wrap: checked_mul, checked_add"
    for taint in TAINT.finditer(code):
        name = taint[1]
        # The scope ends with the brace that closes it.
        depth, end = 0, taint.end()
        while end < len(code) and depth >= 0:
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
        scope = code[taint.end():end]
        for pattern, what in ((WRAPS, "may wrap: checked_mul, checked_add"), (CUTS, "may be cut: checked_cast")):
            for use in re.finditer(pattern.format(re.escape(name)), scope):
                line = line_of(code, taint.end() + use.start())
                if is_bounded(line):
                    continue
                yield f"{path}:{line}: file value: `{name}` is from a file and {what}"


def check_text(path, text):
    """All complaints about one file."""
    code = code_of(text)
    written = set(WORD.findall(code))
    for name, where, words, pattern, why in RULES:
        if written.isdisjoint(words) or not path.startswith(where) or path in ALLOWED.get(name, {}):
            continue
        for found in pattern.finditer(code):
            yield f"{path}:{line_of(code, found.start())}: {name}: `{found[0].strip()}`: {why}"
    if "catch" in written:
        for found in CATCH_ALL.finditer(code):
            line = line_of(code, found.start())
            # A comment on the line says why nothing can be thrown on, as in a destructor.
            if not re.search(r"\bthrow;|\bcurrent_exception\b", found[1]) and "  // " not in text.splitlines()[line - 1]:
                yield f"{path}:{line}: swallowed: `catch (...)` neither throws on nor keeps it, and no comment says why"
    for found in PROMISE.finditer(text):
        yield f"{path}:{line_of(text, found.start())}: promise: {found[0]}: it belongs into an issue"
    if path.startswith(READERS):
        yield from check_taint(path, text, code)


def check(root):
    """The number of files, and all complaints about them."""
    paths = sorted(
        path
        for folder in ROOTS
        for path in (root / folder).rglob("*")
        if path.suffix in (".hpp", ".cpp", ".cu", ".cuh")
    )
    complaints = []
    for path in paths:
        complaints += check_text(path.relative_to(root).as_posix(), path.read_text())
    for rule, files in ALLOWED.items():
        for path in files:
            if (root / "CMakeLists.txt").exists() and not (root / path).exists():
                complaints.append(f"scripts/check_rules.py: allows {rule} in {path}, which does not exist")
    return len(paths), complaints


# path, a line that breaks a rule, and a part of the sentence that must come back.
DAMAGE = (
    ("include/qtk/io/a.hpp", "assert(n < 4);", "a.hpp:2: assert"),
    ("examples/apps/qtk/a.cpp", "#include <cassert>", "assert"),
    ("include/qtk/io/a.hpp", "int n = std::stoi(text);", "lenient number"),
    ("examples/apps/qtk/a.cpp", "n = std::strtoull(text, nullptr, 10);", "lenient number"),
    ("include/qtk/energy/a.hpp", "int n = std::atoi(text);", "lenient number"),
    ("include/qtk/io/a.hpp", "std::regex r(text);", "regex"),
    ("include/qtk/io/a.hpp", "std::strcpy(to, from);", "unbounded C"),
    ("include/qtk/core/a.hpp", "using namespace std;", "namespace"),
    ("include/qtk/core/a.hpp", "void* p = std::malloc(n);", "raw memory"),
    ("include/qtk/core/a.hpp", "std::cout << 1;", "console"),
    ("include/qtk/core/a.hpp", "std::printf(text);", "console"),
    ("include/qtk/core/a.hpp", "std::exit(1);", "exit"),
    ("include/qtk/model/a.hpp", "std::ifstream file(path);", "file access"),
    ("include/qtk/io/a.hpp", "QTK_EXPECTS(rank < 4);", "contract"),
    ("include/qtk/io/a.hpp", "auto* p = reinterpret_cast<float const*>(bytes);", "unaligned load"),
    ("include/qtk/core/a.hpp", "try { f(); } catch (std::bad_alloc const&) {}", "swallowed"),
    ("include/qtk/core/a.hpp", "try { f(); } catch (...) { g(); }", "swallowed"),
    ("include/qtk/core/a.hpp", "// " + "TO" + "DO: later", "promise"),
    ("include/qtk/io/a.hpp", "auto const n = r.take<std::uint64_t>(w); f(n * 4);", "`n` is from a file and may wrap"),
    ("include/qtk/io/a.hpp", "auto const n = r.take<std::uint64_t>(w);\nf(4 * n);", "a.hpp:3: file value: `n`"),
    ("include/qtk/io/a.hpp", "auto const n = r.take<std::uint64_t>(w); f(at + n);", "may wrap"),
    ("include/qtk/io/a.hpp", "auto const n = json.get<std::uint64_t>(); g(static_cast<int>(n));", "may be cut"),
    ("include/qtk/io/a.hpp", "f(r.take<std::uint32_t>(w) * 4);", "a number from a file may wrap"),
)
# What looks like it and is none.
SOUND = (
    ("include/qtk/io/a.hpp", 'static_assert(true); // assert(1) std::stoi(x) 4 * n\nf("std::regex");'),
    ("include/qtk/io/a.hpp", "auto const n = r.take<std::uint64_t>(w); f(checked_mul(n, m)); if (n > 4) g();"),
    ("include/qtk/io/a.hpp", "auto const* p = reinterpret_cast<char const*>(bytes);"),
    ("include/qtk/core/a.hpp", "try { f(); } catch (...) { g(); throw; }"),
    ("include/qtk/core/a.hpp", "try { f(); } catch (...) {  // no memory left\n g(); }"),
    ("include/qtk/core/a.hpp", "a(a const&) = delete;"),
    ("include/qtk/io/a.hpp", "{ auto const n = r.take<std::uint64_t>(w); } int n = 2; f(n * 4);"),
    ("include/qtk/io/a.hpp", "auto const n = r.take<std::uint8_t>(w);\n// bounded: 8 bits\nf(n * 4);"),
    ("include/qtk/core/a.hpp", "char c = '\"'; f(c); // it's"),
)


def self_test():
    failures = 0
    for cases, is_damage in ((DAMAGE, True), (SOUND, False)):
        for path, line, *expected in cases:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / path
                file.parent.mkdir(parents=True)
                file.write_text(f"// SPDX-License-Identifier: Apache-2.0\n{line}\n")
                complaints = check(Path(folder))[1]
            if is_damage != any(part in complaint for part in expected or [""] for complaint in complaints):
                failures += 1
                print(f"{'not noticed' if is_damage else 'refused'}: {line}; complaints: {complaints}")
    print(f"self-test: {len(DAMAGE)} kinds of damage, {len(SOUND)} sound lines, {failures} failures")
    return 1 if failures else 0


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return self_test()
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    files, complaints = check(root)
    for line in complaints:
        print(f"error: {line}")
    names = {rule[0] for rule in RULES} | {"promise", "file value"}
    print(f"{files} files, {len(names)} rules, {len(complaints)} errors")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
