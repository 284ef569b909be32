#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does scripts/performance.py say what the benches measured, and refuse what says nothing? Runs it on made-up results
whose figures can be checked by hand."""

import copy
import json
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as tree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def limit(name, rate, reached=1.0):
    unit = "ops_per_second" if "/peak/" in name else "bytes_per_second"
    return {"name": name, "run_name": name, "run_type": "iteration", "limit": rate, unit: rate * reached,
            "of_limit": reached}


def product(name, seconds, byte_count, operations, of_limit):
    return {"name": name, "run_name": name, "run_type": "iteration", "seconds": seconds,
            "bytes_per_second": byte_count / seconds, "ops_per_second": operations / seconds, "of_limit": of_limit}


def results():
    gigabyte = 1e9
    return {
        "context": {
            "date": "2031-02-03T04:05:06+00:00", "executable": "build/bench/kernel/qtk_bench_kernel", "num_cpus": 4,
            "caches": [{"type": "Data", "level": 1, "size": 32768}, {"type": "Unified", "level": 2, "size": 2097152}],
            "processor": "Made-up 9000", "threads": "1", "isa": "avx512", "extent": "full", "commit": "abc123",
            "compiler": "GNU 12", "flags": "-O3", "qtk": "9.8.7", "onednn": "2.6.3",
        },
        "benchmarks": [
            limit("limit/read/l2", 100 * gigabyte), limit("limit/read/l3", 40 * gigabyte),
            limit("limit/read/dram", 20 * gigabyte, 0.75), limit("limit/peak/fma/portable", 50e9),
            limit("limit/peak/vnni/avx512", 900e9),
            product("gemv/f32/openblas/1x4096x4096/hot", 4e-3, 64e6, 32e6, 0.8),
            product("gemv/i4/g128/sym/a8-group/avx512/1x4096x4096/hot", 1e-3, 8e6, 32e6, 0.25),
            product("gemm/f32/openblas/16x4096x4096/hot", 8e-3, 64e6, 512e6, 0.5),
            product("gemm/i4/g128/sym/a8-group/avx512/16x4096x4096/hot", 1e-3, 9e6, 512e6, 0.57),
            {"name": "encode/i4/tensor/sym/f32/float_loop/4096", "run_type": "iteration", "cpu_time": 8000.0,
             "time_unit": "ns", "bytes_per_second": 2.5e9, "of_limit": 0.025},
            {"name": "encode/i4/tensor/sym/f32/avx512/4096", "run_type": "iteration", "cpu_time": 1.0,
             "time_unit": "us", "bytes_per_second": 20.4e9, "of_limit": 0.204},
        ],
    }


class Performance(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.page, self.picture = self.folder / "docs/page.md", self.folder / "docs/roof.svg"

    def run_on(self, *contents, more=()):
        files = []
        for i, content in enumerate(contents):
            files.append(self.folder / f"{i}.json")
            files[-1].write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return subprocess.run([sys.executable, ROOT / "scripts/performance.py", *files, "--page", self.page, "--picture",
                               self.picture, *more], capture_output=True, text=True)

    def page_of(self, *contents, more=()):
        done = self.run_on(*contents, more=more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return self.page.read_text(encoding="utf-8")

    def assert_refused(self, content, *words):
        done = self.run_on(content)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertTrue(done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(self.page.exists() or self.picture.exists())

    def test_page_names_machine_and_run(self):
        page = self.page_of(results())
        for word in ("Made-up 9000", "L1 32 KiB, L2 2 MiB", "GNU 12, `-O3`", "9.8.7, commit abc123", "2031-02-03",
                     "OpenBLAS | not installed", "](roof.svg)"):
            self.assertIn(word, page)

    def test_figures_are_those_of_the_rows(self):
        page = self.page_of(results())
        self.assertIn("| `limit/read/dram` | 20.0 GB/s (75 %) |", page)
        self.assertIn("| `i4/g128/sym`, a8-group, avx512 | hot | 1.00 | 8.00 | 25 % | 4.00 |  |", page)
        self.assertIn("| OpenBLAS, f32 | 64.0 (50 %) |", page)
        self.assertIn("| `i4/g128/sym`, a8-group, avx512 | 512 (57 %) |", page)
        self.assertIn("| `i4/g128/sym`, a8-group, avx512 | 8.00 / - |", page)
        self.assertIn("| `i4/tensor/sym/f32`, plain loop | 2.50 (2.5 %) |", page)
        self.assertIn("| `i4/tensor/sym/f32`, avx512 | 20.4 (20 %; 8.00x) |", page)

    def test_picture_holds_roofs_and_every_product(self):
        self.page_of(results())
        picture = tree.parse(self.picture).getroot()
        words = [element.text for element in picture.iter(SVG + "text")]
        for word in ("L3 40 GB/s", "DRAM 20 GB/s", "int8 VNNI 900 GOP/s", "OpenBLAS, f32", "i4/g128/sym, a8-group, avx512"):
            self.assertIn(word, words)
        points = [element for element in picture.iter(SVG + "circle") if element.get("stroke")]
        self.assertEqual(len(points), 4)
        # 8, 64, 32 and 512 GOP/s: the faster, the higher.
        heights = [float(point.get("cy")) for point in points]
        self.assertTrue(heights[3] < heights[1] < heights[2] < heights[0], heights)

    def test_median_of_repetitions_counts(self):
        run = results()
        row = run["benchmarks"].pop(6)
        for i, factor in enumerate((1.0, 2.0, 3.0)):
            run["benchmarks"].append({**row, "seconds": 1e-3 * factor, "repetition_index": i})
        run["benchmarks"].append({**row, "name": row["name"] + "_median", "run_type": "aggregate",
                                  "aggregate_name": "median", "seconds": 2e-3})
        self.assertIn("a8-group, avx512 | hot | 2.00 |", self.page_of(run))

    def test_two_threads_are_compared_among_themselves(self):
        run = copy.deepcopy(results())
        run["context"]["threads"] = "2"
        run["benchmarks"][0]["limit"] = 200e9
        run["benchmarks"][5]["seconds"] = 2e-3
        page = self.page_of(results(), run)
        self.assertIn("| `limit/read/l2` | 100 GB/s (100 %) | 200 GB/s (100 %) |", page)
        single, double = page.split("## Products Y = X W^T, 2 threads")
        self.assertIn("25 % | 4.00 |", single)
        self.assertIn("25 % | 2.00 |", double)

    def test_merge_reads_like_its_parts(self):
        merged = self.folder / "merged.json"
        page = self.page_of(results(), more=("--merge", merged))
        self.assertEqual(json.loads(merged.read_text())["schema"], "qtk.bench/1")
        self.assertEqual(self.page_of(merged.read_text()), page)

    def test_missing_limits_are_refused_by_name(self):
        run = results()
        run["benchmarks"] = [row for row in run["benchmarks"] if row["name"] != "limit/read/dram"]
        self.assert_refused(run, "limit/read/dram", "kernel, 1 thread(s)", "--benchmark_filter")

    def test_what_measured_nothing_is_refused(self):
        smoke, failed, bare = results(), results(), results()
        smoke["context"]["extent"] = "smoke"
        self.assert_refused(smoke, "QTK_BENCH=smoke")
        failed["benchmarks"][5].update(error_occurred=True, error_message="out of tiles")
        self.assert_refused(failed, "gemv/f32/openblas/1x4096x4096/hot", "out of tiles")
        del bare["benchmarks"][5]["of_limit"]
        self.assert_refused(bare, "gemv/f32/openblas/1x4096x4096/hot", "of_limit")
        self.assert_refused("{", "0.json", "JSON")
        self.assert_refused({"schema": "qtk.eval/1"}, "qtk.eval/1", "qtk.bench/1")


class BenchScript(unittest.TestCase):
    def run_with(self, *arguments):
        return subprocess.run([ROOT / "scripts/bench.sh", *arguments], capture_output=True, text=True)

    def test_help_and_wrong_arguments(self):
        self.assertIn("--json=FILE", self.run_with("--help").stdout)
        for arguments in (["--fast"], ["--json"], ["--json=/does/not/exist/x.json"], ["--benchmark_out=x"]):
            done = self.run_with(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertTrue(done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr)
            self.assertIn(arguments[0], done.stderr)


if __name__ == "__main__":
    unittest.main()
