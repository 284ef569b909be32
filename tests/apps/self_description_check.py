#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do completions and manual pages offer exactly what --help lists, and do shells and mandoc take them?

    self_description_check.py PROGRAM...
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

programs = sys.argv[1:]
failures = []
skipped = set()


def output(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


def expect(what, found, wanted):
    if found != wanted:
        failures.append(f"{what}: found {found!r}, expected {wanted!r}")


def help_of(*arguments):
    """The options of --help with their type names, and the commands."""
    head, _, commands = output(*arguments, "--help").partition("\nSubcommands:\n")
    options = {}
    for line in head.splitlines():
        if line.startswith("  -"):
            names, _, rest = line.strip().partition(" ")
            for name in names.split(","):
                options[name.partition("{")[0]] = rest.split("  ")[0]
    return options, re.findall(r"^  ([a-z]+)", commands, re.M)


def bash_replies(script, probes, folder):
    """What the completion offers for each list of words, the last of which is at the cursor."""
    text = f"source {shlex.quote(script)}\n"
    for words in probes:
        function = f"_{words[0].replace('-', '_')}"
        text += f"COMP_WORDS=({' '.join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}\n{function}\n"
        text += 'printf "%s\\n" "${COMPREPLY[@]}"; echo "--end"\n'
    result = subprocess.run(["bash", "--norc", "-uc", text], capture_output=True, text=True, cwd=folder)
    if result.returncode != 0 or result.stderr:
        failures.append(f"bash, {os.path.basename(script)}: exit {result.returncode}, {result.stderr.strip()}")
        return [[] for _ in probes]
    return [sorted(filter(None, part.split("\n"))) for part in result.stdout.split("--end\n")[:-1]]


def check_bash(name, script, commands, folder):
    probes = [[name, ""], [name, "-"]] + [[name, command, "-"] for command in commands if command]
    replies = bash_replies(script, probes, folder)
    expect(f"bash: {name}", replies[0], sorted(c for c in commands if c))
    for words, reply in zip(probes[1:], replies[1:]):
        command = words[1] if len(words) == 3 else ""
        expect(f"bash: {' '.join(words)}", reply, sorted(commands[command]))


def check_bash_values(script, folder):
    os.makedirs(os.path.join(folder, "models"))
    open(os.path.join(folder, "my model.gguf"), "w").close()
    cases = {
        ("qtk", "quantize", "--layout", "gp"): ["gptq", "gptq_v2"],
        ("qtk", "quantize", "--layout", "=", "gp"): ["gptq", "gptq_v2"],
        ("qtk", "eval", "--join", "="): ["blank", "file", "newline"],
        ("qtk", "eval", "--formats", "w8a8,mx"): ["w8a8,mxfp4"],
        ("qtk", "eval", "--seed", ""): [],
        ("qtk", "eval", "--corpus", "m"): ["models"],
        ("qtk", "eval", "--model", "m"): ["models", "my model.gguf"],
        ("qtk", "eval", "--json", "=", "my"): ["my model.gguf"],
        ("qtk", "inspect", "my"): ["my model.gguf"],
        ("qtk", "quickstart", "--energy-table", "horo"): ["horowitz_45nm"],
        ("qtk", "completion", ""): ["bash", "fish", "zsh"],
        # A value that is called as a command is not one.
        ("qtk", "--version", "st"): ["study"],
    }
    for words, reply in zip(cases, bash_replies(script, list(cases), folder)):
        expect(f"bash: {' '.join(words)}", reply, cases[words])


def check_zsh(name, script, commands):
    text = open(script).read()
    for command, options in commands.items():
        for option in options:
            if not re.search(re.escape(option) + r"[=+-]{0,2}\[", text):
                failures.append(f"zsh: {name} {command}: nothing about {option}")
    if shutil.which("zsh"):
        result = subprocess.run(["zsh", "-n", script], capture_output=True, text=True)
        expect(f"zsh -n of {name}", (result.returncode, result.stderr), (0, ""))
    else:
        skipped.add("zsh")


def check_fish(name, script, commands):
    text = open(script).read()
    for command, options in commands.items():
        begin = f"'__fish_seen_subcommand_from {command}'" if command else "__fish_use_subcommand"
        for option in options:
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            if not re.search(rf"-n {begin}( -[sl] \S+)* {flag}\b", text):
                failures.append(f"fish: {name} {command}: nothing about {option}")
    if not shutil.which("fish"):
        skipped.add("fish")
        return
    result = subprocess.run(["fish", "--no-config", "--no-execute", script], capture_output=True, text=True)
    expect(f"fish -n of {name}", (result.returncode, result.stderr), (0, ""))
    asked = f"source {shlex.quote(script)}\n"
    for command in commands:
        asked += f"complete -C {shlex.quote(' '.join(filter(None, [name, command, '--'])))}; echo =end\n"
    replies = output("fish", "--no-config", "-c", asked).split("=end\n")
    for (command, options), reply in zip(commands.items(), replies):
        found = {line.split("\t")[0] for line in reply.splitlines() if line.startswith("--")}
        expect(f"fish: {name} {command}", found, {option for option in options if option.startswith("--")})


def check_manual(name, program, commands, folder):
    whole = output(program, "man")
    for command, options in commands.items():
        if command:
            part = re.search(rf"^\.Ss \\&{command}\n(.*?)(?=^\.S[sh] )", whole, re.M | re.S)
        else:
            part = re.search(r"^\.Sh DESCRIPTION\n(.*?)(?=^\.Sh )", whole, re.M | re.S)
        pages = {f"{name}(1), {command}": part[1] if part else ""}
        if command:
            pages[f"{name}-{command}(1)"] = output(program, "man", command)
        for page, text in pages.items():
            found = {"-" + flag.replace("\\-", "-") for flag in re.findall(r"Fl \\&((?:\\-|\w)+)", text)}
            expect(page, sorted(found), sorted(options))
    if not shutil.which("mandoc"):
        skipped.add("mandoc")
        return
    paths = []
    for command in commands:
        paths.append(os.path.join(folder, "-".join(filter(None, [name, command])) + ".1"))
        with open(paths[-1], "w") as page:
            page.write(output(program, "man", *filter(None, [command])))
    # Below a warning stands what only the base system of a BSD asks for.
    result = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *paths], capture_output=True, text=True)
    expect(f"mandoc -Tlint: {name}", (result.returncode, result.stdout + result.stderr), (0, ""))


