#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What do other tokenizers make of these texts?

Trains tiny tokenizers on the embedded corpus with the PyPI packages `tokenizers` and
`sentencepiece`, and writes, for each, its files and the ids and decoded text that the package gives
for a list of texts, into tests/golden/tokenizers/NAME.json:

    {"by": package and version, "tokenizer": a tokenizer.json, or "gguf": metadata,
     "cases": [{"text", "ids", "ordinary" (ids with special tokens as text), "decoded"}, ...]}

    pip install tokenizers sentencepiece
    python3 tests/golden/make_tokenizers.py
"""

import json
import tempfile
from pathlib import Path

import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent
OUT = HERE / "tokenizers"
CORPUS = HERE.parent.parent / "examples" / "data" / "corpus"
LANGUAGES = ["en", "de", "fr", "es", "ru", "he", "ar", "hi", "zh", "ja", "ko"]
LINES = {code: (CORPUS / f"{code}.txt").read_text(encoding="utf-8").splitlines() for code in LANGUAGES}
TRAINING = [line for code in LANGUAGES for line in LINES[code][:60]]

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

TEXTS = [
    "",
    " ",
    "  ",
    "\n",
    "a",
    " a",
    "  a  b   c    d",
    "a\n\n\nb\r\n\tc\t\td",
    "\n leading newline and trailing spaces   ",
    "I'll say IT'S what they've said, I'D bet WE'RE done, don't 'xs",
    "0 12 345 6789 1234567 3.14159 1,000,000 ٣٤٥ Ⅷ½",
    "for (int i = 0; i < n; ++i) {\n    sum += a[i] * b[i];  // dot\n}\n",
    "def f(x):\n\treturn {'a': x, \"b\": [1, 2, 3]}\n",
    "https://example.org/a_b?c=d&e=f#g",
    "emoji 😀😀 👩‍👩‍👧 🇩🇪 ❤️ end",
    "zero\u200bwidth no\u00a0break wide\u3000space mongolian \u180e vowel next\u0085line",
    "\u2028line\u2029paragraph\u202fnarrow",
    "ſ long s: 'ſ 'S",
    "ᚠᛇᚻ 𒀀𒁀 ꙮ ﷽",
    "null\u0000byte and \u0007 bell",
    "▁ mark ▁▁ twice▁",
    "<0x41> <0xFF> are text",
    "x" * 300,
    " " * 70 + "y",
    "=" * 90 + "\n" + "-" * 33,
    "日本語の文章と中文字符，한국어 문장。",
    "<s>Hello</s> <unk>",
    "<|begin_of_text|>Hello<|eot_id|>\n\nBye  <|eot_id|>  x<|eot_id",
    "<|endoftext|>a<|endoftext|><|endoftext|> b <|tool|><|tool|call> c",
    "<|begin_of_text|>",
    " <s> x",
] + [LINES[code][100] for code in LANGUAGES] + ["\n".join(LINES[c][140][:60] for c in LANGUAGES)]


def cases(tokenizer):
    found = []
    for text in TEXTS:
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = True
        ordinary = tokenizer.encode(text, add_special_tokens=False).ids
        found.append(
            {
                "text": text,
                "ids": ids,
                "ordinary": ordinary,
                "decoded": tokenizer.decode(ids, skip_special_tokens=False),
            }
        )
    tokenizer.encode_special_tokens = False
    return found


def write(name, content):
    path = OUT / f"{name}.json"
    path.write_text(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    print(path.name, path.stat().st_size)


def write_tokenizer(name, tokenizer, change=lambda document: document):
    document = change(json.loads(tokenizer.to_str()))
    again = Tokenizer.from_str(json.dumps(document))
    write(
        name,
        {
            "by": f"tokenizers {tokenizers.__version__}",
            "tokenizer": document,
            "with_specials": again.encode("Hello").ids,
            "cases": cases(again),
        },
    )


def byte_level(split, vocabulary, specials, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TRAINING,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def strings_for_merges(document):
    document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]
    return document


def make_gpt2():
    tokenizer = byte_level(
        pre_tokenizers.ByteLevel(add_prefix_space=False), 500, ["<|endoftext|>"]
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.add_tokens([AddedToken("<|tool|>", normalized=True), AddedToken("<|tool|call>")])
    write_tokenizer("gpt2", tokenizer, strings_for_merges)


def make_smollm():
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer = byte_level(split, 480, ["<|endoftext|>"])
    tokenizer.add_special_tokens([AddedToken("<|eot_id|>", lstrip=True, rstrip=True, special=True)])
    write_tokenizer("smollm", tokenizer)


def splitting(pattern):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def make_llama3():
    tokenizer = byte_level(splitting(LLAMA3), 700, [], ignore_merges=True)
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", begin)],
            ),
        ]
    )

    def drop_merges(document):
        # Whole words stay in the vocabulary that the merges no longer reach: ignore_merges shows.
        document["model"]["merges"] = document["model"]["merges"][:-120]
        return document

    write_tokenizer("llama3", tokenizer, drop_merges)
    gguf("llama3_gguf", tokenizer, "llama-bpe", drop_merges)


def make_qwen2():
    tokenizer = byte_level(splitting(QWEN2), 520, [])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>"])
    write_tokenizer("qwen2", tokenizer)


def gguf(name, tokenizer, pre, change):
    """The metadata that a GGUF file of this tokenizer has, with the ids that `tokenizers` gives."""
    document = change(json.loads(tokenizer.to_str()))
    again = Tokenizer.from_str(json.dumps(document))
    tokens = [again.id_to_token(i) for i in range(again.get_vocab_size())]
    special = {t["id"]: t["special"] for t in document["added_tokens"]}
    write(
        name,
        {
            "by": f"tokenizers {tokenizers.__version__}",
            "gguf": {
                "model": "gpt2",
                "pre": pre,
                "tokens": tokens,
                "token_types": [(3 if special[i] else 4) if i in special else 1 for i in range(len(tokens))],
                "merges": [" ".join(pair) for pair in document["model"]["merges"]],
                "bos": again.token_to_id("<|begin_of_text|>"),
                "eos": again.token_to_id("<|end_of_text|>"),
            },
            "cases": cases(again),
        },
    )


def train_sentencepiece():
    with tempfile.TemporaryDirectory() as folder:
        # The other languages are there to fall back to bytes.
        lines = [line for code in LANGUAGES[:7] for line in LINES[code][:60]]
        (Path(folder) / "text.txt").write_text("\n".join(lines), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=f"{folder}/text.txt",
            model_prefix=f"{folder}/m",
            model_type="bpe",
            vocab_size=640,
            byte_fallback=True,
            character_coverage=0.99,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=True,
            allow_whitespace_only_pieces=True,
            split_digits=True,
            num_threads=1,
            minloglevel=2,
        )
        return sentencepiece.SentencePieceProcessor(model_file=f"{folder}/m.model")


def merges_of(pieces, scores):
    """All pairs of pieces that join to a piece, best score first, as Hugging Face's converter has it."""
    ids = {piece: i for i, piece in enumerate(pieces)}
    found = []
    for piece, i in ids.items():
        local = [
            (piece[:cut], piece[cut:])
            for cut in range(1, len(piece))
            if piece[:cut] in ids and piece[cut:] in ids
        ]
        local.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        found.extend((scores[i], pair) for pair in local)
    found.sort(key=lambda entry: -entry[0])
    return [pair for _, pair in found]


