#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Would a test notice? Breaks one line of one header at a time and looks for a test that fails.

Each mutation stands in a copy of its header, which the compiler finds before the real one; nothing in the
checkout changes. Of the tests named beside it, one after the other is compiled alone and run until one
fails. A mutation that no test notices survives. Every test is run once without a mutation first.
Exit status 0: none survived; 1: some did; 2: the list does not fit the headers any more.

    scripts/hardening/mutations.py [REGEX]        the mutations whose name or header matches
        --list          print the list and check that every old text is found once
        --table FILE    write the results as a Markdown table
        --trust         do not run the tests without a mutation first: they are known to pass
        --keep DIR      where things are compiled (default: build/hardening/mutations)
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Mutation(NamedTuple):
    name: str
    header: str
    old: str
    new: str
    tests: str  # below tests/, apart from each other by spaces


EXACT = "format/exhaustive_test.cpp"
TILE = "quantizer/tile_quantizer_test.cpp quantizer/tile_property_test.cpp"
SETS = "kernel/agreement_property_test.cpp"

MUTATIONS = [
    # core
    Mutation(
        "NaN saturates like an infinity",
        "qtk/core/nonfinite.hpp",
        "x = is_nan ? 0.0f : (x > 0.0f ? largest : -largest);",
        "x = x > 0.0f ? largest : -largest;",
        "core/nonfinite_test.cpp",
    ),
    Mutation(
        "saturation looks at positive values alone",
        "qtk/core/nonfinite.hpp",
        "largest = x > largest ? x : (-x > largest ? -x : largest);",
        "largest = x > largest ? x : largest;",
        "core/nonfinite_test.cpp",
    ),
    # format: rounding and conversions
    Mutation(
        "half away from zero forgets negative halves",
        "qtk/format/round.hpp",
        "(fraction <= -0.5f ? 1.0f : 0.0f)",
        "(fraction < -0.5f ? 1.0f : 0.0f)",
        "format/round_test.cpp",
    ),
    Mutation(
        "a toss equal to the fraction goes up",
        "qtk/format/round.hpp",
        "(dither < v - below ? 1.0f : 0.0f)",
        "(dither <= v - below ? 1.0f : 0.0f)",
        "format/round_test.cpp",
    ),
    Mutation(
        "half rounds ties up",
        "qtk/format/half.hpp",
        "magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);",
        "magnitude - 0x38000000u + 0x1000u;",
        "format/half_test.cpp",
    ),
    Mutation(
        "the largest subnormal half takes the road of normal ones",
        "qtk/format/half.hpp",
        "if (magnitude < 0x38800000u) {",
        "if (magnitude < 0x387fe000u) {",
        "format/half_test.cpp",
    ),
    Mutation(
        "a NaN may become an infinite bfloat16",
        "qtk/format/half.hpp",
        "static_cast<std::uint16_t>((bits >> 16) | 0x40u)",
        "static_cast<std::uint16_t>(bits >> 16)",
        "format/half_test.cpp",
    ),
    Mutation(
        "subnormal minifloats are rounded by their own exponent",
        "qtk/format/minifloat.hpp",
        "int const exponent = own > smallest ? own : smallest;",
        "int const exponent = own > smallest - 1 ? own : smallest - 1;",
        "format/minifloat_test.cpp " + EXACT,
    ),
    Mutation(
        "a negative minifloat does not mirror its toss",
        "qtk/format/minifloat.hpp",
        "float const toss = sign != 0 ? 1.0f - dither : dither;",
        "float const toss = dither;",
        "format/minifloat_test.cpp",
    ),
    Mutation(
        "the sign of a zero minifloat is lost",
        "qtk/format/minifloat.hpp",
        "int const sign = bits >> 31 ? 1 << (f.bits - 1) : 0;",
        "int const sign = v < 0.0f ? 1 << (f.bits - 1) : 0;",
        "format/minifloat_test.cpp " + EXACT,
    ),
    Mutation(
        "codebook midpoints go up",
        "qtk/format/codebook.hpp",
        "rank += v > ranks.midpoint(i) ? 1u : 0u;",
        "rank += v >= ranks.midpoint(i) ? 1u : 0u;",
        "format/codebook_test.cpp " + EXACT,
    ),
    Mutation(
        "negative fp4 values do not mirror their toss",
        "qtk/format/codebook.hpp",
        "negative ? 1.0f - dither : dither",
        "dither",
        "format/codebook_test.cpp",
    ),
    Mutation(
        "a bfloat16 scale may become zero",
        "qtk/format/scale.hpp",
        "return at_least_one(float_to_bf16(scale));",
        "return float_to_bf16(scale);",
        "format/scale_test.cpp",
    ),
    Mutation(
        "e8m0 has no NaN",
        "qtk/format/scale.hpp",
        "return is_nan ? 255u : bits >> 23;",
        "return is_nan ? 254u : bits >> 23;",
        "format/scale_test.cpp",
    ),
    # format: packing
    Mutation(
        "a field that ends on a byte takes the next one too",
        "qtk/format/pack.hpp",
        "if (shift + static_cast<unsigned>(bits) > 8) word |= static_cast<unsigned>(at[1]) << 8;",
        "if (shift + static_cast<unsigned>(bits) > 9) word |= static_cast<unsigned>(at[1]) << 8;",
        "format/pack_test.cpp " + EXACT,
    ),
    Mutation(
        "unpacking eight fields loses the highest bit",
        "qtk/format/pack.hpp",
        "fields[i] = static_cast<std::uint8_t>((word >> (B * i)) & ((1u << B) - 1u));",
        "fields[i] = static_cast<std::uint8_t>((word >> (B * i)) & (((1u << B) - 1u) >> (i == 7)));",
        "format/pack_test.cpp " + EXACT,
    ),
    Mutation(
        "the bytes of a last partial eight are one short",
        "qtk/format/pack.hpp",
        "for (std::size_t i = 0; i < packed_bytes(rest, B); ++i)",
        "for (std::size_t i = 0; i < rest * B / 8; ++i)",
        "format/pack_test.cpp " + EXACT,
    ),
    Mutation(
        "a GPTQ field across words loses its upper part",
        "qtk/format/checkpoint_packing.hpp",
        "words[(word + 1) * step] |= std::uint32_t{field} >> (32 - shift);",
        "words[(word + 1) * step] |= std::uint32_t{field} >> (33 - shift);",
        "format/checkpoint_packing_test.cpp " + EXACT,
    ),
    Mutation(
        "GPTQ zeros are stored as version 2 in both",
        "qtk/format/gptq_packing.hpp",
        "detail::gptq_stored_zero(zeros(o, g), bits, version)",
        "detail::gptq_stored_zero(zeros(o, g), bits, gptq_version::v2)",
        "format/gptq_packing_test.cpp " + EXACT,
    ),
    Mutation(
        "bitsandbytes reads three bits of a field",
        "qtk/format/bitsandbytes_packing.hpp",
        "detail::bitsandbytes_shift(i)) & 15)",
        "detail::bitsandbytes_shift(i)) & 7)",
        "format/bitsandbytes_packing_test.cpp " + EXACT,
    ),
    Mutation(
        "whole words of compressed-tensors begin one field late",
        "qtk/format/compressed_tensors_packing.hpp",
        "put_in_stream(words + i / per_word * step, step, i % per_word, bits, field);",
        "put_in_stream(words + i / per_word * step, step, (i + 1) % per_word, bits, field);",
        "format/compressed_tensors_packing_test.cpp " + EXACT,
    ),
    Mutation(
        "AWQ writes two outputs of a word in the order of the other layouts",
        "qtk/format/awq_packing.hpp",
        "for (std::size_t k = 0; k < 8; ++k) outputs[k] = fields(8 * w + k, i);",
        "for (std::size_t k = 0; k < 8; ++k) outputs[k ^ (w > 0)] = fields(8 * w + k, i);",
        "format/awq_packing_test.cpp " + EXACT,
    ),
    # format: GGUF
    Mutation(
        "q8_0 rounds halves to even",
        "qtk/format/gguf_legacy_blocks.hpp",
        "static_cast<std::int8_t>(round_half_away(v))",
        "static_cast<std::int8_t>(round_half_even(v))",
        "format/gguf_legacy_blocks_test.cpp",
    ),
    Mutation(
        "q8_0 converts before it clamps",
        "qtk/format/gguf_legacy_blocks.hpp",
        "v = v < 127.0f ? v : 127.0f;",
        "",
        "format/gguf_legacy_blocks_test.cpp",
    ),
    Mutation(
        "q4_0 truncates",
        "qtk/format/gguf_legacy_blocks.hpp",
        "detail::rounded_product(v, inverse) + 8.5f, 15.0f",
        "detail::rounded_product(v, inverse) + 8.0f, 15.0f",
        "format/gguf_legacy_blocks_test.cpp",
    ),
    Mutation(
        "q4_0 takes the last of equal magnitudes",
        "qtk/format/gguf_legacy_blocks.hpp",
        "if (magnitude_of(v) > magnitude_of(largest)) largest = v;",
        "if (magnitude_of(v) >= magnitude_of(largest)) largest = v;",
        "format/gguf_legacy_blocks_test.cpp",
    ),
    Mutation(
        "the fifth bit of q5 lies in the byte behind",
        "qtk/format/gguf_legacy_blocks.hpp",
        "high[i / 8] = static_cast<std::uint8_t>(high[i / 8] | (field >> 4) << (i % 8));",
        "high[i / 8 ^ 1] = static_cast<std::uint8_t>(high[i / 8 ^ 1] | (field >> 4) << (i % 8));",
        "format/gguf_legacy_blocks_test.cpp",
    ),
    Mutation(
        "q2_K reads the minimum for the scale",
        "qtk/format/gguf_k_blocks.hpp",
        "int scale(std::size_t s) const noexcept { return scales[s] & 15; }",
        "int scale(std::size_t s) const noexcept { return scales[s] >> 4; }",
        "format/gguf_k_blocks_test.cpp",
    ),
    Mutation(
        "K blocks never give the highest field",
        "qtk/format/gguf_encode.hpp",
        "nearest_in((x[i] + low) / scale, 0, how.nmax))",
        "nearest_in((x[i] + low) / scale, 0, how.nmax - 1))",
        "format/gguf_encode_test.cpp",
    ),
    Mutation(
        "q6_K codes stop at 30",
        "qtk/format/gguf_encode.hpp",
        "codes[i] = nearest_in(x[i] / scale, -32, 31);",
        "codes[i] = nearest_in(x[i] / scale, -32, 30);",
        "format/gguf_encode_test.cpp",
    ),
    # quantizer
    Mutation(
        "symmetric codes use the lowest field",
        "qtk/quantizer/tile_quantizer.hpp",
        "round_by<Round>(std::clamp(v, lowest - zero, highest - zero), dither);",
        "round_by<Round>(std::clamp(v, -zero, highest - zero), dither);",
        TILE,
    ),
    Mutation(
        "values are not clamped above",
        "qtk/quantizer/tile_quantizer.hpp",
        "round_by<Round>(std::clamp(v, lowest - zero, highest - zero), dither);",
        "round_by<Round>(std::max(v, lowest - zero), dither);",
        TILE,
    ),
    Mutation(
        "values are multiplied by the reciprocal",
        "qtk/quantizer/tile_quantizer.hpp",
        "float const v = x / p.scale;",
        "float const v = x * (1.0f / p.scale);",
        TILE,
    ),
    Mutation(
        "the zero point is truncated",
        "qtk/quantizer/tile_quantizer.hpp",
        "p.zero = static_cast<int>(round_half_even(std::clamp(offset, 0.0f, top)));",
        "p.zero = static_cast<int>(std::clamp(offset, 0.0f, top));",
        TILE,
    ),
    Mutation(
        "an asymmetric scale has one step more",
        "qtk/quantizer/tile_quantizer.hpp",
        "auto const steps = static_cast<float>(element.patterns() - 1);",
        "auto const steps = static_cast<float>(element.patterns());",
        TILE,
    ),
    Mutation(
        "a width that overflows is divided afterwards",
        "qtk/quantizer/tile_quantizer.hpp",
        "return width <= std::numeric_limits<float>::max() ? width / steps : high / steps - low / steps;",
        "return width / steps;",
        TILE,
    ),
    Mutation(
        "an exact power of two becomes the next one",
        "qtk/quantizer/tile_quantizer.hpp",
        "rounded_scale(how.type, power < ideal ? std::ldexp(1.0f, exponent + 1) : power)",
        "rounded_scale(how.type, power <= ideal ? std::ldexp(1.0f, exponent + 1) : power)",
        TILE,
    ),
    Mutation(
        "the other end of a tile does not count",
        "qtk/quantizer/tile_quantizer.hpp",
        "float const largest = std::max(std::fabs(range.lowest), std::fabs(range.highest));",
        "float const largest = std::fabs(range.highest);",
        TILE,
    ),
    Mutation(
        "sigma is encoded on the fine grid",
        "qtk/quantizer/softmax_quantizer.hpp",
        "bool const is_coarse = x >= sigma_;",
        "bool const is_coarse = x > sigma_;",
        "quantizer/softmax_quantizer_test.cpp",
    ),
    # range
    Mutation(
        "the last of equal errors wins",
        "qtk/range/mse.hpp",
        "if (error < least) {",
        "if (error <= least) {",
        "range/mse_test.cpp",
    ),
    Mutation(
        "min-max forgets what follows the last eight",
        "qtk/range/minmax.hpp",
        "high[0] = x[i] > high[0] ? x[i] : high[0];",
        "",
        "range/minmax_test.cpp",
    ),
    Mutation(
        "percentiles count ranks without slack",
        "qtk/range/percentile.hpp",
        "ranks * 0x1p-25",
        "0.0",
        "range/percentile_test.cpp",
    ),
    Mutation(
        "percentiles drop one value more above",
        "qtk/range/percentile.hpp",
        "high = values.end() - 1 - tail;",
        "high = values.end() - 1 - (tail > 0 ? tail + 1 : 0);",
        "range/percentile_test.cpp",
    ),
    Mutation(
        "the tail is not folded into the last bin",
        "qtk/range/entropy.hpp",
        "(k + 1 == i ? tail : 0.0)",
        "(k + 1 == i ? 0.0 : 0.0)",
        "range/entropy_test.cpp",
    ),
    Mutation(
        "the first threshold of least divergence wins",
        "qtk/range/entropy.hpp",
        "if (divergence <= least) {",
        "if (divergence < least) {",
        "range/entropy_test.cpp",
    ),
    Mutation(
        "moving averages move in float",
        "qtk/range/moving_average.hpp",
        "double const difference = static_cast<double>(to) - static_cast<double>(from);",
        "double const difference = static_cast<double>(to - from);",
        "range/moving_average_test.cpp",
    ),
    # kernel: encoding and decoding
    Mutation(
        "portable: negative halves round to zero",
        "qtk/kernel/encode.hpp",
        "one_where(fraction <= floats(-0.5f))",
        "one_where(fraction < floats(-0.5f))",
        "kernel/encode_test.cpp " + SETS,
    ),
    Mutation(
        "portable: values are not clamped below",
        "qtk/kernel/encode.hpp",
        "xsimd::min(xsimd::max(v, lowest), highest)",
        "xsimd::min(v, highest)",
        "kernel/encode_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: the float below a half rounds up",
        "qtk/kernel/avx512/code_lanes.hpp",
        "_mm512_castps_si512(_mm512_set1_ps(0.49999997f))",
        "_mm512_castps_si512(_mm512_set1_ps(0.5f))",
        "kernel/encode_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: symmetric codes use the lowest field",
        "qtk/kernel/avx512/code_lanes.hpp",
        "_mm512_max_epu8(_mm512_min_epu8(_mm512_packus_epi16(ab, cd), t.highest), t.lowest);",
        "_mm512_min_epu8(_mm512_packus_epi16(ab, cd), t.highest);",
        "kernel/encode_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: scales whose mantissa is all ones are inverted",
        "qtk/kernel/avx512/encode.hpp",
        "_mm512_cmpneq_epi32_mask(_mm512_and_si512(bits, mantissa), mantissa);",
        "0xffffu;",
        "kernel/encode_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: the reciprocal has no rest",
        "qtk/kernel/avx512/encode.hpp",
        "_mm512_store_ps(r.rest + j, _mm512_mul_ps(_mm512_fnmadd_ps(inverse, scale, one), inverse));",
        "_mm512_store_ps(r.rest + j, _mm512_setzero_ps());",
        "kernel/encode_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: the odd last field of a packed row is cut off",
        "qtk/kernel/avx512/encode.hpp",
        "fields, static_cast<__mmask32>((std::uint64_t{1} << ((count + 1) / 2)) - 1), pairs);",
        "fields, static_cast<__mmask32>((std::uint64_t{1} << (count / 2)) - 1), pairs);",
        "kernel/encode_row_test.cpp " + SETS,
    ),
    Mutation(
        "AVX2: the sign of a zero is that of the quotient",
        "qtk/kernel/avx2/code_lanes.hpp",
        "__m256i const is_negative = _mm256_srai_epi32(_mm256_castps_si256(sign_of), 31);",
        "__m256i const is_negative = _mm256_srai_epi32(_mm256_castps_si256(v), 31);",
        "kernel/code_lanes_test.cpp " + SETS,
    ),
    Mutation(
        "AVX2: a toss equal to the fraction goes up",
        "qtk/kernel/avx2/code_lanes.hpp",
        "_mm256_cmp_ps(dither, _mm256_sub_ps(v, below), _CMP_LT_OQ);",
        "_mm256_cmp_ps(dither, _mm256_sub_ps(v, below), _CMP_LE_OQ);",
        "kernel/code_lanes_test.cpp kernel/encode_test.cpp",
    ),
    Mutation(
        "AVX2: the tile of the last sixteen values is the first one's",
        "qtk/kernel/avx2/encode.hpp",
        "tile_params const own[2] = {*p, !Shared && n - i > 16 ? p[1] : *p};",
        "tile_params const own[2] = {*p, *p};",
        "kernel/encode_row_test.cpp kernel/encode_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: subnormal minifloats are decoded as normal ones",
        "qtk/kernel/avx512/decode.hpp",
        "_mm512_cmplt_epi32_mask(magnitude, _mm512_set1_epi32(1 << m.mantissa));",
        "_mm512_cmplt_epi32_mask(magnitude, _mm512_set1_epi32(1));",
        "kernel/decode_test.cpp " + SETS,
    ),
    Mutation(
        "AVX2: two registers of extremes are not joined",
        "qtk/kernel/avx2/measure.hpp",
        "up = _mm256_max_epi32(up, up_too);",
        "",
        "kernel/measure_test.cpp " + SETS,
    ),
    Mutation(
        "AVX2: the smallest infinity passes",
        "qtk/kernel/avx2/measure.hpp",
        "_mm_cmpgt_epi32(largest, _mm_set1_epi32(0x7f7fffff));",
        "_mm_cmpgt_epi32(largest, _mm_set1_epi32(0x7f800000));",
        "kernel/measure_test.cpp " + SETS,
    ),
    Mutation(
        "AVX2: packing writes past the last block",
        "qtk/kernel/avx2/pack.hpp",
        "} else if (i + 192 <= whole) {",
        "} else if (i + 64 <= whole) {",
        "kernel/pack_test.cpp " + SETS,
    ),
    Mutation(
        "AVX2: unpacking keeps a bit of the neighbour",
        "qtk/kernel/avx2/pack.hpp",
        "__m256i const mask = _mm256_set1_epi32((1 << bits) - 1);",
        "__m256i const mask = _mm256_set1_epi32((2 << bits) - 1);",
        "kernel/pack_test.cpp " + SETS,
    ),
    Mutation(
        "four-bit pairs are not swapped back",
        "qtk/kernel/avx512/prepack.hpp",
        "return _mm512_shuffle_epi8(swapped<4>(x, 0x00f000f0u), middle);",
        "return swapped<4>(_mm512_shuffle_epi8(x, middle), 0x00f000f0u);",
        "kernel/prepack_test.cpp " + SETS,
    ),
    Mutation(
        "five and six bits take the high plane one bit late",
        "qtk/kernel/avx512/prepack.hpp",
        "top = or_masked(top, shifted<above - p.low>(x), bytes_of(high_mask));",
        "top = or_masked(top, shifted<above - p.low + 1>(x), bytes_of(high_mask));",
        "kernel/prepack_test.cpp " + SETS,
    ),
    # kernel: activations and products
    Mutation(
        "activations are scaled by 128",
        "qtk/kernel/quantized_rows.hpp",
        "float const scale = largest / 127.0f;",
        "float const scale = largest / 128.0f;",
        "kernel/quantized_rows_test.cpp",
    ),
    Mutation(
        "AVX-512: activations are truncated",
        "qtk/kernel/avx512/quantize_rows.hpp",
        "_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC",
        "_MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC",
        "kernel/quantized_rows_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: activations under a fixed scale are not clamped",
        "qtk/kernel/avx512/quantize_rows.hpp",
        "_mm512_min_ps(_mm512_max_ps(v, _mm512_sub_ps(_mm512_setzero_ps(), limit)), limit);",
        "v;",
        "kernel/quantized_rows_test.cpp " + SETS,
    ),
    Mutation(
        "AVX2: activations under a fixed scale are not clamped below",
        "qtk/kernel/avx2/quantize_rows.hpp",
        "_mm256_min_ps(_mm256_max_ps(level, bottom), top)",
        "_mm256_min_ps(level, top)",
        "kernel/quantized_rows_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: the bias of fields stays in the sum",
        "qtk/kernel/avx512/product_int8.hpp",
        "_mm512_set1_epi32(-job.bias * x.sums[at + r]);",
        "_mm512_setzero_si512();",
        "kernel/product_int8_test.cpp " + SETS,
    ),
    Mutation(
        "AVX2: zero points are not taken off",
        "qtk/kernel/avx2/int8_sums.hpp",
        "y = _mm256_fmadd_ps(_mm256_mul_ps(w, away), _mm256_mul_ps(a, all), y);",
        "",
        "kernel/product_int8_test.cpp " + SETS,
    ),
    Mutation(
        "AVX2: sums of a segment are joined in float too late",
        "qtk/kernel/avx2/int8_sums.hpp",
        "_mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(w, a), _mm256_loadu_ps(c));",
        "_mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(w, a)), _mm256_loadu_ps(c));",
        "kernel/product_int8_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: the last blocks of a GGUF row are left out",
        "qtk/kernel/avx512/gguf_dot.hpp",
        "if (std::size_t const left = row_bytes % Kernel::bytes; left != 0) {",
        "if (std::size_t const left = row_bytes % Kernel::bytes; left == row_bytes) {",
        "kernel/gguf_dot_test.cpp",
    ),
    Mutation(
        "AVX2: high nibbles of q4_0 keep a bit of the low ones",
        "qtk/kernel/avx2/gguf_chunk.hpp",
        "code[4 + j] = _mm256_and_si256(_mm256_srli_epi16(turned[j], 4), mask);",
        "code[4 + j] = _mm256_and_si256(_mm256_srli_epi16(turned[j], 3), mask);",
        "kernel/gguf_chunk_test.cpp kernel/gguf_dot_test.cpp",
    ),
    Mutation(
        "AMX: the second row tile is scaled with the first one's sums",
        "qtk/kernel/amx/block_int8.hpp",
        "scale_piece<4, BySegment, HasZero>(in, w0, z0, row1, sum1, c);\n"
        "        scale_piece<5, BySegment, HasZero>(in, w0, z0, row1, sum1, c);\n"
        "        scale_piece<6",
        "scale_piece<4, BySegment, HasZero>(in, w0, z0, row1, sum0, c);\n"
        "        scale_piece<5, BySegment, HasZero>(in, w0, z0, row1, sum1, c);\n"
        "        scale_piece<6",
        "kernel/block_int8_test.cpp kernel/amx_product_int8_test.cpp",
    ),
    Mutation(
        "AMX: the high bit of operand 3 comes from its neighbour",
        "qtk/kernel/amx/operands.hpp",
        "op[3] = centred<4, 5, 6, 7, 2>(select_bits<0xf0>(v1, down));",
        "op[3] = centred<4, 5, 6, 7, 3>(select_bits<0xf0>(v1, down));",
        "kernel/amx_operands_test.cpp",
    ),
    Mutation(
        "tables of two bits have their middle at one",
        "qtk/kernel/avx512/gemv_f32.hpp",
        "_mm512_set1_ps(Bits == 2 ? 2.0f : 4.0f)",
        "_mm512_set1_ps(Bits == 2 ? 1.0f : 4.0f)",
        "kernel/gemv_f32_test.cpp " + SETS,
    ),
    Mutation(
        "AVX-512: bfloat16 weights are read one bit low",
        "qtk/kernel/avx512/half_lanes.hpp",
        "_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16)",
        "_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 15)",
        "kernel/half_lanes_test.cpp",
    ),
    Mutation(
        "the residual is added before the function",
        "qtk/kernel/epilogue.hpp",
        "if (to.end.function) activate(*to.end.function, {sums, width});\n"
        "        if (to.end.residual.data != nullptr) {",
        "if (to.end.function && to.end.residual.data == nullptr) activate(*to.end.function, {sums, width});\n"
        "        if (to.end.residual.data != nullptr) {",
        "kernel/epilogue_test.cpp",
    ),
    Mutation(
        "a value at the threshold is no outlier",
        "qtk/kernel/outlier_columns.hpp",
        "static_cast<std::int32_t>(magnitude >= least)",
        "static_cast<std::int32_t>(magnitude > least)",
        "kernel/outlier_columns_test.cpp",
    ),
    # method
    Mutation(
        "a lost tile keeps a scale",
        "qtk/method/rtn.hpp",
        "p = {std::numeric_limits<float>::quiet_NaN(), symmetric_zero(q.element)};",
        "p = {1.0f, symmetric_zero(q.element)};",
        "method/rtn_test.cpp",
    ),
    Mutation(
        "the chances of a row do not depend on it",
        "qtk/method/rtn.hpp",
        "return {options_.seed, r * w_.cols};",
        "return {options_.seed, 0};",
        "method/rtn_test.cpp method/rtn_property_test.cpp",
    ),
    Mutation(
        "blocks forget the extremes of all rows but the last",
        "qtk/method/rtn.hpp",
        "range[j] = {std::min(range[j].lowest, found[j].lowest),\n"
        "                                std::max(range[j].highest, found[j].highest)};",
        "range[j] = {found[j].lowest, found[j].highest};",
        "method/rtn_test.cpp method/rtn_property_test.cpp",
    ),
    Mutation(
        "GPTQ passes on what the moved weight lost",
        "qtk/method/gptq.hpp",
        "float const error = w[j] - q_.decode(fields[j], p);",
        "float const error = left_over;",
        "method/gptq_test.cpp",
    ),
    Mutation(
        "HQQ shrinks by the error itself",
        "qtk/method/hqq.hpp",
        "std::pow(size, norm - 1.0f) / beta",
        "std::pow(size, norm) / beta",
        "method/hqq_test.cpp",
    ),
    Mutation(
        "importance is that of the tile's first columns",
        "qtk/method/imatrix.hpp",
        "importance[tile.column(i)]",
        "importance[i]",
        "method/imatrix_test.cpp",
    ),
    Mutation(
        "two-level scales of methods look at the first tile of a row",
        "qtk/method/tile_fit.hpp",
        "largest = std::max(largest, q.ideal_scale(minmax_range{}.estimate(tile)));",
        "if (j == 0) largest = std::max(largest, q.ideal_scale(minmax_range{}.estimate(tile)));",
        "method/tile_fit_test.cpp",
    ),
    # io
    Mutation(
        "an .npy file may be longer than its header says",
        "qtk/io/npy.hpp",
        "if (bytes != reader.remaining())",
        "if (bytes > reader.remaining())",
        "io/npy_test.cpp",
    ),
    Mutation(
        "doubles of an .npy file are read as floats",
        "qtk/io/npy.hpp",
        "if (header_.type == \"<f8\")",
        "if (header_.type == \"<f8 \")",
        "io/npy_test.cpp",
    ),
    Mutation(
        "tensors may overlap",
        "qtk/io/safetensors_header.hpp",
        "if (info.begin != reached)",
        "if (info.begin > reached)",
        "io/safetensors_header_test.cpp",
    ),
    Mutation(
        "data of a safetensors file begins anywhere",
        "qtk/io/safetensors_writer.hpp",
        "text.resize(div_ceil(text.size() + 8, 64) * 64 - 8, ' ');",
        "text.resize(div_ceil(text.size() + 8, 8) * 8 - 8, ' ');",
        "io/safetensors_writer_test.cpp",
    ),
    Mutation(
        "tensors with short elements come first",
        "qtk/io/safetensors_writer.hpp",
        "return bits_of(a->second.type) > bits_of(b->second.type);",
        "return bits_of(a->second.type) < bits_of(b->second.type);",
        "io/safetensors_writer_test.cpp",
    ),
    Mutation(
        "zeros of a part are those of the first rows",
        "qtk/io/qmatrix_file.hpp",
        "fields[t] = field_at(all, first_tile + t, scheme.element.bits);",
        "fields[t] = field_at(all, t, scheme.element.bits);",
        "io/qmatrix_file_test.cpp",
    ),
    Mutation(
        "places of GGUF tensors are not aligned",
        "qtk/io/gguf_writer.hpp",
        "put(bytes, at);\n            at = detail::aligned_up(checked_add(at, tensor.size), alignment_);",
        "put(bytes, at);\n            at = checked_add(at, tensor.size);",
        "io/gguf_writer_test.cpp",
    ),
    # cuda, on the host
    Mutation(
        "CUDA: the zero point is truncated",
        "qtk/cuda/quantize_weight.hpp",
        "static_cast<std::uint32_t>(round_half_even(offset > steps ? steps : offset))",
        "static_cast<std::uint32_t>(offset > steps ? steps : offset)",
        "cuda/quantize_weight_test.cpp",
    ),
    Mutation(
        "CUDA: values are not clamped above",
        "qtk/cuda/quantize_weight.hpp",
        "v = v < high ? v : high;",
        "",
        "cuda/quantize_weight_test.cpp",
    ),
    Mutation(
        "CUDA: words of 8 bits have their halves changed",
        "qtk/cuda/layout.hpp",
        "return {((chunk * 2 + h) * warp_lanes + lane) * 4 + j, 8 * slot};",
        "return {((chunk * 2 + (1 - h)) * warp_lanes + lane) * 4 + j, 8 * slot};",
        "cuda/layout_test.cpp cuda/pack_test.cpp cuda/integer_product_test.cpp cuda/repack_test.cpp",
    ),
    Mutation(
        "CUDA: the upper half of a table is read in the wrong order",
        "qtk/cuda/convert.hpp",
        "0x3210u + (fields >> 1 & 0x4444u);",
        "0x3201u + (fields >> 1 & 0x4444u);",
        "cuda/convert_test.cpp",
    ),
]

