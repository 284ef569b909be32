#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is a network that `qtk quantize` writes as GGUF still the same network, with the same tokenizer?

Small random networks of tests/golden/architectures, whose embeddings are repeated until they have a row for every
token of a tokenizer of tests/golden/tokenizers, are written with --type f32. Folder and file must give the same
perplexity, the same tokens, and the ids that the tokenizer's own package gives."""
import json
import os
import subprocess
import sys
import tempfile

from small_networks import build

program, source = sys.argv[1:3]
golden = f"{source}/tests/golden"
failures = []


def run(*arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)


def check(what, is_right, *more):
    if not is_right:
        failures.append(f"{what}: {more}")


def figures(model):
    result = run("eval", "--model", model, "--formats", "stored", "--reference", "stored", "--langs", "en,ru", "--windows", 8,
                 "--stride", 32, "--threads", 1, "--json")
    return json.loads(result.stdout)["rows"][0]["ppl"] if result.returncode == 0 else result.stderr


def generated(model, text):
    result = run("generate", "--model", model, "--prompt", text, "--tokens", 12, "--ignore-eos", "--threads", 1, "--json")
    return json.loads(result.stdout) if result.returncode == 0 else {"error": result.stderr}


def with_config(model, **changes):
    with open(f"{model}/config.json") as file:
        config = json.load(file)
    with open(f"{model}/config.json", "w") as file:
        json.dump(dict(config, **changes), file)


def exports(folder):
    # Which keys and tensors say what is special about each network.
    for network, tokenizer, keys in (
            ("qwen2", "qwen2", {"general.architecture": "qwen2"}),
            ("qwen2", "smollm", {"tokenizer.ggml.pre": "smollm"}),
            ("mistral-window", "llama2", {"llama.attention.sliding_window": 7, "tokenizer.ggml.add_bos_token": True}),
            ("llama3-scaling", "llama3", {"tokenizer.ggml.pre": "llama-bpe"}),
            ("llama-linear-scaling", "llama3", {"llama.rope.scaling.factor": 4.0}),
            ("llama-linear-scaling", "metaspace_first", {"tokenizer.ggml.add_space_prefix": True}),
            ("gpt2-untied", "gpt2", {"general.architecture": "gpt2"})):
        what = f"{network} with the tokenizer {tokenizer}"
        model, gguf = f"{folder}/{network}-{tokenizer}", f"{folder}/{network}-{tokenizer}.gguf"
        cases, begin = build(golden, model, network, tokenizer)
        if network == "gpt2-untied":
            with_config(model, activation_function="gelu_new")  # the only one that GGUF's gpt2 knows
        said = run("quantize", model, gguf, "--type", "f32")
        check(f"{what}: quantize", said.returncode == 0, said.stderr)
        # GGUF has no word for a space that is put only where there is none, nor for added tokens that
        # swallow spaces or are looked for behind the normalizer.
        is_lossy = tokenizer in ("metaspace_first", "smollm", "llama2")
        check(f"{what}: a note where ids differ", ("Note: " in said.stdout) == is_lossy, said.stdout)
        inspected = json.loads(run("inspect", gguf, "--json").stdout or "{}")
        found = inspected.get("metadata", {})
        check(f"{what}: metadata", all(found.get(key) == value for key, value in keys.items()), keys, found)
        old, new = figures(model), figures(gguf)
        check(f"{what}: perplexity", isinstance(old, dict) and isinstance(new, dict)
              and all(abs(new[lang]["value"] / old[lang]["value"] - 1) < 1e-5 for lang in old), old, new)
        for case in cases:
            text = case["text"]
            # What a command line cannot hand over, and what does not fit into the context.
            if not text or "\0" in text or len(case["ids"]) > 40:
                continue
            differs = (tokenizer == "metaspace_first" and (text[0] in " \u2581" or "<s>" in text)
                       or tokenizer == "smollm" and "<|eot_id|>" in text or tokenizer == "llama2" and "<|tool|>" in text)
            one, other = generated(model, text), generated(gguf, text)
            for kind, found in (("folder", one), ("file", other)):
                if kind == "file" and differs:
                    continue
                ids, expected = found.get("prompt_ids", []), case["ids"]
                check(f"{what}: ids of {text!r} by the {kind}", ids in (expected, [begin, *expected]), found.get("error", ids), expected)
            if not differs:
                check(f"{what}: tokens after {text!r}", one.get("tokens") == other.get("tokens"), one.get("error"),
                      other.get("error"))


def refusals(folder):
    """What GGUF cannot say is refused, with nothing written."""
    for network, tokenizer, words in (("llama-linear-scaling", "metaspace_never", "other ids"),
                                      ("gpt2-untied", "gpt2", "activation"), ("qwen2-window", "qwen2", "only some layers"),
                                      ("opt", "gpt2", "opt has no name in GGUF")):
        model, gguf = f"{folder}/{network}", f"{folder}/{network}.gguf"
        build(golden, model, network, tokenizer)
        said = run("quantize", model, gguf, "--type", "f32")
        check(f"{network} with {tokenizer} is refused", said.returncode == 3 and words in said.stderr
              and said.stderr.count("error:") == 1 and not os.path.exists(gguf), said.returncode, said.stderr)


with tempfile.TemporaryDirectory() as own:
    for step in (exports, refusals):
        with tempfile.TemporaryDirectory(dir=own) as folder:
            step(folder)
print("\n".join(failures) or "exported networks are the same networks")
sys.exit(bool(failures))
