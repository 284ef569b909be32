// SPDX-License-Identifier: Apache-2.0
//
// Which flags was this file compiled with? Inline functions whose body depends on the instruction
// set live in an inline namespace that is named after the set, so that two files with different
// flags never define one symbol twice (the linker would keep either body for both callers, and the
// wider one crashes on the older machine).
#pragma once

#if defined(__FAST_MATH__) && !defined(QTK_ALLOW_FAST_MATH)
#error \
    "qtk: -ffast-math removes the NaN checks and changes rounding; define QTK_ALLOW_FAST_MATH to take the blame"
#endif

// xsimd is used when its header is there, unless the user says no. nvcc reads neither xsimd nor
// target regions: in a .cu file the host's kernels are the scalar twins.
#if defined(__CUDACC__)
#undef QTK_HAS_XSIMD
#define QTK_HAS_XSIMD 0
#endif
#if !defined(QTK_HAS_XSIMD)
#if !defined(QTK_NO_XSIMD) && defined(__has_include)
#if __has_include(<xsimd/xsimd.hpp>)
#define QTK_HAS_XSIMD 1
#endif
#endif
#endif
#if !defined(QTK_HAS_XSIMD)
#define QTK_HAS_XSIMD 0
#endif

#if defined(__AVX512VNNI__)
#define QTK_ABI_ISA avx512vnni
#elif defined(__AVX512BW__)
#define QTK_ABI_ISA avx512bw
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define QTK_ABI_ISA avx2
#elif defined(__AVX__)
#define QTK_ABI_ISA avx
#elif defined(__SSE4_1__)
#define QTK_ABI_ISA sse4
#elif defined(__aarch64__)
#define QTK_ABI_ISA neon64
#else
#define QTK_ABI_ISA base
#endif

#if defined(__CUDACC__)
#define QTK_ABI_SIMD nvcc
#elif QTK_HAS_XSIMD
#define QTK_ABI_SIMD xsimd
#else
#define QTK_ABI_SIMD plain
#endif

// OpenMP changes the body of every threaded loop; contracts (see contract.hpp) change every checked
// function.
#if defined(_OPENMP)
#define QTK_ABI_THREADS omp
#else
#define QTK_ABI_THREADS single
#endif
#if defined(NDEBUG)
#define QTK_ABI_CONTRACT release
#else
#define QTK_ABI_CONTRACT debug
#endif

#define QTK_ABI_JOIN_(isa, simd, threads, contract) abi_##isa##_##simd##_##threads##_##contract
#define QTK_ABI_JOIN(isa, simd, threads, contract) QTK_ABI_JOIN_(isa, simd, threads, contract)

// Kernels are inline, as everything is. A program with many files may compile them once instead:
// QTK_KERNELS_ELSEWHERE for all files, which then only declare the functions that choose a kernel
// and those that parse JSON, and QTK_KERNELS_HERE for the one file that defines them
// (docs/how-to/compile-kernels-once.md).
#if defined(QTK_KERNELS_HERE)
#undef QTK_KERNELS_ELSEWHERE
#define QTK_KERNEL_ENTRY
#else
#define QTK_KERNEL_ENTRY inline
#endif

/// The inline namespace of everything whose machine code depends on the compile flags.
#define QTK_ABI_NS QTK_ABI_JOIN(QTK_ABI_ISA, QTK_ABI_SIMD, QTK_ABI_THREADS, QTK_ABI_CONTRACT)
