#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Loads: a model of more than 8 GB, in sparse files, one tensor of more than 2^31 elements, is inspected, quantized, converted
# to GGUF and back to floats with less than 1 GB of memory; the header of 100,000 tensors is read in less than 100 ms of
# processor time. Prints
# peak memory and time of each. 25 GB of disk below build/hardening/load, given back at the end.
#
#   scripts/hardening/load.sh        QTK=PROGRAM takes that one instead of building it, THREADS=N more than one thread
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
need python3 python3 g++ g++ '<nlohmann/json.hpp>' nlohmann-json3-dev
if [ -z "${QTK:-}" ]; then
    build_program qtk
    QTK=build/quickstart/qtk
fi
work=build/hardening/load
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
python3 scripts/hardening/load_models.py tests/golden "$work"
g++ -std=c++20 -O2 -Iinclude scripts/hardening/header_time.cpp -o "$work/header_time"
status=0
"$work/header_time" "$work/many.safetensors" 100 || status=1
# measured WHAT ARGUMENT...: runs qtk, prints its peak memory and time.
measured() {
    python3 - "$1" "$QTK" "${@:2}" <<'PYTHON' || status=1
import resource, subprocess, sys, time
what, program, *arguments = sys.argv[1:]
limit = 10**9
began = time.time()
done = subprocess.run([program, *arguments], stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
is_right = done.returncode == 0 and peak < limit
print(f"{what}: exit {done.returncode}, peak memory {peak / 1e6:.0f} MB, {time.time() - began:.1f} s"
      + ("" if is_right else f"  FAILED: expected exit 0 and less than {limit / 1e6:.0f} MB"), flush=True)
sys.exit(not is_right)
PYTHON
}
threads=(--threads "${THREADS:-1}")
measured 'inspect, 100,000 tensors' inspect "$work/many.safetensors"
measured 'inspect the folder' inspect "$work/model"
measured 'inspect --validate' inspect --validate "${threads[@]}" "$work/model"
measured 'quantize to i4/g64' quantize "$work/model" "$work/i4.safetensors" --scheme i4/g64 --recipe '*embed_tokens*=i4/g64' "${threads[@]}"
measured 'dequantize to bf16' dequantize "$work/i4.safetensors" "$work/back.safetensors" --type bf16 "${threads[@]}"
rm -f "$work/i4.safetensors" "$work/back.safetensors"
measured 'convert to GGUF, q4_0' quantize "$work/model" "$work/q4.gguf" --type q4_0 --recipe '*embed_tokens*=q8_0' "${threads[@]}"
measured 'inspect the GGUF file' inspect --validate "${threads[@]}" "$work/q4.gguf"
measured 'requantize GGUF to q8_0' quantize "$work/q4.gguf" "$work/q8.gguf" --type q8_0 "${threads[@]}"
exit "$status"
