// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/nonfinite.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <vector>

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// `values` after the policy.
std::vector<float> after(qtk::nonfinite policy, std::vector<float> values) {
    qtk::replace_nonfinite(values, policy);
    return values;
}

}  // namespace

static_assert(qtk::is_nonfinite(infinity) && qtk::is_nonfinite(-infinity) &&
              qtk::is_nonfinite(nan));
static_assert(!qtk::is_nonfinite(0.0f) && !qtk::is_nonfinite(std::numeric_limits<float>::max()) &&
              !qtk::is_nonfinite(std::numeric_limits<float>::denorm_min()));

TEST_CASE("nothing is found in nothing and in finite values") {
    CHECK(qtk::find_nonfinite(std::span<float const>{}).count == 0);
    std::vector<float> const values{1.0f, -0.0f, 3e38f};
    CHECK(qtk::find_nonfinite(values).count == 0);
    CHECK_NOTHROW(qtk::require_finite({}, "anything", 4));
}

TEST_CASE("count and first place are found") {
    std::vector<float> const values{1.0f, 2.0f, nan, 3.0f, infinity, -infinity};
    auto const found = qtk::find_nonfinite(values);
    CHECK(found.count == 3);
    CHECK(found.first == 2);
}

TEST_CASE("a view counts its own columns and not what lies between its rows") {
    std::vector<float> const memory{1, 2, nan, 3, 4, nan, 5, infinity, nan};
    qtk::matrix_view<float const> const m(memory.data(), 3, 2, 3);
    auto const found = qtk::find_nonfinite(m);
    CHECK(found.count == 1);
    CHECK(found.first == 5);
}

TEST_CASE("the error says tensor, count, place and what helps") {
    qtk::nonfinite_scan const found{.count = 2, .first = 9};
    CHECK_THROWS_WITH_AS(qtk::require_finite(found, "h.0.mlp", 4),
                         "h.0.mlp: expected finite values, found 2 NaN or infinite, the first at "
                         "index 9 (row 2, column 1). Hint: choose nonfinite::propagate, saturate "
                         "or zero to go on",
                         qtk::nonfinite_error);
    try {
        qtk::require_finite(found, "flat", 0);
    } catch (qtk::nonfinite_error const& e) {
        CHECK(e.count == 2);
        CHECK(e.first == 9);
        CHECK(std::string(e.what()).find("row") == std::string::npos);
    }
}

TEST_CASE("zero replaces each by 0") {
    CHECK(after(qtk::nonfinite::zero, {1.0f, nan, -infinity, infinity, -2.0f}) ==
          std::vector<float>{1.0f, 0.0f, 0.0f, 0.0f, -2.0f});
}

TEST_CASE("saturate keeps signs at the largest finite magnitude of the tile") {
    CHECK(after(qtk::nonfinite::saturate, {1.0f, nan, -infinity, infinity, -2.0f}) ==
          std::vector<float>{1.0f, 0.0f, -2.0f, 2.0f, -2.0f});
    // A tile without a finite value has no magnitude: zeros.
    CHECK(after(qtk::nonfinite::saturate, {infinity, -infinity, nan}) ==
          std::vector<float>{0.0f, 0.0f, 0.0f});
    CHECK(after(qtk::nonfinite::saturate, {}).empty());
}

TEST_CASE("error and propagate change nothing") {
    for (auto const policy : {qtk::nonfinite::error, qtk::nonfinite::propagate}) {
        auto const values = after(policy, {1.0f, infinity, nan});
        CHECK(values[0] == 1.0f);
        CHECK(values[1] == infinity);
        CHECK(values[2] != values[2]);
    }
}
