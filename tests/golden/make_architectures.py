#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/architectures/NAME/: small random networks as Hugging Face folders, with the
logits that PyPI's `transformers` computes in double precision for some tokens. Needs numpy, torch
and transformers 5: make_architectures.py [FOLDER]"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers as tf

VOCABULARY, TOKENS = 96, 40
COMMON = dict(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=0,
              attn_implementation="eager")
LLAMA = dict(COMMON, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             intermediate_size=40, max_position_embeddings=64, rms_norm_eps=1e-6)
OPT = dict(COMMON, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48,
           max_position_embeddings=64)


def networks():
    yield "opt", tf.OPTForCausalLM(tf.OPTConfig(**OPT))
    yield "opt-post-norm", tf.OPTForCausalLM(
        tf.OPTConfig(**OPT, do_layer_norm_before=False, word_embed_proj_dim=16))
    yield "mistral-window", tf.MistralForCausalLM(tf.MistralConfig(**LLAMA, sliding_window=7))
    yield "qwen2", tf.Qwen2ForCausalLM(tf.Qwen2Config(
        **dict(LLAMA, eos_token_id=[2, 5]), rope_parameters=dict(rope_type="default", rope_theta=1e6),
        tie_word_embeddings=True))
    yield "qwen2-window", tf.Qwen2ForCausalLM(tf.Qwen2Config(
        **LLAMA, use_sliding_window=True, sliding_window=5, max_window_layers=1))
    yield "llama3-scaling", tf.LlamaForCausalLM(tf.LlamaConfig(
        **LLAMA, head_dim=16, attention_bias=True, rope_parameters=dict(
            rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=32)))
    yield "llama-linear-scaling", tf.LlamaForCausalLM(tf.LlamaConfig(
        **dict(LLAMA, num_key_value_heads=1), head_dim=12, mlp_bias=True,
        rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)))
    yield "gpt2-untied", tf.GPT2LMHeadModel(tf.GPT2Config(
        **COMMON, n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=40, activation_function="gelu",
        tie_word_embeddings=False))


def fill(model, seed):
    """Weights and biases that all matter: 0.2 wide, those of normalizations around 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            value.copy_(0.2 * torch.randn(value.shape, generator=generator))
            if value.dim() == 1 and name.endswith("weight"):
                value.add_(1.0)


def write_in_the_older_form(path):
    """Angles as files of 2023 have them."""
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    rope["type"] = rope.pop("rope_type")
    config["rope_scaling"] = rope
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main():
    here = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "architectures"
    for seed, (name, model) in enumerate(networks()):
        folder = here / name
        model = model.float().eval()
        fill(model, seed)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        if name == "llama-linear-scaling":
            write_in_the_older_form(folder / "config.json")
        tokens = torch.randint(0, VOCABULARY, (1, TOKENS), generator=torch.Generator().manual_seed(100 + seed))
        with torch.no_grad():
            logits = model.double()(tokens).logits[0]
        (folder / "tokens.json").write_text(json.dumps(tokens[0].tolist()) + "\n")
        np.save(folder / "logits.npy", logits.numpy().astype(np.float32))
        print(name, f"largest {logits.abs().max():.3f}, deviation {logits.std():.3f}")


if __name__ == "__main__":
    main()
