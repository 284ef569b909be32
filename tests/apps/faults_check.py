#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is nothing lost, is there one clear message and the right exit code, when something goes wrong while a file is written?

    faults_check.py QTK SOURCE QUANT_FAIRNESS QUANT_ENERGY HAS_TORCH FAILING_CALLS [--long] [STEP...]

FAILING_CALLS is the library of failing_calls.cpp, which nth_write and nth_allocation need.

Steps: full_disk (a small tmpfs where root may mount one, and RLIMIT_FSIZE), nth_write (each call that changes a file fails or
takes one byte), nth_allocation (each operator new fails), signals (SIGINT and kill -9 at random moments), read_only, names
(inputs and outputs that are none), streams (standard output full, closed, or a broken pipe). Every command of the three
programs that writes goes through them. Without --long some n and few moments are tried; with it all n, and 200 kill -9."""
import json
import os
import random
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time

from small_networks import build, read_safetensors, write_safetensors

is_long = "--long" in sys.argv
arguments = [a for a in sys.argv[1:] if a != "--long"]
has_torch = arguments[4]
# Commands run in folders of their own.
qtk, source, fairness, energy, shim = (os.path.abspath(a) for a in (*arguments[:4], arguments[5]))
digits = f"{source}/examples/data/digits"
failures, counts = [], {}
# One thread: the same bytes, and calls in the same order. Without gnuplot: it is another program, and takes its time.
environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PATH="/nonexistent")


def check(what, is_right, *more):
    counts[step.__name__] = counts.get(step.__name__, 0) + 1
    if not is_right:
        failures.append(f"{step.__name__}: {what}: {' '.join(map(str, more))[:600]}")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def used():
    """Processor time, of the programs and of this one."""
    times = os.times()
    return sum(times[:4])


def errors_of(said):
    return [line for line in said.splitlines() if line.startswith("error:")]


class Command:
    """A command that writes `outputs`, each {name: kind}, in a folder {o}; {m} is the folder of inputs."""

    def __init__(self, name, program, line, outputs, resume=None, is_slow=False):
        self.name, self.program, self.line, self.outputs = name, program, line, outputs
        self.resume, self.is_slow = resume, is_slow
        self.clean, self.allocations, self.writes, self.seconds = {}, 0, 0, 0.0

    def argv(self, folder, *more):
        return [self.program, *(word.format(o=folder, m=inputs) for word in self.line.split()), *more]

    def run(self, folder, *more, fault=None, mark=None, **how):
        env = dict(environment)
        if fault:
            env.update(QTK_FAULT=fault, LD_PRELOAD=shim, QTK_FAULT_MARK=mark)
        return subprocess.run(self.argv(folder, *more), capture_output=True, text=True, errors="replace", env=env, timeout=300, **{"cwd": inputs, **how})

    def fresh(self, folder):
        """The folder as a user has it before the command: an old file in the place of each output."""
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        for name, kind in self.outputs.items():
            if kind not in ("folder", "journal", "log", "entries", "observations"):
                write(f"{folder}/{name}", b"old")

    def is_old(self, folder, name):
        path = f"{folder}/{name}"
        if not os.path.exists(path):
            return True  # absent before, or replaced by nobody
        return self.outputs[name] not in ("folder",) and os.path.isfile(path) and read(path) == b"old"

    def is_whole(self, folder, name):
        """The finished output, or what of a growing one is whole."""
        path, kind = f"{folder}/{name}", self.outputs[name]
        try:
            if kind == "folder":
                return all(read(f"{path}/{f}") == content for f, content in self.clean[name].items())
            content = read(path)
            if kind == "bytes":
                return content == self.clean[name]
            if kind in ("json", "observations"):
                return isinstance(json.loads(content), dict)
            if kind == "html":
                return content.rstrip().endswith(b"</html>")
            if kind == "entries":  # one a run
                lines = [len(entry.splitlines()) for entry in content.split(b"\n## ")[1:]]
                return set(lines) == {len(self.clean[name].split(b"\n## ")[1].splitlines())}
            if kind in ("journal", "log"):
                # A line that was cut short stands at the end, where the next run drops it.
                return all(json.loads(line) is not None for line in content.split(b"\n")[:-1])
            return len(content.splitlines()) == len(self.clean[name].splitlines()) and content.endswith(b"\n")
        except (OSError, ValueError):
            return False

    def begin(self, folder):
        """A run without a fault: what it writes, how long it takes, how many calls could fail."""
        self.fresh(folder)
        began = time.time()
        done = self.run(folder)
        self.seconds = time.time() - began
        check(f"{self.name}: runs", done.returncode == 0, done.returncode, done.stderr)
        for name, kind in self.outputs.items():
            path = f"{folder}/{name}"
            if not os.path.exists(path):
                check(f"{self.name}: writes {name}", False, os.listdir(folder))
                continue
            self.clean[name] = ({f: read(f"{path}/{f}") for f in os.listdir(path) if os.path.isfile(f"{path}/{f}")} if kind == "folder" else read(path))
            check(f"{self.name}: {name} is whole", self.is_whole(folder, name))
        check(f"{self.name}: nothing else is left", self.leftovers(folder) == [], self.leftovers(folder))
        if not preloads():
            return
        count = f"{folder}/.count"
        self.fresh(folder)
        env = dict(environment, LD_PRELOAD=shim, QTK_FAULT="new:0", QTK_FAULT_COUNT=count)
        subprocess.run(self.argv(folder), capture_output=True, env=env)
        if os.path.exists(count):
            self.writes, self.allocations = map(int, read(count).split())

    def leftovers(self, folder):
        return sorted(f for f in os.listdir(folder) if f not in self.outputs)

    def after_error(self, what, done, folder, codes=(4,), allows_success=False):
        """One message, the right code, outputs old or whole, nothing left but what --resume goes on with."""
        lines = errors_of(done.stderr)
        if done.returncode == 0 and allows_success:
            check(f"{what}: success without an error", not lines, done.stderr)
            check(f"{what}: success means whole", all(self.is_whole(folder, name) for name in self.outputs), os.listdir(folder))
        else:
            check(f"{what}: exit code", done.returncode in codes, done.returncode, done.stderr)
            check(f"{what}: one message", len(lines) == 1 and len(done.stderr.splitlines()) <= 3, done.stderr)
        for name in self.outputs:
            check(f"{what}: {name} is old or whole", self.is_old(folder, name) or self.is_whole(folder, name), os.listdir(folder))
        self.go_on(what, folder)

    def go_on(self, what, folder, may_leave=()):
        """What is left is what --resume goes on with, and the end is the same."""
        left = self.leftovers(folder)
        if self.resume is None:
            check(f"{what}: nothing is left", [f for f in left if not self.is_harmless(f, may_leave)] == [], left)
            return
        if not left:
            return
        check(f"{what}: what is left can be gone on with", all("qtk-" in f for f in left), left)
        done = self.run(folder, *self.resume)
        check(f"{what}: --resume", done.returncode == 0, done.stderr)
        check(f"{what}: --resume ends the same", all(self.is_whole(folder, name) for name in self.outputs) and not self.leftovers(folder), self.leftovers(folder))

    def is_harmless(self, name, may_leave):
        """A temporary file of kill -9: hidden, and beside its target."""
        return "kill" in may_leave and name.startswith(".") and any(name.startswith(f".{o}.") for o in self.outputs)


def commands():
    """Every command that writes, on networks that take milliseconds."""
    few = "--text en={m}/en.txt --text de={m}/de.txt --text fr={m}/fr.txt --windows 2"
    fair = f"--model {{m}}/net {few} --calibration-windows 2"
    vision = f"--model {digits}/resnet_digits.safetensors"
    quick = "--seeds 1 --calibration-images 10 --test-images 10 --no-times --no-mixed"

    all_commands = [
        Command("quantize to safetensors", qtk, "quantize {m}/net {o}/out.safetensors --scheme i4/g8 --force", {"out.safetensors": "bytes"}, ["--resume"]),
        Command("quantize to GGUF", qtk, "quantize {m}/net {o}/out.gguf --type q8_0 --force --json={o}/report.json",
                {"out.gguf": "bytes", "report.json": "json"}, ["--resume"]),
        Command("quantize to a folder", qtk, "quantize {m}/net {o}/out --scheme i4/g8 --method rtn --layout gptq --calibrate en={m}/en.txt --calibration-windows 2",
                {"out": "folder"}),
        Command("quantize to GGUF by a method", qtk,
                "quantize {m}/wide {o}/out.gguf --scheme i4/g32/sym/f16 --method gptq --layout gguf --recipe *down_proj*=keep --calibrate en={m}/en.txt --calibration-windows 2 --force", {"out.gguf": "bytes"}, ["--force"]),
        Command("dequantize", qtk, "dequantize {m}/net.gguf {o}/out.safetensors --force", {"out.safetensors": "bytes"}, ["--resume"]),
        Command("inspect", qtk, "inspect {m}/net --validate --json={o}/report.json", {"report.json": "json"}),
        Command("eval", qtk, f"eval --model {{m}}/net {few} --formats fp32,w8a8 --json={{o}}/report.json --csv={{o}}/report.csv",
                {"report.json": "json", "report.csv": "csv"}),
        Command("compare", qtk, f"compare fp32 w8a8 --model {{m}}/net {few} --json={{o}}/report.json", {"report.json": "json"}),
        Command("bench", qtk, "bench --model {m}/net --formats fp32 --runs 1 --warmup 0 --prompt-tokens 4 --new-tokens 4 --json={o}/report.json --csv={o}/report.csv",
                {"report.json": "json", "report.csv": "csv"}),
        Command("generate", qtk, "generate --model {m}/net --prompt a --tokens 3 --json={o}/report.json", {"report.json": "json"}),
        Command("study", qtk, f"study --model {{m}}/net {few} --formats fp32,w8a8 --runs 1 --warmup 0 --prompt a --new-tokens 3 --out {{o}}",
                {"report.html": "html", "log.md": "entries", "log.jsonl": "log"}),
        Command("fairness sweep", fairness, f"sweep {fair} --schemes i3/g8 --journal {{o}}/j --json={{o}}/report.json --report {{o}}/report.html",
                {"j": "journal", "report.json": "json", "report.html": "html"}),
        Command("fairness recommend", fairness, f"recommend {fair} --scheme i3/g8 --max-layers 1 --recipe {{o}}/recipe --json={{o}}/report.json --report {{o}}/report.html",
                {"recipe": "text", "report.json": "json", "report.html": "html"}),
        Command("fairness hypothesis", fairness, f"hypothesis {fair} --scheme i3/g8 --set L0 --json={{o}}/report.json --report {{o}}/report.html",
                {"report.json": "json", "report.html": "html"}),
        Command("fairness compare", fairness, f"compare {fair} --schemes i3/g8 --methods rtn --json={{o}}/report.json --report {{o}}/report.html",
                {"report.json": "json", "report.html": "html"}),
        Command("fairness task", fairness, f"task --model {{m}}/net {few.replace('--windows 2', '--windows 4')} --schemes i3/g8 --json={{o}}/report.json --report {{o}}/report.html",
                {"report.json": "json", "report.html": "html"}),
        Command("energy rehearsal", energy, "calibrate --simulate horowitz_45nm --out {o}/table.json --report {o}/report.html --json={o}/report.json",
                {"table.json": "json", "report.json": "json", "report.html": "html"}),
        Command("energy measurement", energy, "calibrate --meter trace --formats w8a8 --seconds 0.001 --pause 0.001 --threads 1 --macs 1000 --observations {o}/runs.json",
                {"runs.json": "observations"}),
        Command("energy search", energy, f"search {vision} --draws 1 --calibration-images 10 --test-images 10 --bits 4,8 --budget uniform4 --solver exact "
                "--sensitivity sqnr --cost size --recipe {o}/recipe --report {o}/report.html --json={o}/report.json",
                {"recipe": "text", "report.json": "json", "report.html": "html"}, is_slow=True),
        Command("energy study", energy, f"study {vision} {quick} --no-ladders --schemes i8/channel --methods rtn --report {{o}}/report.html --json={{o}}/report.json --csv={{o}}/report.csv",
                {"report.json": "json", "report.html": "html", "report.csv": "csv"}, is_slow=True),
        Command("energy attack", energy, f"attack {vision} --images 5 --schemes i8/channel --attacks flips --flip-seeds 2 --report {{o}}/report.html --json={{o}}/report.json",
                {"report.json": "json", "report.html": "html"}, is_slow=True),
    ]
    if has_torch == "1":
        all_commands.append(Command("energy train", energy, "train --schemes i2/tensor --methods lsq --epochs 1 --threads 1 --out {o}/out --json={o}/report.json",
                                    {"out": "folder", "report.json": "json"}, is_slow=True))
    return all_commands


def places(last, how_many):
    """1, 2, 3, some between, the last."""
    if is_long and last <= 3000:
        return range(1, last + 1)
    if is_long:
        how_many = 1500
    if last <= how_many:
        return range(1, last + 1)
    return sorted({1, 2, last, *(1 + round((last - 1) * i / (how_many - 1)) for i in range(how_many))})


def each(folder, slow=True):
    for command in known:
        if command.clean and (slow or is_long or not command.is_slow):
            yield command, f"{folder}/o"


def nth_write(folder):
    mark = f"{folder}/mark"
    for command, out in each(folder, slow=False):
        for kind, numbers in ((f"write:{{}}:{28}", places(command.writes, 7)), (f"write:{{}}:{5}", places(command.writes, 3)),
                              ("short:{}", places(command.writes, 2))):
            for n in numbers:
                if os.path.exists(mark):
                    os.remove(mark)
                command.fresh(out)
                done = command.run(out, fault=kind.format(n), mark=mark)
                what = f"{command.name}: {kind.format(n)} of {command.writes}"
                if kind.startswith("short"):
                    check(f"{what}: goes on", done.returncode == 0 and all(command.is_whole(out, o) for o in command.outputs), done.stderr)
                    continue
                # A folder that cannot be put on the disk is no failure: the file in it is.
                command.after_error(what, done, out, allows_success=True)
                check(f"{what}: failed", os.path.exists(mark) or n >= command.writes - 2)


def nth_allocation(folder):
    mark = f"{folder}/mark"
    for command, out in each(folder, slow=False):
        for kind, how_many in (("new", 8), ("memory", 3)):
            for n in places(command.allocations, how_many):
                if os.path.exists(mark):
                    os.remove(mark)
                command.fresh(out)
                done = command.run(out, fault=f"{kind}:{n}", mark=mark)
                # std::stable_sort and its like do without.
                command.after_error(f"{command.name}: {kind}:{n} of {command.allocations}", done, out, allows_success=True)
                check(f"{command.name}: {kind}:{n}: says so", done.returncode == 0 or "out of memory" in done.stderr, done.stderr)


def full_disk(folder):
    def limit(size):
        def set_limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return set_limit

    disk = f"{folder}/disk"
    os.mkdir(disk)
    for command, out in each(folder, slow=False):
        sizes = [len(c) if isinstance(c, bytes) else max(map(len, c.values())) for c in command.clean.values()]
        # What holds times is a few bytes longer or shorter the next time.
        too_short = lambda size: size - 1 - (0 if set(command.outputs.values()) <= {"bytes", "folder"} else size // 8)
        for size in sorted({0, 1, max(sizes) // 2, too_short(max(sizes)), too_short(min(sizes))}):
            command.fresh(out)
            done = command.run(out, preexec_fn=limit(size))
            command.after_error(f"{command.name}: RLIMIT_FSIZE {size}", done, out, allows_success=size >= min(sizes) and size != too_short(max(sizes)))
        total = sum(map(sum_of, command.clean.values()))
        for pages in sorted({0, 2, total // 8192, total // 4096}):
            if subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=64M", "qtk", disk], capture_output=True).returncode != 0:
                counts["full_disk without a tmpfs (no right to mount)"] = 1
                break
            try:
                out = f"{disk}/o"
                command.fresh(out)
                write(f"{disk}/others", b"a tmpfs of no bytes would have no limit")
                # What is there already, and these pages.
                there = os.statvfs(disk)
                size = (there.f_blocks - there.f_bfree + pages) * there.f_frsize
                subprocess.run(["/bin/mount", "-o", f"remount,size={size}", disk], check=True)
                done = command.run(out)
                command.after_error(f"{command.name}: tmpfs with {pages} pages left", done, out, allows_success=pages > 0)
            finally:
                subprocess.run(["/bin/umount", disk], check=True)
        out = f"{folder}/o"


def sum_of(content):
    return len(content) if isinstance(content, bytes) else sum(map(len, content.values()))


def signals(folder):
    seed = random.Random(11)
    rounds = 10 if is_long else 1
    reached = {signal.SIGINT: 0, signal.SIGKILL: 0}
    for command, out in each(folder):
        for sent in (signal.SIGINT, signal.SIGKILL):
            for i in range(rounds):
                command.fresh(out)
                process = subprocess.Popen(command.argv(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, cwd=own)
                time.sleep(seed.uniform(0, command.seconds))
                process.send_signal(sent)
                said = process.communicate(timeout=120)[1]
                what = f"{command.name}: {sent.name} {i}"
                if process.returncode != 0:
                    reached[sent] += 1
                if sent == signal.SIGINT:
                    # Before main() there is nothing to say, and nobody to say it.
                    is_early = process.returncode == -signal.SIGINT and said == ""
                    check(f"{what}: exit code", process.returncode in (0, 130) or is_early, process.returncode, said)
                    check(f"{what}: a word", process.returncode != 130 or "interrupted" in said, said)
                    for name in os.listdir(out):
                        check(f"{what}: no temporary file", not name.startswith(".") or command.resume, os.listdir(out))
                for name in command.outputs:
                    check(f"{what}: {name} is old or whole", command.is_old(out, name) or command.is_whole(out, name), os.listdir(out))
                # The next run ends as if nothing had been; where all is there already, it leaves a folder alone.
                left = command.leftovers(out)
                is_done = "folder" in command.outputs.values() and all(command.is_whole(out, name) for name in command.outputs)
                done = command.run(out, *(command.resume if command.resume and left else []))
                check(f"{what}: the next run", done.returncode != 0 and "already" in done.stderr if is_done else done.returncode == 0, done.returncode, done.stderr)
                check(f"{what}: is whole", all(command.is_whole(out, name) for name in command.outputs), os.listdir(out))
                left = [f for f in command.leftovers(out) if not command.is_harmless(f, ("kill",) if sent == signal.SIGKILL else ())]
                check(f"{what}: nothing is left", left == [], left)
    counts["SIGINT that arrived in time"] = reached[signal.SIGINT]
    counts["kill -9 that arrived in time"] = reached[signal.SIGKILL]


def read_only(folder):
    """A folder that may not be written: by its mode as another user, by its mount as root."""
    out, disk = f"{folder}/o", f"{folder}/disk"
    is_root = os.geteuid() == 0
    nobody = dict(user=65534, group=65534, extra_groups=[]) if is_root else {}
    os.mkdir(disk)
    for command, out in each(folder, slow=False):
        for place in ("mode", "mount"):
            command.fresh(out)
            if place == "mode":
                os.chmod(out, 0o555)
                how = nobody
                if is_root and subprocess.run([qtk, "--version"], capture_output=True, **nobody).returncode != 0:
                    counts["read_only by mode (the program cannot be run by nobody)"] = 1
                    continue
            else:
                how = {}
                if subprocess.run(["/bin/mount", "--bind", out, disk], capture_output=True).returncode != 0:
                    counts["read_only by mount (no right to mount)"] = 1
                    continue
                subprocess.run(["/bin/mount", "-o", "remount,bind,ro", disk], check=True)
            try:
                done = command.run(out if place == "mode" else disk, **how)
                lines = errors_of(done.stderr)
                check(f"{command.name}: read-only by {place}", done.returncode == 4 and len(lines) == 1, done.returncode, done.stderr)
            finally:
                if place == "mount":
                    subprocess.run(["/bin/umount", disk], check=True)
            os.chmod(out, 0o755)
            check(f"{command.name}: read-only by {place}: all is old", all(command.is_old(out, name) for name in command.outputs) and command.leftovers(out) == [],
                  os.listdir(out))


def expect(what, argv, code, *words, **how):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, errors="replace", env=environment, timeout=120, **{"cwd": own, **how})
    check(what, done.returncode == code and len(errors_of(done.stderr)) == 1 and all(w in done.stderr for w in words), done.returncode, done.stderr)
    return done


def names(folder):
    """Inputs and outputs that are none."""
    model = f"{folder}/model.safetensors"
    shutil.copy(f"{inputs}/net/model.safetensors", model)
    whole = read(model)
    os.link(model, f"{folder}/hard.safetensors")
    os.symlink(model, f"{folder}/soft.safetensors")
    for name in ("model", "hard", "soft"):
        target = f"{folder}/{name}.safetensors"
        expect(f"the input as output by {name}", [qtk, "quantize", model, target, "--scheme", "i4/g8", "--force"], 2, "the output is the input")
        expect(f"the input as report by {name}", [qtk, "inspect", model, f"--json={target}"], 2, "the place of the model")
        expect(f"the input as report of quantize by {name}", [qtk, "quantize", model, f"{folder}/x.safetensors", f"--json={target}"], 2, "the place of the model")
    expect("the output as report", [qtk, "quantize", model, f"{folder}/x.safetensors", f"--json={folder}/x.safetensors"], 2, "the place of the model")
    expect("the folder as output", [qtk, "quantize", f"{inputs}/net", f"{inputs}/net", "--method", "rtn", "--scheme", "i4/g8", "--calibrate", f"en={inputs}/en.txt"],
           3, "something is there already")
    check("the model is as it was", read(model) == whole)
    write(f"{folder}/out.safetensors", b"old")
    expect("an output that is there", [qtk, "quantize", model, f"{folder}/out.safetensors"], 2, "--force")
    check("it is as it was", read(f"{folder}/out.safetensors") == b"old")

    # Shards that are somewhere else.
    shards = f"{folder}/shards"
    os.mkdir(shards)
    os.symlink(model, f"{shards}/link.safetensors")
    for name in ("../model.safetensors", model, "link.safetensors", "..", "", "a/b.safetensors", "none.safetensors", "\0x"):
        write(f"{shards}/model.safetensors.index.json", json.dumps({"weight_map": {"model.norm.weight": name}}).encode())
        for line in (["inspect", shards], ["quantize", shards, f"{folder}/y.safetensors"], ["eval", "--model", shards]):
            expect(f"shard {name!r}: {line[0]}", [qtk, *line], 3)
    check("nothing was written", not os.path.exists(f"{folder}/y.safetensors"))

    # Inputs that are no files, in every place where a file is read.
    # Copies of the devices: a program that fails here takes the place of what it is given, and root may.
    devices = f"{folder}/devices"
    os.mkdir(devices)
    os.mkfifo(f"{folder}/pipe")
    is_root = os.geteuid() == 0
    for device, minor in (("null", 3), ("zero", 5)) if is_root else ():
        os.mknod(f"{devices}/{device}", 0o666 | stat.S_IFCHR, os.makedev(1, minor))
    device = f"{devices}/zero" if is_root else f"{folder}/pipe"
    write(f"{folder}/empty", b"")
    os.makedirs(f"{folder}/as")
    for ending in (".safetensors", ".gguf"):
        for kind, path in (("pipe", f"{folder}/pipe"), ("empty", f"{folder}/empty"), ("device", device)):
            os.symlink(path, f"{folder}/as/{kind}{ending}")
        for kind in ("pipe", "empty", "device"):
            expect(f"{kind} as {ending}", [qtk, "inspect", f"{folder}/as/{kind}{ending}"], 3, kind)
            expect(f"quantize {kind} as {ending}", [qtk, "quantize", f"{folder}/as/{kind}{ending}", f"{folder}/z.safetensors"], 3, kind)
    os.mkdir(f"{folder}/folder.gguf")
    expect("a folder as GGUF", [qtk, "inspect", f"{folder}/folder.gguf"], 3, "folder.gguf")
    for path in (f"{folder}/pipe", f"{folder}/as", *((f"{devices}/zero", f"{devices}/null") if is_root else ())):
        read_files = [
            [qtk, "eval", "--model", f"{inputs}/net", "--text", f"en={path}", "--windows", "1"],
            [qtk, "quantize", model, f"{folder}/z.safetensors", "--recipe-file", path],
            [qtk, "quantize", f"{inputs}/net", f"{folder}/z.gguf", "--imatrix", path],
            [fairness, "sweep", "--model", f"{inputs}/net", "--text", f"en={path}", "--windows", "1"],
            [fairness, "sweep", "--model", f"{inputs}/net", "--text", f"en={inputs}/en.txt", "--windows", "1", "--journal", path],
            [energy, "study", "--model", path], [energy, "calibrate", "--simulate", path], [energy, "calibrate", "--fit-only", "--observations", path],
            [energy, "calibrate", "--meter", "trace", "--fit-only", "--trace", path, "--observations", f"{inputs}/none.json"],
        ]
        for argv in read_files:
            done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=120, cwd=own)
            check(f"{path} read by {argv[1:]}", done.returncode in (2, 3, 4) and len(errors_of(done.stderr)) == 1, done.returncode, done.stderr)
    # What is no file is not replaced by one.
    os.symlink("/proc/self/fd/1", f"{devices}/stdout")
    for path in (f"{folder}/pipe", f"{folder}/as", f"{devices}/stdout", *((f"{devices}/null",) if is_root else ())):
        was = os.stat(path).st_mode
        expect(f"{path} as report", [qtk, "inspect", model, f"--json={path}"], 3, "file")
        expect(f"{path} as page", [energy, "calibrate", "--simulate", "horowitz_45nm", "--report", path], 3, "file")
        expect(f"{path} as table", [energy, "calibrate", "--simulate", "horowitz_45nm", "--out", path], 3, "file")
        check(f"{path} is what it was", stat.S_IFMT(os.stat(path).st_mode) == stat.S_IFMT(was))
    os.symlink(f"{folder}/real.json", f"{folder}/link.json")
    write(f"{folder}/real.json", b"old")
    done = subprocess.run([qtk, "inspect", model, f"--json={folder}/link.json"], capture_output=True, text=True, env=environment)
    check("a link is followed", done.returncode == 0 and os.path.islink(f"{folder}/link.json") and json.loads(read(f"{folder}/real.json")), done.stderr)
    expect("no folder for the report, found before the work", [qtk, "eval", "--model", f"{inputs}/net", "--windows", "all", f"--json={folder}/none/x.json"], 4, "x.json")
    check("nothing is left", not [f for f in os.listdir(folder) if f.startswith(".") or f[0] in "xyz"], os.listdir(folder))


def streams(folder):
    """Standard output that is full, closed, or read by nobody."""
    model = f"{inputs}/net/model.safetensors"
    lines = {
        "inspect": [qtk, "inspect", model], "inspect --json": [qtk, "inspect", model, "--json"], "help": [qtk, "--help"], "doctor": [qtk, "doctor"],
        "generate": [qtk, "generate", "--model", f"{inputs}/net", "--prompt", "a", "--tokens", "3"],
        "eval": [qtk, "eval", "--model", f"{inputs}/net", "--text", f"en={inputs}/en.txt", "--windows", "2", "--csv"],
        "sweep": [fairness, "sweep", "--model", f"{inputs}/net", "--text", f"en={inputs}/en.txt", "--text", f"de={inputs}/de.txt", "--windows", "2",
                  "--schemes", "i3/g8", "--journal", "{o}/journal"],
        "calibrate": [energy, "calibrate", "--simulate", "horowitz_45nm", "--json"],
        "quantize": [qtk, "quantize", model, "{o}/out.safetensors", "--scheme", "i4/g8", "--force"],
        "dry run": [qtk, "quantize", f"{inputs}/net", "{o}/dry", "--scheme", "i4/g8", "--method", "rtn", "--calibrate", f"en={inputs}/en.txt", "--dry-run"],
    }
    expected = None
    for kind in ("kept", "full", "closed", "broken"):
        for name, line in lines.items():
            out = f"{folder}/{name.replace(' ', '')}{kind}"
            os.mkdir(out)
            argv = [word.replace("{o}", out) for word in line]
            if kind == "kept":
                done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, cwd=own)
                check(f"{name}: runs", done.returncode == 0, done.stderr)
            elif kind == "full":
                with open("/dev/full", "w") as full:
                    done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, cwd=own)
                check(f"{name}: full standard output", done.returncode == 4 and len(errors_of(done.stderr)) == 1, done.returncode, done.stderr)
            elif kind == "closed":
                done = subprocess.run(argv, preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE, text=True, env=environment, cwd=own)
                check(f"{name}: closed standard output", done.returncode == 4 and len(errors_of(done.stderr)) == 1, done.returncode, done.stderr)
                subprocess.run(argv, preexec_fn=lambda: (os.close(0), os.close(1), os.close(2)), env=environment)
            else:
                begin, end = os.pipe()
                os.close(begin)
                done = subprocess.run(argv, stdout=end, stderr=subprocess.PIPE, text=True, env=environment, cwd=own)
                os.close(end)
                check(f"{name}: broken pipe", done.returncode in (-signal.SIGPIPE, 0), done.returncode, done.stderr)
            if name == "sweep":  # nothing that was printed lies in the journal
                content = read(f"{out}/journal")
                check(f"{name}: {kind}: the journal", all(isinstance(json.loads(one), dict) for one in content.splitlines()), content[:200])
            if name == "quantize" and os.path.exists(f"{out}/out.safetensors"):
                expected = expected or read(f"{out}/out.safetensors")
                check(f"{name}: {kind}: the file", read(f"{out}/out.safetensors") == expected)
            check(f"{name}: {kind}: nothing is left", not [f for f in os.listdir(out) if f.startswith(".")] or kind == "broken", os.listdir(out))


steps = [full_disk, nth_write, nth_allocation, signals, read_only, names, streams]
wanted = [s for s in steps if s.__name__ in arguments[6:]] or steps


def preloads():
    """Do the wanted steps need FAILING_CALLS?"""
    return nth_write in wanted or nth_allocation in wanted


with tempfile.TemporaryDirectory(prefix="qtk_faults_") as own:
    own = os.path.realpath(own)
    os.chmod(own, 0o755)
    step = commands
    inputs = f"{own}/inputs"
    os.mkdir(inputs)
    # A program with AddressSanitizer takes no other library before it.
    if preloads() and subprocess.run([qtk, "--version"], env=dict(environment, LD_PRELOAD=shim), capture_output=True).returncode != 0:
        counts["nth_write and nth_allocation left out (nothing can be preloaded)"] = 1
        wanted = [s for s in wanted if s not in (nth_write, nth_allocation)]
    golden = f"{source}/tests/golden"
    build(golden, f"{inputs}/net", "qwen2", "qwen2")
    build(golden, f"{inputs}/wide", "qwen2", "qwen2")
    tensors = read_safetensors(f"{inputs}/wide/model.safetensors")
    write_safetensors(f"{inputs}/wide/model.safetensors", tensors)
    for language in ("en", "de", "fr"):
        with open(f"{source}/examples/data/corpus/{language}.txt") as text:
            write(f"{inputs}/{language}.txt", "".join(text.readlines()[:60]).encode())
    subprocess.run([qtk, "quantize", f"{inputs}/net", f"{inputs}/net.gguf", "--type", "q8_0"], check=True, capture_output=True, env=environment)
    known = commands()
    began = used()
    if any(s in wanted for s in (full_disk, nth_write, nth_allocation, signals, read_only)):
        for command in known:
            command.begin(f"{own}/clean")
    print(f"{len(known)} commands that write: {used() - began:.1f} s of the processor", flush=True)
    for step in wanted:
        began = used()
        with tempfile.TemporaryDirectory(dir=own) as place:
            os.chmod(place, 0o755)
            try:
                step(place)
            except Exception as fault:  # one step must not hide the others
                failures.append(f"{step.__name__}: {fault!r}")
        print(f"{step.__name__}: {counts.get(step.__name__, 0)} checks, {used() - began:.1f} s of the processor", flush=True)
print("\n".join(f"{what}: {n}" for what, n in counts.items() if " " in what))
print("\n".join(failures) or "nothing was lost, and every message was clear")
sys.exit(bool(failures))
