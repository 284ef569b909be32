#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C: exit code 130, a word to the user, and no file that was not there before."""
import os
import signal
import subprocess
import sys
import tempfile
import time

program, source = sys.argv[1:3]
with tempfile.TemporaryDirectory() as folder:
    work = subprocess.Popen([program, "quickstart", "--windows", "all", f"--json={folder}/report.json"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    work.stdout.readline()  # it has loaded the model and begins
    time.sleep(0.2)
    work.send_signal(signal.SIGINT)
    _, said = work.communicate(timeout=60)
    left = os.listdir(folder)
    print(work.returncode, said, left)
    sys.exit(not (work.returncode == 130 and "interrupted" in said and left == []))
