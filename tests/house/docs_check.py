#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the documentation say what is so?

    docs_check.py [--programs DIR] [--cxx g++] [--cmake cmake] [--flags "..."] CHECK...

CHECK is one of
    text      links and anchors lead somewhere, named files are there, JSON parses, every block has a language
    commands  the programs take the arguments of every command, scripts are there, the shell can read each block
    options   the options in docs/reference/command-line.md are those of --help, both ways
    cpp       every block of C++ compiles
    cmake     every block of CMake configures
    run       every command that can be run is run, in a copy of the source tree; C++ programs print what the page says
    self-test every kind of damage to a page is noticed

A comment before a block, which readers do not see, says what the block leaves out:
    <!-- docs: given CODE -->              stands before the block (a declaration, a variable)
    <!-- docs: continues -->               the block goes on from the one before it on this page
    <!-- docs: not run: REASON -->         the commands are read, not run; "not run 2,3:" is about these lines alone
"""
import argparse
import functools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parents[2]
docs = root
programs = ("qtk", "quant-fairness", "quant-energy")
languages = ("cpp", "cmake", "sh", "json", "text")
# Commands of others that a page may tell a reader to type.
tools = {"git", "cd", "nvidia-smi", "compute-sanitizer", "conan", "cmake", "ctest", "g++", "man", "source", "mkdir", "doxygen"}
failures = []
# What `run` does not repeat, wherever it stands.
never_run = {"scripts/test.sh": "the suite itself, whose part this is"}
# A command of a page may take so long.
most_seconds = 1800


def fail(where, what):
    failures.append(f"{where}: {what}")


class Block:
    def __init__(self, page, line, language):
        self.page, self.line, self.language = page, line, language
        self.lines, self.given, self.continues, self.not_run = [], "", False, {}

    def where(self, i=0):
        return f"{self.page.relative_to(docs)}:{self.line + i}"

    def text(self):
        return "\n".join(self.lines) + "\n"

    def reason(self, i):
        """Why line i (from 0) is not run, or None."""
        return self.not_run.get(i + 1, self.not_run.get(0))


def pages():
    named = [docs / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    return [page for page in named if page.exists()] + sorted((docs / "docs").rglob("*.md"))


def read_comment(text, pending, where):
    if not text.startswith("docs:"):
        return
    text = text[5:].strip()
    found = re.match(r"not run(?: ([\d,]+))?: (\S.*)$", text, re.S)
    if text.startswith("given"):
        pending["given"] = text[5:].strip("\n")
    elif text == "continues":
        pending["continues"] = True
    elif found:
        for n in (found[1] or "0").split(","):
            pending["not_run"][int(n)] = found[2]
    else:
        fail(where, f"a comment that no rule knows: {text!r}")


@functools.cache
def blocks_of(page):
    found, block, comment = [], None, None
    pending = {"not_run": {}}
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if block is None and comment is None and line.startswith("<!--"):
            comment = ""
        if comment is not None:
            comment += line + "\n"
            if "-->" in line:
                read_comment(comment.strip()[4:-3].strip(), pending, f"{page.relative_to(docs)}:{number}")
                comment = None
            continue
        fence = re.match(r"\s*```(\S*)\s*$", line)
        if fence and block is None:
            block = Block(page, number + 1, fence[1])
            block.given, block.continues = pending.get("given", ""), pending.get("continues", False)
            block.not_run, pending = pending["not_run"], {"not_run": {}}
        elif fence:
            found.append(block)
            block = None
        elif block is not None:
            block.lines.append(line)
    if block is not None:
        fail(block.where(), "a block that does not end")
    return found


def blocks(language):
    return [b for page in pages() for b in blocks_of(page) if b.language == language]


# --- text ---

def anchors(page):
    """The anchors of headings, as GitHub makes them."""
    found, inside = set(), False
    for line in page.read_text().splitlines():
        inside ^= line.strip().startswith("```")
        if not inside and (heading := re.match(r"#+\s+(.*)", line)):
            slug = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
            slug = re.sub(r"[^\w\- ]", "", slug).replace(" ", "-")
            n, base = 1, slug
            while slug in found:
                slug, n = f"{base}-{n}", n + 1
            found.add(slug)
    return found


def check_text():
    links = names = 0
    for page in pages():
        prose = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), page.read_text(), flags=re.S)
        for number, line in enumerate(prose.splitlines(), 1):
            where = f"{page.relative_to(docs)}:{number}"
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                links += 1
                path, _, anchor = target.partition("#")
                file = (page.parent / path).resolve() if path else page
                if not file.exists():
                    fail(where, f"the link {target} leads to no file")
                elif anchor and anchor not in anchors(file):
                    fail(where, f"the link {target} leads to no heading; there are {sorted(anchors(file))}")
            for name in re.findall(r"`((?:scripts|tests|examples|docs|cmake|bench|include|cuda)/[\w./*-]+)`", line):
                names += 1
                if not re.search("ROOM|NAME", name) and not any(root.glob(name.rstrip("/"))):
                    fail(where, f"there is no {name}")
        for block in blocks_of(page):
            if block.language not in languages:
                fail(block.where(), f"the block's language is {block.language!r}, expected one of {', '.join(languages)}")
            if block.language == "json":
                try:
                    json.loads(block.text())
                except ValueError as e:
                    fail(block.where(), f"not JSON: {e}")
    print(f"{len(pages())} pages: {links} links, {names} names of files, {len(blocks('json'))} blocks of JSON")


# --- commands ---

def commands_of(block):
    """(line from 0, text) of each command; what a backslash joins is one."""
    joined, start = "", 0
    for i, line in enumerate(block.lines):
        start = start if joined else i
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        if joined.strip() and not joined.strip().startswith("#"):
            yield start, joined
        joined = ""


def simple_commands(text):
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = []
    is_target = False
    for token in list(lexer) + [";"]:
        if is_target or token in (">", ">>", "<"):
            is_target = not is_target
        elif token in ("&&", "||", ";", "|", "&"):
            if words:
                yield words
            words = []
        else:
            words.append(token)


def program_of(word):
    """Which program a first word runs, and what comes before its arguments; None for no program."""
    name = re.sub(r"\.sh$", "", os.path.basename(word))
    if word == "scripts/quickstart.sh":
        return "qtk", ["quickstart"]
    return (name, []) if name in programs else None


def check_command(where, words, folder):
    if words[0] == "sudo":
        words = words[1:]
    if words[0] in ("for", "do", "done", "[", "$program"):
        return 0
    if (found := program_of(words[0])) is None:
        if words[0].startswith("scripts/"):
            if not os.access(root / words[0], os.X_OK):
                fail(where, f"there is no program {words[0]}")
        elif words[0] not in tools:
            fail(where, f"{words[0]} is no program that is known here")
        return 0
    if words[0].startswith("scripts/") and not os.access(root / words[0], os.X_OK):
        fail(where, f"there is no program {words[0]}")
    result = subprocess.run([folder / found[0], "--check-arguments", *found[1], *words[1:]], capture_output=True, text=True)
    if result.returncode != 0:
        fail(where, f"{' '.join(words)}: {result.stderr.strip()}")
    return 1


def check_commands(folder):
    count = parsed = 0
    for block in blocks("sh"):
        result = subprocess.run(["bash", "-n"], input=re.sub(r"<(\w[\w ]*)>", "X", block.text()), capture_output=True, text=True)
        if result.returncode != 0:
            fail(block.where(), result.stderr.strip())
        for i, text in commands_of(block):
            count += 1
            for words in simple_commands(re.sub(r"<(\w[\w ]*)>", "X", text)):
                parsed += check_command(block.where(i), words, folder)
    print(f"{len(blocks('sh'))} blocks, {count} commands, {parsed} of them read by the programs")


# --- options ---

def help_of(folder, program, command=None):
    """Long options of --help, and the commands."""
    arguments = [command] if command else []
    text = subprocess.run([folder / program, *arguments, "--help"], capture_output=True, text=True, check=True).stdout
    head, _, commands = text.partition("\nSubcommands:\n")
    options = set()
    for line in head.splitlines():
        if line.startswith("  -"):
            options.update(re.findall(r"--[a-z][a-z-]*", re.split(r"  +|\s[A-Z{\[]", line.strip())[0]))
    return options, re.findall(r"^  ([a-z]+)", commands, re.M)


def check_options(folder):
    page = root / "docs/reference/command-line.md"
    shared, said, count = {}, {}, 0
    for block in (b for b in blocks_of(page) if b.language == "text"):
        key = None
        for line in block.lines:
            if found := re.match(r"(qtk|quant-[a-z]+) +([a-z]+)\b(.*)", line):
                key = (found[1], found[2])
            elif found := re.match(r"([a-z ]+ flags): (.*)", line):
                key = found[1]
            elif not line.startswith(" "):
                key = None
            if key is None:
                continue
            into = (shared if isinstance(key, str) else said).setdefault(key, [])
            into.append(line)
    shared = {name: "\n".join(lines) for name, lines in shared.items()}

    # What another synopsis has defined: [text flags].
    def options_in(text):
        found = set(re.findall(r"--[a-z][a-z-]*", text))
        for name, more in shared.items():
            if f"[{name}]" in text:
                found |= options_in(more.partition(":")[2])
        return found

    for program in programs:
        _, names = help_of(folder, program)
        for name in names:
            options = help_of(folder, program, name)[0] - {"--help"}
            known = options_in("\n".join(said.get((program, name), [])))
            count += len(options)
            if (program, name) not in said:
                fail(page.name, f"nothing about {program} {name}")
                continue
            for option in sorted(options - known):
                fail(page.name, f"{program} {name}: nothing about {option}")
            for option in sorted(known - options):
                fail(page.name, f"{program} {name}: --help has no {option}")
        for key in said:
            if key[0] == program and key[1] not in names:
                fail(page.name, f"{program} has no command {key[1]}")
    if count == 0:
        fail(page.name, "no option was compared")
    print(f"{count} options of {sum(len(help_of(folder, p)[1]) for p in programs)} commands")


# --- C++ ---

def is_program(block):
    return "int main(" in block.text()


def unit_of(page_blocks):
    """One file of all blocks of a page that are no programs: what begins with # on top, the rest in a function each."""
    top, functions = [], []
    for block in page_blocks:
        given = block.given.splitlines()
        top += [line for line in given if line.startswith("#")]
        first = next((i for i, line in enumerate(block.lines) if line.startswith("#")), None)
        if first is not None:
            top += [f'#line {block.line} "{block.page}"'] + [line if line.startswith("#") else "" for line in block.lines]
        body = [line for line in given if not line.startswith("#")]
        body += [f'#line {block.line} "{block.page}"']
        body += ["" if line.startswith("#") else line for line in block.lines]
        if block.continues and functions:
            functions[-1] += body
        else:
            functions.append(body)
    text = "\n".join(top) + "\n"
    for i, body in enumerate(functions):
        text += f"void block_{i}() {{\n" + "\n".join(body) + "\n}\n"
    return text


