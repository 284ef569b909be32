#!/bin/bash -eu
# SPDX-License-Identifier: Apache-2.0
#
# Builds what needs no library but nlohmann_json, as OSS-Fuzz asks for it: CXX, CXXFLAGS, LIB_FUZZING_ENGINE
# and OUT come from there. Each target gets its corpus with its regressions, and its dictionary.
# Not run in the image of that service; outside of it: CXX=clang++-16 LIB_FUZZING_ENGINE=-fsanitize=fuzzer
# CXXFLAGS='-O1 -fsanitize=address,fuzzer-no-link' OUT=/tmp/out SRC=.. tests/fuzz/ossfuzz/build.sh
cd "$SRC/qtk"

build() {
    local target=$1
    shift
    "$CXX" $CXXFLAGS -std=c++20 -I include -I tests/fuzz -o "$OUT/qtk_fuzz_$target" \
        "tests/fuzz/${target}_fuzz.cpp" "$@" $LIB_FUZZING_ENGINE
    zip -q -j -r "$OUT/qtk_fuzz_${target}_seed_corpus.zip" "tests/fuzz/corpus/$target"
    if [ -d "tests/fuzz/regressions/$target" ]; then
        zip -q -j -r "$OUT/qtk_fuzz_${target}_seed_corpus.zip" "tests/fuzz/regressions/$target"
    fi
    if [ -f "tests/fuzz/dictionaries/$target.dict" ]; then
        cp "tests/fuzz/dictionaries/$target.dict" "$OUT/qtk_fuzz_$target.dict"
    fi
    printf '[libfuzzer]\nmax_len = 65536\n' >"$OUT/qtk_fuzz_$target.options"
}

for target in ${QTK_FUZZ_TARGETS:-checkpoint_packing config decode energy_table gguf gguf_blocks gguf_quantize \
    image_sets imatrix index npy pack product quantize safetensors spelling strict_json trace write_journal}; do
    build "$target"
done
if [ -z "${QTK_FUZZ_TARGETS:-}" ]; then
    build fairness_journal examples/apps/quant_fairness/journal.cpp
    build recipe -I examples/apps/common examples/apps/common/recipe.cpp
fi