def make_sentencepiece():
    model = train_sentencepiece()
    count = model.get_piece_size()
    pieces = [model.id_to_piece(i) for i in range(count)]
    scores = [model.get_score(i) for i in range(count)]
    types = [
        2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 1
        for i in range(count)
    ]
    found = []
    for text in TEXTS:
        if "\0" in text:  # sentencepiece's Python bindings take it, its C strings do not all
            continue
        ids = model.encode(text)
        # To sentencepiece control tokens in a text are text.
        found.append({"text": text, "ordinary": ids, "decoded": model.decode(ids)})
    write(
        "llama2_gguf",
        {
            "by": f"sentencepiece {sentencepiece.__version__}",
            "gguf": {
                "model": "llama",
                "pre": "default",
                "tokens": pieces,
                "scores": scores,
                "token_types": types,
                "bos": model.bos_id(),
                "eos": model.eos_id(),
            },
            "cases": found,
        },
    )

    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    normal = [p if t == 1 else "" for p, t in zip(pieces, types)]
    merges = [m for m in merges_of(normal, scores) if all(m)]

    def build(**model_options):
        options = dict(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
        options.update(model_options)
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, **options))
        tokenizer.add_special_tokens(
            [AddedToken(t, normalized=False, special=True) for t in ("<unk>", "<s>", "</s>")]
        )
        return tokenizer

    llama2 = build()
    llama2.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    llama2.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1, right=0),
        ]
    )
    llama2.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    llama2.add_tokens([AddedToken("<|tool|>", normalized=True, special=False)])
    write_tokenizer("llama2", llama2)

    for scheme, split in (("first", False), ("always", True), ("never", False)):
        tokenizer = build()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
        tokenizer.decoder = decoders.Sequence(
            [
                decoders.Replace("▁", " "),
                decoders.ByteFallback(),
                decoders.Fuse(),
                decoders.Strip(content=" ", left=1, right=0),
            ]
        )
        if scheme == "always":
            tokenizer.decoder = decoders.Sequence(
                [decoders.Metaspace(), decoders.ByteFallback(), decoders.Fuse()]
            )
        if scheme == "never":
            tokenizer = build(byte_fallback=False)
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
            tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme, split=split)
        write_tokenizer(f"metaspace_{scheme}", tokenizer)


def main():
    OUT.mkdir(exist_ok=True)
    make_gpt2()
    make_smollm()
    make_llama3()
    make_qwen2()
    make_sentencepiece()


if __name__ == "__main__":
    main()
