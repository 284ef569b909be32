#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a calibration find planted coefficients (in a rehearsal, and from kernels that ran and a recorded trace), is nothing lost when it
is killed, does it read RAPL's counters, and is every error clear?"""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

program = sys.argv[1]
qtk = sys.argv[3] if len(sys.argv) > 3 else None
failures = []


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def run(*arguments, of=program, **how):
    return subprocess.run([of, *arguments], capture_output=True, text=True, timeout=300, **how)


def calibrate(*arguments, **how):
    return run("calibrate", *arguments, **how)


def expect(what, done, code, *words):
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    text = done.stderr + done.stdout
    if done.returncode != code or any(word not in text for word in words) or (code not in (0, 2) and len(errors) != 1):
        failures.append(f"{what}: exit {done.returncode} (expected {code}), said: {text!r}")


def load(path):
    with open(path) as file:
        return json.load(file)


def save(path, value):
    with open(path, "w") as file:
        file.write(value if isinstance(value, str) else json.dumps(value))
    return path


processor = {"format": "qtk energy table 1", "name": "processor", "citation": "made up for a test", "static_watts": 3,
             "integer": {"mul": [{"weight_bits": 4, "activation_bits": 8, "pj": 3}, {"weight_bits": 8, "activation_bits": 8, "pj": 8}], "add": []},
             "float": {"mul": [{"weight_bits": 32, "activation_bits": 32, "pj": 60}], "add": []},
             "bfloat": {"mul": [{"weight_bits": 16, "activation_bits": 16, "pj": 25}], "add": []},
             "pj_per_bit": {"dram": 20, "sram_1mib": 4, "sram_32kib": 1}}