def has_header(arguments, header):
    return subprocess.run([*arguments, "-x", "c++", "-fsyntax-only", "-"], input=f"#if !__has_include(<{header}>)\n#error\n#endif\n",
                          capture_output=True, text=True).returncode == 0


def check_cpp(options):
    compiler = [options.cxx, "-std=c++20", f"-I{root}/include", f"-I{root}/cuda/include", "-DQTK_CUDA_EMULATE=1", *options.flags.split()]
    count = skipped = 0
    for page in pages():
        found = [b for b in blocks_of(page) if b.language == "cpp"]
        units = [(b.text(), 1) for b in found if is_program(b)]
        if rest := [b for b in found if not is_program(b)]:
            units.append((unit_of(rest), len(rest)))
        for text, many in units:
            if "torch" in text and not has_header(compiler, "torch/all.h"):
                print(f"skipped: {page.relative_to(docs)}: LibTorch is not there")
                skipped += many
                continue
            result = subprocess.run([*compiler, "-x", "c++", "-fsyntax-only", "-"], input=text, capture_output=True, text=True)
            count += many
            if result.returncode != 0:
                fail(page.relative_to(docs), result.stderr.strip())
    print(f"{count} blocks of C++ compiled, {skipped} skipped")


# --- CMake ---

def cmake_run(options, *arguments):
    result = subprocess.run([options.cmake, *arguments], capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def check_cmake(options):
    has_torch = has_header([options.cxx, *options.flags.split()], "torch/all.h")
    count = skipped = 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        compiler = f"-DCMAKE_CXX_COMPILER={options.cxx}"
        prefix = scratch / "prefix"
        code, said = cmake_run(options, "-S", root, "-B", scratch / "qtk", compiler, "-DQTK_DEVELOPER_MODE=OFF", "-DQTK_INSTALL=ON")
        if code == 0:
            code, said = cmake_run(options, "--install", scratch / "qtk", "--prefix", prefix)
        if code != 0:
            return fail("cmake", said)
        # One project has the install tree, the other the source tree; a block of each page is a folder of it.
        for kind, wanted in (("installed", True), ("source", False)):
            project = scratch / kind
            project.mkdir()
            top = "cmake_minimum_required(VERSION 3.23)\nproject(docs LANGUAGES CXX)\n"
            # Blocks that bring qtk themselves come first.
            for i, block in sorted(enumerate(blocks("cmake")), key=lambda b: "FetchContent" not in b[1].text()):
                if ("find_package(qtk" in block.text()) != wanted:
                    continue
                if "COMPONENTS torch" in block.text() and not has_torch:
                    print(f"skipped: {block.where()}: LibTorch is not there")
                    skipped += 1
                    continue
                text = block.text().replace("/where/qtk/lies", str(root))
                folder = project / f"block_{i}"
                folder.mkdir()
                for name in ("main.cpp", "kernels.cpp"):
                    (folder / name).write_text("int main() {}\n")
                targets = set(re.findall(r"target_link_libraries\((\w+)", text)) - set(re.findall(r"add_library\((\w+)", text))
                for target in sorted(targets):
                    text = f"add_executable({target} main.cpp)\n" + text
                # Blocks of other pages have targets with the same names.
                for target in sorted(targets | set(re.findall(r"add_library\((\w+)", text))):
                    text = re.sub(rf"\b{target}\b(?!\.)", f"{target}_{i}", text)
                (folder / "CMakeLists.txt").write_text(f"{block.given}\n{text}")
                top += f"add_subdirectory(block_{i})\n"
                count += 1
            (project / "CMakeLists.txt").write_text(top)
            code, said = cmake_run(options, "-S", project, "-B", scratch / f"{kind}-build", compiler, f"-DCMAKE_PREFIX_PATH={prefix}")
            if code != 0:
                fail(f"cmake ({kind} tree)", said)
    print(f"{count} blocks of CMake configured, {skipped} skipped")


# --- run ---

def run_programs(options, scratch):
    for block in (b for b in blocks("cpp") if is_program(b)):
        (scratch / "block.cpp").write_text(block.text())
        command = f"{options.cxx} -std=c++20 -O2 -Iinclude block.cpp -o block && ./block"
        result = subprocess.run(command, shell=True, cwd=scratch, capture_output=True, text=True)
        prose = re.sub(r"\s+", " ", block.page.read_text())
        if result.returncode != 0:
            fail(block.where(), result.stderr)
        for line in result.stdout.splitlines():
            if f"`{line}`" not in prose:
                fail(block.where(), f"prints {line!r}, which the page does not say")
        print(f"ran: {block.where()}: {result.stdout.strip()}")


def check_run(options):
    ran = skipped = 0
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        scratch = pathlib.Path(scratch)
        files = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
        for name in filter(None, files):
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, scratch / name)
        run_programs(options, scratch)
        for block in blocks("sh"):
            for i, text in commands_of(block):
                if reason := block.reason(i) or never_run.get(text.split()[0]):
                    print(f"not run: {block.where(i)}: {reason}")
                    skipped += 1
                    continue
                if options.programs:
                    text = re.sub(r"scripts/quickstart\.sh", "scripts/qtk.sh quickstart", text)
                    text = re.sub(r"scripts/(qtk|quant-[a-z]+)\.sh", lambda m: str(options.programs / m[1]), text)
                start = time.monotonic()
                try:
                    result = subprocess.run(["bash", "-c", text], cwd=scratch, capture_output=True, text=True, timeout=most_seconds)
                    code, said = result.returncode, result.stderr
                except subprocess.TimeoutExpired:
                    code, said = None, f"longer than {most_seconds} s"
                print(f"ran: {block.where(i)}: {time.monotonic() - start:.0f} s, exit {code}", flush=True)
                ran += 1
                if code != 0:
                    fail(block.where(i), said.strip()[-2000:])
    print(f"{ran} commands run, {skipped} not run")


