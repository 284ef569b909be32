// SPDX-License-Identifier: Apache-2.0
//
// The kernels, compiled once for a program of many files (docs/how-to/compile-kernels-once.md).
#define QTK_KERNELS_HERE 1
#include <qtk/kernel/gguf_product.hpp>
#include <qtk/kernel/llm_int8.hpp>
#include <qtk/quantize_any.hpp>
#if __has_include(<nlohmann/json.hpp>)
#include <qtk/io/safetensors_header.hpp>
#include <qtk/io/strict_json.hpp>
#endif