with tempfile.TemporaryDirectory() as folder:
    at = lambda name: os.path.join(folder, name)
    nowhere = ("--powercap", at("no-such-folder"), "--observations", at("none.json"), "--out", at("none-table.json"))

    # Without a meter.
    expect("no meter", calibrate(*nowhere), 2, "no RAPL meter", at("no-such-folder"), "No such file", "Hint:", "--plan-only", "--simulate")
    check("no meter leaves nothing behind", os.listdir(folder) == [], os.listdir(folder))
    expect("a GPU's meter", calibrate("--meter", "nvml", *nowhere), 2, "NVML measures the GPU", "--fit-only")
    expect("a processor's meter for a GPU", calibrate("--meter", "rapl", "--device", "cuda", *nowhere), 2, "RAPL measures the processor")
    if not os.path.exists("/dev/nvidia0"):
        expect("no GPU", calibrate("--device", "cuda", *nowhere), 2, "--device cuda", "Hint: build qtk with nvcc")
    os.makedirs(at("forbidden/intel-rapl:0"))
    save(at("forbidden/intel-rapl:0/name"), "package-0\n")
    expect("a counter that cannot be read", calibrate("--powercap", at("forbidden"), *nowhere[2:]), 2, "energy", "root")

    # Before the first run, not after the last.
    for flags in (("--simulate", "horowitz_45nm", "--out", at("no/file.json")), ("--meter", "trace", "--observations", at("no/file.json"))):
        done = calibrate(*flags)
        expect(f"no folder for {flags[-2]}", done, 4, at("no/file.json"), "create a file in its folder")
        check("and nothing was run", "Measuring" not in done.stdout + done.stderr, done.stdout)

    # The plan.
    done = calibrate("--plan-only", f"--json={at('plan.json')}")
    expect("the plan", done, 0, "64 runs fit 8 coefficients", "mul integer 4x8", "bits dram", "Condition of the columns")
    plan = load(at("plan.json"))
    check("the plan as JSON", plan["schema"] == "qtk.energy.calibrate.plan/1" and len(plan["rows"]) == 64 and plan["condition"] < 100, plan["condition"])

    # A rehearsal: the planted coefficients lie in their intervals about as often as the level says.
    table = save(at("processor.json"), processor)
    inside = total = 0
    for seed in range(6):
        done = calibrate("--simulate", table, "--seed", str(seed), f"--json={at('rehearsal.json')}")
        expect("a rehearsal", done, 0, "NOTHING WAS MEASURED", "planted")
        report = load(at("rehearsal.json"))
        check("it says what it is", report["is_rehearsal"] and report["planted"] == "processor" and report["schema"] == "qtk.energy.calibrate/1")
        check("its error", 0 < report["mape"] < 0.15 and report["is_under_target"] and report["r_squared"] > 0.99, report["mape"])
        planted = {c["name"]: c["planted"] for c in report["coefficients"]}
        check("what was planted", planted["mul integer 8x8"] == 8 and planted["bits dram"] == 20 and planted["time"] == 3, planted)
        for c in report["coefficients"]:
            is_inside = c["figure"]["low"] <= c["planted"] <= c["figure"]["high"]
            check("inside is inside", c["is_inside"] == is_inside, c)
            inside, total = inside + is_inside, total + 1
    check("planted coefficients in their 95 % intervals", inside >= 0.85 * total, inside, total)
    check("a rehearsal writes no table", not os.path.exists("energy-table.json") and "Table:" not in done.stdout)
    exact = calibrate("--simulate", table, "--noise", "0", f"--json={at('rehearsal.json')}")
    check("without noise they are found exactly",
          all(abs(c["figure"]["value"] - c["planted"]) < 1e-6 * c["planted"] for c in load(at("rehearsal.json"))["coefficients"]), exact.stdout)
    done = calibrate("--simulate", table, "--noise", "0.45", "--seed", "3")
    check("a bad fit is called one", "NOT under the target of 15 %" in done.stdout and "Do not trust" in done.stdout, done.stdout)
    for name in ("quadratic_linear_1_200", "tpu_7nm", "epyc_7763_power_bound"):
        expect(f"a rehearsal of {name}", calibrate("--simulate", name), 0, "REHEARSAL", name)
    done = calibrate("--simulate", table, "--out", at("rehearsed.json"), "--report", at("page.html"))
    check("a rehearsed table says so", "nothing measured" in load(at("rehearsed.json"))["citation"], done.stderr)
    page = open(at("page.html")).read()
    check("the page", "NOTHING WAS MEASURED" in page and "J, made up" in page and "held out" in page)
    check("the same for any number of threads",
          calibrate("--simulate", table, "--threads", "1").stdout.splitlines()[4:] == calibrate("--simulate", table, "--threads", "3").stdout.splitlines()[4:])

    # Kernels that really run; a full disk, a kill and Ctrl-C in between; their joules come from a recorded trace.
    short = ("--meter", "trace", "--formats", "fp32,w8a8", "--seconds", "0.004", "--pause", "0.01", "--threads", "1")
    runs = at("runs.json")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))
    expect("a full disk", calibrate(*short, "--observations", runs, preexec_fn=limit), 4, "runs.json", "the old file is untouched")
    held = load(runs)["observations"]
    check("what was measured before is whole", 1 <= len(held) < 32, len(held))
    for kill, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        process = subprocess.Popen([program, "calibrate", *short, "--observations", runs], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.time() + 120
        while time.time() < end and process.poll() is None and len(load(runs)["observations"]) < len(held) + 3:
            time.sleep(0.005)
        process.send_signal(kill)
        check("it ended by the signal", process.wait(60) == code, kill, process.returncode)
        now = load(runs)["observations"]
        check("nothing that was measured is lost", len(held) + 3 <= len(now) < 32 and now[:len(held)] == held, len(held), len(now))
        held = now
    done = calibrate(*short, "--observations", runs)
    expect("it goes on", done, 0, f"{len(held)} of 32 runs are taken from", "no joules yet")
    record = load(runs)
    check("the first runs are those from before", record["observations"][:len(held)] == held and len(record["observations"]) == 32)
    check("no temporary file is left but the killed one's", len([f for f in os.listdir(folder) if f.startswith(".runs")]) <= 1, os.listdir(folder))

    price = {("integer", 8): 8e-12, ("float", 32): 60e-12}
    bits = {"dram": 20e-12, "sram_1mib": 4e-12, "sram_32kib": 1e-12, "sram_8kib": 0}

    def joules(one, error):
        used = 3 * one["seconds"]
        for work in one["works"]:
            used += work["macs"] * price[work["weight"]["kind"], work["weight"]["bits"]]
            used += sum(bits[level] * count for level, count in work["moved"].items())
        return used * (1 + error)

    trace, counter = ["seconds,joules"], 100.0
    for i, one in enumerate(record["observations"]):
        trace.append(f"{one['start'] - 1000:.9f},{counter!r}")
        counter += joules(one, (0.01, -0.01, 0.005, -0.004, 0.0, 0.008)[i * 7 % 6])
        trace.append(f"{one['start'] - 1000 + one['seconds']:.9f},{counter!r}")
    half = len(trace) // 4 * 2 + 1
    first, second = save(at("a.csv"), "\n".join(trace[:half]) + "\n"), save(at("b.csv"), "\n".join([trace[0], *trace[half:]]) + "\n")
    # The trace ends where the last run ends, to the rounding of its text.
    with open(second, "a") as file:
        file.write(f"{record['observations'][-1]['start'] - 900:.9f},{counter + 300!r}\n")
    traced = ("--meter", "trace", "--formats", "fp32,w8a8", "--threads", "1", "--observations", runs, "--trace", first, "--trace", second)
    expect("a trace of another clock", calibrate(*traced), 2, "no trace covers the run", "--trace-offset")
    fitted = at("fitted.json")
    done = calibrate(*traced, "--trace-offset", "1000.0000001", "--out", fitted, f"--json={at('traced.json')}")
    expect("a recorded trace", done, 0, "recorded trace", "R^2", "under the target of 15 %", "--energy-table")
    if done.returncode != 0:
        print("\n".join(failures))
        sys.exit(1)
    report = load(at("traced.json"))
    planted = {"mul integer 8x8": 8, "mul float 32x32": 60, "bits dram": 20, "bits sram_1mib": 4, "bits sram_32kib": 1, "time": 3}
    found = {c["name"]: c["figure"] for c in report["coefficients"]}
    outside = [n for n in planted if not found[n]["low"] <= planted[n] <= found[n]["high"]]
    far_off = [n for n in outside if abs(found[n]["value"] - planted[n]) > 2 * (found[n]["high"] - found[n]["low"])]
    # How long each run took is this machine's affair: of six intervals one or two may miss.
    check("it finds what was planted in the trace", set(found) == set(planted) and len(outside) <= 2 and not far_off and report["mape"] < 0.15,
          outside, report["mape"], found)
    check("rows", len(report["rows"]) == 32 and sum(r["is_held_out"] for r in report["rows"]) == 6 and not report["is_rehearsal"])
    check("the table says where it is from", "recorded trace" in load(fitted)["citation"] and load(fitted)["calibration"]["held_out"] == 6)
    if qtk:
        few = ("quickstart", "--langs", "en", "--windows", "1", "--schemes", "fp32,i8/channel")
        done = run(*few, "--energy-table", fitted, f"--json={at('quick.json')}", of=qtk)
        expect("a table of one's own", done, 0, "energy table fitted", "recorded trace", "ignores")
        check("its name", load(at("quick.json"))["rows"][0]["energy_table"] == "fitted")
        expect("a name that is almost right", run(*few, "--energy-table", "horovitz_45nm", of=qtk), 2, "h200_power_bound", "Did you mean horowitz_45nm?")
        expect("no such table", run(*few, "--energy-table", at("no.json"), of=qtk), 3, "no.json")

    # Other runs than those in the file.
    expect("another plan", calibrate("--meter", "trace", "--threads", "1", "--observations", runs), 2, 'its run 9 is "w8a8, far, one row"', "--fit-only")
    expect("fewer runs", calibrate(*traced, "--replicates", "1"), 2, "holds 32 runs", "16")
    expect("another machine", calibrate(*traced[:4], "--threads", "2", "--observations", runs), 2, "was measured on")
    expect("joules that are missing", calibrate("--fit-only", "--observations", runs), 2, "has no joules", "--trace")
    record["observations"] = [dict(one, joules=joules(one, 0)) for one in record["observations"]]
    save(at("measured.json"), record)
    done = calibrate("--fit-only", "--observations", at("measured.json"), "--out", at("measured-table.json"))
    expect("observations of others", done, 0, "32 runs are taken", "R^2")

    # Files that are broken.
    broken = lambda change: save(at("broken.json"), change(json.loads(json.dumps(record))))
    fit = lambda: calibrate("--fit-only", "--observations", at("broken.json"), "--out", at("never.json"))

    def first_changed(**members):
        def change(whole):
            whole["observations"][0].update(members)
            return whole
        return change

    for what, change, code, words in (
            ("not JSON", lambda r: json.dumps(r)[:300], 3, ("broken.json", "not JSON")),
            ("another format", lambda r: dict(r, format="x"), 3, ("qtk energy observations 1",)),
            ("no machine", lambda r: {k: v for k, v in r.items() if k != "machine"}, 3, ("machine",)),
            ("a member too many", first_changed(jouls=3), 3, ("unknown member", "jouls")),
            ("negative joules", first_changed(joules=-1), 3, ("joules",)),
            ("no energy", first_changed(joules=0), 2, ("energy above zero",)),
            ("a kind that is none", first_changed(works=[dict(record["observations"][0]["works"][0], weight={"kind": "decimal", "bits": 8})]), 3, ("decimal",)),
            ("works that are none", first_changed(works=3), 3, ("works",)),
            ("too few", lambda r: dict(r, observations=r["observations"][:4]), 2, ("observations",)),
            ("alike", lambda r: dict(r, observations=[r["observations"][0]] * 30), 2, ("cannot tell",))):
        broken(change)
        expect(what, fit(), code, *words)
    check("a broken file gives no table", not os.path.exists(at("never.json")))
    for text, words in (("time,energy\n1,2\n", "seconds,joules"), ("seconds,joules\n1;2\n", "line 2"), ("seconds,joules\n2,1\n1,2\n", "rising time")):
        save(at("bad.csv"), text)
        expect("a broken trace", calibrate(*traced[:8], "--trace", at("bad.csv")), 3, "bad.csv", words)
    expect("no trace", calibrate(*traced[:8], "--trace", at("no.csv")), 3, "no.csv")

    # Wrong flags.
    for flags, words in ((("--meter", "magic"), ("magic", "rapl")), (("--device", "gpu"), ("gpu", "cuda")), (("--formats", "fp23"), ("Did you mean",)), (("--formats", "bf16"), ("no kernel",)),
                         (("--formats", "w8a8,i8/g64@a8"), ("multiplies the same numbers",)), (("--seconds", "0"), ("--seconds",)),
                         (("--macs", "-3"), ("--macs",)), (("--replicates", "0"), ("--replicates",)), (("--fit-only", "--plan-only"), ("one of",)),
                         (("--simulate", "magic"), ("magic", "horowitz_45nm")), (("--noise", "2"), ("--noise",)), (("--held-out", "1.5"), ("held out",)),
                         (("--meter", "rapl", "--trace", first), ("--meter trace",)), (("--fit-only",), ("no file",)), (("--sconds", "3"), ("Did you mean --seconds?",))):
        more = ("--simulate", table) if flags[0] in ("--held-out",) else ()
        expect(f"wrong: {flags}", calibrate(*flags, *more, *(nowhere[2:] if flags[0] != "--plan-only" else ())), 2, *words)

    # RAPL's counters, which wrap around: 40 W whatever runs.
    zone = at("rapl/intel-rapl:0")
    os.makedirs(zone)
    save(f"{zone}/name", "package-0\n")
    save(f"{zone}/max_energy_range_uj", "20000000\n")
    stop = threading.Event()

    def count():
        while not stop.is_set():
            save(f"{zone}/energy_uj.new", f"{int(time.monotonic() * 40e6) % 20000000}\n")
            os.replace(f"{zone}/energy_uj.new", f"{zone}/energy_uj")
            time.sleep(0.0005)

    thread = threading.Thread(target=count)
    thread.start()
    time.sleep(0.05)
    done = calibrate("--powercap", at("rapl"), "--formats", "w8a8", "--seconds", "0.1", "--pause", "0.1", "--threads", "1", "--out", at("rapl.json"),
                     f"--json={at('rapl-report.json')}")
    stop.set()
    thread.join()
    expect("RAPL", done, 0, "Meter: RAPL, not the whole machine: package-0", "rapl.observations.json")
    if done.returncode == 0:
        report = load(at("rapl-report.json"))
        found = {c["name"]: c["figure"]["value"] for c in report["coefficients"]}
        # Wide, for the counter moves when a busy machine lets it; one wrap that is not followed would be 200 W.
        check("about 40 W", all(10 < r["joules"] / r["seconds"] < 160 for r in report["rows"]) and found["time"] > 10, found)
        check("the file says what measured", load(at("rapl.observations.json"))["meter"].startswith("RAPL"))
        again = calibrate("--powercap", at("no-such-folder"), "--formats", "w8a8", "--threads", "1", "--out", at("rapl.json"), f"--json={at('again.json')}")
        expect("all is measured: no meter is needed", again, 0, "16 of 16 runs are taken")
        check("and the fit is the same", load(at("again.json"))["coefficients"] == report["coefficients"])

print("\n".join(failures) or "every calibration was right")
sys.exit(bool(failures))
