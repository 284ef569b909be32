// SPDX-License-Identifier: Apache-2.0
//
// Which instructions may the functions between two lines of a header use? A region raises the
// target of what it encloses, so that a file compiled with plain -O2 holds kernels for wider
// machines; isa.hpp chooses at run time. Elsewhere than on x86-64, QTK_HAS_X86 is 0 and no region
// exists.
//
//   QTK_AVX2_REGION ... QTK_REGION_END      AVX2, FMA, F16C
//   QTK_AVXVNNI_REGION                      the same with AVX-VNNI
//   QTK_AVX512_REGION                       AVX-512 F, BW, VL, DQ and VNNI: Cascade Lake and Zen 4 on
//   QTK_AVX512BF16_REGION                   the same with BF16
//   QTK_AMX_REGION                          the same with VBMI, GFNI and BF16: Sapphire Rapids on.
//                                           Tiles are used through assembly (amx/tile.hpp).
//
// Inside a region: intrinsics and qtk's own functions of the same region; no lambdas (g++ does not
// give them the target), no std:: algorithms, nothing of xsimd. Every function lies in QTK_ABI_NS,
// because a file that is compiled for a wider machine may use that machine's instructions in any
// region.
#pragma once

#include <qtk/core/abi.hpp>

#if defined(__x86_64__) && !defined(QTK_NO_X86_KERNELS) && !defined(__CUDACC__)
#define QTK_HAS_X86 1
#include <immintrin.h>
#else
#define QTK_HAS_X86 0
#endif

/// The function is part of whoever calls it, whatever the optimizer thinks.
#define QTK_ALWAYS_INLINE inline __attribute__((always_inline))

#if defined(__clang__)
#define QTK_PRAGMA_(text) _Pragma(#text)
#define QTK_TARGET_REGION_(features) \
    QTK_PRAGMA_(clang attribute push(__attribute__((target(features))), apply_to = function))
#define QTK_REGION_END _Pragma("clang attribute pop")
/// Before a loop whose count is a constant: every turn is written out.
#define QTK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define QTK_PRAGMA_(text) _Pragma(#text)
// g++ 12 takes operands that its own headers leave undefined on purpose for mistakes (GCC PR105593).
#define QTK_TARGET_REGION_(features)                                                             \
    _Pragma("GCC push_options") QTK_PRAGMA_(GCC target(features)) _Pragma("GCC diagnostic push") \
        _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"")                              \
            _Pragma("GCC diagnostic ignored \"-Wuninitialized\"")
#define QTK_REGION_END _Pragma("GCC diagnostic pop") _Pragma("GCC pop_options")
/// Before a loop whose count is a constant: every turn is written out.
#define QTK_UNROLL _Pragma("GCC unroll 64")
#endif

#if QTK_HAS_X86
#define QTK_AVX2_REGION QTK_TARGET_REGION_("avx2,fma,f16c")
#define QTK_AVXVNNI_REGION QTK_TARGET_REGION_("avx2,fma,f16c,avxvnni")
#define QTK_AVX512_REGION \
    QTK_TARGET_REGION_("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#define QTK_AVX512BF16_REGION \
    QTK_TARGET_REGION_("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16")
// clang checks assembly against the target of the function it stands in; g++ does not ask.
#if defined(__clang__)
#define QTK_AMX_REGION                                                                            \
    QTK_TARGET_REGION_(                                                                           \
        "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,avx512vbmi,gfni," \
        "amx-tile,amx-int8,amx-bf16")
#else
#define QTK_AMX_REGION  \
    QTK_TARGET_REGION_( \
        "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,avx512vbmi,gfni")
#endif
#endif