for program in programs:
    name = os.path.basename(program)
    top, names = help_of(program)
    if not {"completion", "man"} <= set(names) or "--check-arguments" not in top:
        failures.append(f"{name} --help: found {names} and {sorted(top)}, expected completion, man and --check-arguments")
    commands = {"": top} | {command: help_of(program, command)[0] for command in names}
    with tempfile.TemporaryDirectory() as folder:
        scripts = {}
        for shell in ("bash", "zsh", "fish"):
            scripts[shell] = os.path.join(folder, f"{name}.{shell}")
            with open(scripts[shell], "w") as script:
                script.write(output(program, "completion", shell))
        check_bash(name, scripts["bash"], commands, folder)
        if name == "qtk":
            check_bash_values(scripts["bash"], os.path.join(folder, "values"))
        check_zsh(name, scripts["zsh"], commands)
        check_fish(name, scripts["fish"], commands)
        check_manual(name, program, commands, folder)
    wrong = subprocess.run([program, "man", "mna"], capture_output=True, text=True)
    expect(f"{name} man mna", (wrong.returncode, wrong.stderr.strip()), (2, f"error: mna: {name} has no such command. Did you mean man?"))
    for arguments, code in ((["--help"], 0), (["--nonsense"], 2), ([], 2)):
        checked = subprocess.run([program, "--check-arguments", *([names[0]] if arguments else []), *arguments], capture_output=True, text=True)
        expect(f"{name} --check-arguments {arguments}", checked.returncode, code)

for tool in sorted(skipped):
    print(f"skipped: what {tool} would say")
for failure in failures:
    print(f"error: {failure}", file=sys.stderr)
sys.exit(1 if failures else 0)