# --- self-test ---

# A page, and a word of the error that it must give to `text` and `cpp`.
damaged = {
    "[a](gone.md)": "leads to no file",
    "# One\n\n[a](#two)": "leads to no heading",
    "`scripts/gone.sh`": "there is no scripts/gone.sh",
    "```json\n{\"a\": }\n```": "not JSON",
    "```\nqtk\n```": "the block's language",
    "```sh\nqtk": "does not end",
    "<!-- docs: skip -->": "no rule knows",
    "```cpp\nint a = b;\n```": "'b' was not declared",
    "<!-- docs: given\nint b = 1;\n-->\n```cpp\nint a = b; (void)a;\n```\n<!-- docs: continues -->\n```cpp\nint c = a + d;\n```": "'d' was not declared",
}


def check_self(options):
    global docs, failures
    options.flags += " -fdiagnostics-color=never"
    os.environ["LC_ALL"] = "C"
    missed = []
    for page, word in damaged.items():
        with tempfile.TemporaryDirectory() as folder:
            docs, failures = pathlib.Path(folder), []
            (docs / "README.md").write_text(page + "\n")
            check_text()
            if "```cpp" in page:
                check_cpp(options)
            if len(failures) != 1 or word not in failures[0]:
                missed.append(f"{page!r}: expected one error with {word!r}, found {failures}")
    docs, failures = root, missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checks", nargs="+", choices=("text", "commands", "options", "cpp", "cmake", "run", "self-test"))
    parser.add_argument("--programs", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--cxx", default="g++")
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--flags", default="")
    parser.add_argument("--scratch")
    options = parser.parse_args()
    for check in options.checks:
        if check in ("commands", "options"):
            {"commands": check_commands, "options": check_options}[check](options.programs)
        elif check == "text":
            check_text()
        else:
            {"cpp": check_cpp, "cmake": check_cmake, "run": check_run, "self-test": check_self}[check](options)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