FLAGS = ["-std=c++20", "-O1", "-pipe"]
# What some tests need beside their own file.
PRODUCT_HELPERS = re.compile(r'#include "product_cases\.hpp"')
PROPERTIES = re.compile(r'#include ("property\.hpp"|<rapidcheck\.h>)')


def path_of(header):
    for root in ("include", "cuda/include"):
        if (ROOT / root / header).exists():
            return ROOT / root / header
    sys.exit(f"mutations: {header} does not exist")


def check_list():
    """Complaints about entries whose old text is not found exactly once."""
    wrong = 0
    for m in MUTATIONS:
        text = path_of(m.header).read_text()
        found = text.count(m.old)
        if found != 1:
            wrong += 1
            print(f"{m.header}: {m.name}: the old text is found {found} times")
        for test in m.tests.split():
            if not (ROOT / "tests" / test).exists():
                wrong += 1
                print(f"{m.header}: {m.name}: tests/{test} does not exist")
    return wrong


class Workshop:
    """Compiles and runs single tests, with a folder of headers before the real ones."""

    def __init__(self, folder, trusts):
        self.folder = folder
        self.trusts = trusts
        folder.mkdir(parents=True, exist_ok=True)
        self.compiler = os.environ.get("CXX", "g++")
        self.main = self.object_of(ROOT / "tests/support/main.cpp")
        self.sound = {}

    def call(self, arguments, seconds):
        try:
            done = subprocess.run(
                arguments,
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                text=True,
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            return 124, "TEST CASE: none ended in time"
        return done.returncode, done.stdout

    def flags(self):
        found = FLAGS + [f"-I{self.folder / 'mutated'}"]
        for folder in ("include", "cuda/include", "tests/support", "bench/cuda"):
            found.append(f"-I{ROOT / folder}")
        return found + [
            "-DQTK_CUDA_EMULATE=1",
            f'-DQTK_DATA_DIR="{ROOT / "examples/data"}"',
            f'-DQTK_GOLDEN_DIR="{ROOT / "tests/golden"}"',
        ]

    def object_of(self, source):
        to = self.folder / (source.stem + ".o")
        code, text = self.call([self.compiler, *self.flags(), "-c", str(source), "-o", str(to)], 600)
        if code != 0:
            sys.exit(f"mutations: {source} does not compile:\n{text}")
        return to

    def run(self, test):
        """None if the test passes, else what failed."""
        source = ROOT / "tests" / test
        program = self.folder / "program"
        text = source.read_text()
        build = [self.compiler, *self.flags(), str(source), str(self.main)]
        if PRODUCT_HELPERS.search(text):
            build.append(str(ROOT / "tests/kernel/product_cases.cpp"))
        if PROPERTIES.search(text):
            build.append("-lrapidcheck")
        code, text = self.call([*build, "-o", str(program)], 900)
        if code != 0:
            first = next((line for line in text.splitlines() if "error" in line), text[:200])
            return "compiler: " + re.sub(r"^\S+ error: ", "", first)
        code, text = self.call([str(program), "--no-colors=true"], 1800)
        if code == 0:
            return None
        named = re.search(r"TEST CASE:\s*(.+)", text)
        return named[1].strip() if named else f"exit status {code}"

    def require_sound(self, test):
        if test not in self.sound:
            self.sound[test] = self.run(test)
        if self.sound[test] is not None:
            sys.exit(f"mutations: tests/{test} fails without a mutation: {self.sound[test]}")

    def try_out(self, mutation):
        """(test, what failed) of the first test that notices, or None."""
        copy = self.folder / "mutated" / mutation.header
        if not self.trusts:
            for test in mutation.tests.split():
                self.require_sound(test)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path_of(mutation.header).read_text().replace(mutation.old, mutation.new))
        try:
            for test in mutation.tests.split():
                if failure := self.run(test):
                    return test, failure
            return None
        finally:
            copy.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("regex", nargs="?", default="")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--keep", type=Path, default=ROOT / "build/hardening/mutations")
    arguments = parser.parse_args()
    wanted = [m for m in MUTATIONS if re.search(arguments.regex, m.name + " " + m.header)]
    if arguments.list:
        for m in wanted:
            print(f"{m.header}: {m.name}")
    if check_list():
        return 2
    if arguments.list:
        print(f"{len(wanted)} mutations")
        return 0
    workshop = Workshop(arguments.keep.resolve(), arguments.trust)
    rows, survivors = [], 0
    start = time.monotonic()
    for number, m in enumerate(wanted, 1):
        noticed = workshop.try_out(m)
        survivors += noticed is None
        where = f"{noticed[0]}: {noticed[1]}" if noticed else "NOT NOTICED"
        print(f"[{number}/{len(wanted)}] {m.header}: {m.name}: {where}", flush=True)
        rows.append((m, noticed))
    if arguments.table:
        lines = ["| header | mutation | noticed by | test |", "|---|---|---|---|"]
        for m, noticed in rows:
            test, failure = noticed or ("nothing", "")
            lines.append(f"| `{m.header}` | {m.name} | `{test}` | {failure.replace('|', '/')} |")
        arguments.table.write_text("\n".join(lines) + "\n")
    seconds = time.monotonic() - start
    print(f"{len(rows)} mutations, {len(rows) - survivors} noticed, {survivors} survived, {seconds:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
