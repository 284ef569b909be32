#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a model file that becomes shorter while it is read give one clear error and exit code 3, and no crash?"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

program, source = sys.argv[1:3]
llama = f"{source}/examples/data/polyglot-llama"
failures = []


def is_mapped(process, path):
    try:
        with open(f"/proc/{process.pid}/maps") as maps:
            return path in maps.read()
    except OSError:
        return False


def truncated(what, path, arguments, wait):
    """Cuts the file to one page once the program has mapped it."""
    work = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.time() + 60
    while work.poll() is None and time.time() < until and not is_mapped(work, path):
        time.sleep(0.001)
    time.sleep(wait)
    was_running = work.poll() is None
    os.truncate(path, 4096)
    try:
        _, said = work.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        work.kill()
        _, said = work.communicate()
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    if not was_running or work.returncode != 3 or len(lines) != 1 or path not in lines[0] or "shorter" not in lines[0]:
        failures.append(f"{what}: ran: {was_running}, exit {work.returncode}, said: {said!r}")


if sys.platform != "linux":
    print("skipped: mappings are known from /proc on Linux alone")
    sys.exit(0)
with tempfile.TemporaryDirectory() as folder:
    folder = os.path.realpath(folder)
    gguf = f"{folder}/model.gguf"
    subprocess.run([program, "quantize", llama, gguf, "--type", "f16"], check=True, capture_output=True)
    for threads in ("1", "2"):
        copy = f"{folder}/copy{threads}.gguf"
        shutil.copy(gguf, copy)
        # Runs until it is stopped: weights are read from the mapping at every token.
        truncated(f"GGUF, {threads} threads", copy,
                  ["bench", "--model", copy, "--formats", "stored", "--runs", "1000000", "--threads", threads], 0.3)

print("\n".join(failures) or "a file that is lost is named")
sys.exit(bool(failures))
