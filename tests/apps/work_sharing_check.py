#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is shared work the same whoever does it, and does it get done when ranks die, hang, throw or end early?"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

program = os.path.abspath(sys.argv[1])
failures = []
environment = {**os.environ, "OMP_NUM_THREADS": "1"}
recovering = ["--enable-recovery"]
guarded = ["--mca", "orte_allowed_exit_without_sync", "1"]
guard = ["sh", "-c", '"$@" || { code=$?; test $OMPI_COMM_WORLD_RANK != 0 || exit $code; }', "sh"]


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def run(*command, threads=1):
    """Nothing here takes longer than some seconds, on a machine that does nothing else."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL,
                              env={**environment, "OMP_NUM_THREADS": str(threads)})
    except subprocess.TimeoutExpired as e:
        failures.append(f"{command} hangs: {e.stdout} {e.stderr}")
        return subprocess.CompletedProcess(command, None, "", "")


def rounds(done):
    """[(hash of the answers, {rank: pieces})], as the first rank prints them."""
    return [(found[1], {int(rank): int(pieces) for rank, pieces in re.findall(r"(\d+):(\d+)", found[2])})
            for found in re.finditer(r"^round \d: ([0-9a-f]{16}) twice 0 by(.*)$", done.stdout, re.M)]


def check_answers(what, done, status=0):
    """Two rounds with the answers of one process."""
    got = rounds(done)
    check(what, done.returncode == status and [h for h, _ in got] == hashes and all(sum(by.values()) == 40 for _, by in got),
          done.returncode, done.stdout, done.stderr)
    return [by for _, by in got] or [{}, {}]


check("who gets what", run(program, "board").returncode == 0)
alone = run(program)
hashes = [h for h, _ in rounds(alone)]
check("alone", alone.returncode == 0 and len(set(hashes)) == 2 and alone.stdout.startswith("alone\n"), alone.stdout, alone.stderr)
check_answers("two threads", run(program, threads=2))
for threads in (1, 2):
    check("what answering throws", run(program, "refuse=17", threads=threads).returncode == 7)
    check("what receiving throws", run(program, "full=17", threads=threads).returncode == 8)
check("an early end", run(program, "end=0", "code=4").returncode == 4)

mpirun = shutil.which("mpirun")
is_open_mpi = mpirun is not None and "Open MPI" in run(mpirun, "--version").stdout
if run(program, "built-with").stdout == "mpi\n" and is_open_mpi:
    as_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []

    def ranks(n, *arguments, flags=(), before=(), threads=1):
        """Arguments that say `wait` get a folder for the marks."""
        with tempfile.TemporaryDirectory() as marks:
            return run(mpirun, *as_root, "--oversubscribe", "-n", str(n), *flags, *before, program, f"marks={marks}",
                       *arguments, threads=threads)

    for n, others in ((1, ""), (2, "1"), (3, "1,2")):
        done = ranks(n, f"wait={others}")
        by = check_answers(f"{n} ranks", done)
        check(f"{n} ranks all work", set(by[0]) == set(range(n)), by)
        check("they are described", done.stdout.startswith(f"{n} ranks, 1 thread each\n" if n > 1 else "alone\n"), done.stdout)
        check("the others are silent", "this" not in done.stdout + done.stderr, done.stdout, done.stderr)
    check_answers("two ranks of two threads", ranks(2, "wait=1", threads=2))

    for flags, before in ((recovering, []), (guarded, guard)):
        done = ranks(2, "kill=1", "at=3", "wait=1", flags=flags, before=before)
        by = check_answers(f"{flags}: a killed rank", done)
        check("costs what it was at", by[0].get(1) == 2 and 1 not in by[1] and "rank 1 has died" in done.stderr, by, done.stderr)
        by = check_answers("one of three", ranks(3, "kill=2", "wait=1,2", flags=flags, before=before))
        check("the others go on", 2 not in by[0] and 2 not in by[1] and 1 in by[0], by)
        ranks(3, "kill=0", flags=flags, before=before)  # does not hang
    done = ranks(2, "kill=1", "wait=1", "full=30", flags=guarded, before=guard)
    check("the exit code beside a dead rank", done.returncode == 8, done.returncode, done.stderr)
    check("without these flags mpirun ends all", ranks(2, "kill=1", "wait=1").returncode not in (0, None))

    by = check_answers("a rank that hangs", ranks(3, "hang=1", "at=2", "wait=1,2"))
    check("costs what it was at", by[0].get(1) == 1 and 1 not in by[1], by)
    by = check_answers("a rank whose thread hangs", ranks(2, "hang=1", "at=2", "wait=1", threads=2))
    check("is asked no more in the next round", 1 in by[0] and 1 not in by[1], by)
    by = check_answers("answers that come a round late", ranks(3, "late=1", "at=2", "wait=1,2"))
    check("are missed in their round", by[0].get(1) == 1, by)
    by = check_answers("a rank that throws", ranks(2, "throw=1", "at=3", "wait=1"))
    check("goes on with the next", 1 in by[0], by)

    for n in (2, 3):
        check("what answering throws", ranks(n, "refuse=17").returncode == 7)
        check("also with much to do", ranks(n, "refuse=1", "milliseconds=100", "requests=1000").returncode == 7)
        check("what receiving throws", ranks(n, "full=17", f"wait={n - 1}").returncode == 8)
        done = ranks(n, "end=0", "code=4")
        check("the first ends early", done.returncode == 4 and "asked to end" in done.stderr, done.returncode, done.stderr)
        done = ranks(n, "end=all", "code=2")
        check("all end early, with one error", done.returncode == 2 and done.stderr.count("error: ") == 1, done.returncode, done.stderr)
        done = ranks(n, "end=1", "code=3")
        by = check_answers("another ends early", done)
        check("and is missed", 1 not in by[0], by)
        check_answers("another ends early, without an error", ranks(n, "end=1"))

for failure in failures:
    print(failure)
sys.exit(1 if failures else 0)
