#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a sweep that was killed go on where it was and end with the same figures, and do several ranks of mpirun, of which one
may die, give those of one process?"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

program, source = sys.argv[1:3]
with_ranks = sys.argv[4] if len(sys.argv) > 4 else None
failures = []
arguments = ["sweep", "--langs", "en,ar,zh", "--windows", "4", "--protect", "1", "--schemes", "i3/g64/asym"]


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def rows_of(path):
    with open(path) as file:
        return json.load(file)["rows"]


def run(*more, of=(program,), **how):
    return subprocess.run([*of, *arguments, *more], capture_output=True, text=True, timeout=300, **how)


def wait_for_lines(path, lines, process):
    end = time.time() + 120
    while time.time() < end and process.poll() is None:
        if os.path.exists(path) and open(path, "rb").read().count(b"\n") >= lines:
            return True
        time.sleep(0.01)
    return False


with tempfile.TemporaryDirectory() as folder:
    done = run(f"--json={folder}/whole.json")
    check("a sweep without a journal", done.returncode == 0, done.stderr)
    whole = rows_of(f"{folder}/whole.json")

    for name, kill in (("kill", signal.SIGKILL), ("interrupt", signal.SIGINT)):
        journal = f"{folder}/{name}.jsonl"
        process = subprocess.Popen([program, *arguments, "--journal", journal], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        check("the journal grows", wait_for_lines(journal, 40, process))
        process.send_signal(kill)
        stderr = process.communicate()[1]
        check(f"{name}: it ended by it", process.returncode == (-9 if name == "kill" else 130), process.returncode, stderr)
        with open(journal, "a") as file:
            file.write('{"key":"cut sho')  # what a kill in the middle of a line leaves
        held = open(journal).read().count("\n") - 1
        done = run("--journal", journal, f"--json={folder}/again.json")
        check(f"{name}: it goes on", done.returncode == 0 and f"{held} results are taken from" in done.stdout, done.stdout[:200], done.stderr)
        check(f"{name}: the figures are the same", rows_of(f"{folder}/again.json") == whole)
    before = os.path.getsize(journal)
    done = run("--journal", journal, f"--json={folder}/again.json")
    check("all of it is there: nothing is added, nothing computed", os.path.getsize(journal) == before and rows_of(f"{folder}/again.json") == whole, done.stderr)
    # Another text, width or method is not what the journal holds.
    for other in (["--windows", "3"], ["--schemes", "i2/g64/asym"], ["--model", f"{source}/examples/data/polyglot-gpt2"]):
        mine = list(arguments)
        if other[0] in mine:  # a flag is given once
            del mine[mine.index(other[0]) : mine.index(other[0]) + 2]
        done = [subprocess.run([program, *mine, *other, *more, f"--json={folder}/o{i}.json"], capture_output=True, text=True)
                for i, more in enumerate(([], ["--journal", journal]))]
        check(f"{other}: a journal of something else changes nothing", rows_of(f"{folder}/o0.json") == rows_of(f"{folder}/o1.json"), done[1].stderr)

    lines = open(journal).read().split("\n")
    open(journal, "w").write("\n".join([*lines[:5], "nonsense", *lines[5:]]))
    done = run("--journal", journal)
    check("a broken line", done.returncode == 3 and "this line of the journal is broken" in done.stderr, done.stderr)
    holder = subprocess.Popen(["flock", journal, "sleep", "60"]) if shutil.which("flock") else None
    if holder:
        time.sleep(0.5)
        done = run("--journal", journal)
        check("a journal in use", done.returncode == 4 and "another process is using it" in done.stderr, done.returncode, done.stderr)
        holder.kill()
    done = run("--journal", f"{folder}/full.jsonl", preexec_fn=lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_FSIZE, (9000, 9000)))
    check("a full disk", done.returncode == 4 and "what it holds is whole" in done.stderr, done.returncode, done.stderr)
    done = run("--journal", f"{folder}/full.jsonl", f"--json={folder}/again.json")
    check("and on from there", done.returncode == 0 and "results are taken" in done.stdout and rows_of(f"{folder}/again.json") == whole, done.stderr)

    if with_ranks and shutil.which("mpirun"):
        root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
        mpirun = ["mpirun", *root, "--oversubscribe", "--bind-to", "none", "--enable-recovery", "-n", "3", with_ranks]
        done = run(f"--json={folder}/ranks.json", of=mpirun)
        check("three ranks", done.returncode == 0 and "Run by 3 ranks" in done.stdout, done.stdout[-300:], done.stderr)
        check("give the figures of one process", rows_of(f"{folder}/ranks.json") == whole)
        journal = f"{folder}/ranks.jsonl"
        process = subprocess.Popen([*mpirun, *arguments, "--journal", journal, f"--json={folder}/ranks.json"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        check("the journal grows", wait_for_lines(journal, 30, process))
        ranks = subprocess.run(["pgrep", "-f", f"^{with_ranks} .*{journal}"], capture_output=True, text=True).stdout.split()
        check("three processes", len(ranks) == 3, ranks)
        for pid in ranks:  # the first rank is the one that has the journal open
            if not any(os.path.realpath(f"/proc/{pid}/fd/{fd}") == os.path.realpath(journal) for fd in os.listdir(f"/proc/{pid}/fd")):
                os.kill(int(pid), signal.SIGKILL)
                break
        stderr = process.communicate(timeout=300)[1]
        check("a rank that died is named", "has died; the others do its work" in stderr, stderr)
        check("and nothing is lost", rows_of(f"{folder}/ranks.json") == whole)

for failure in failures:
    print(failure)
sys.exit(1 if failures else 0)
