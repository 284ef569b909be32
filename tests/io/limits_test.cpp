// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/limits.hpp>

#include <doctest/doctest.h>

TEST_CASE("the defaults are the bounds that the formats and the documentation state") {
    qtk::io_limits const limits;
    CHECK(limits.safetensors_header_bytes == 100'000'000);
    CHECK(limits.tensor_rank == 8);
    CHECK(limits.json_depth == 8);
    CHECK(limits.tensors == 2'097'152);
}
