// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/stepwise.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/eval/divergence.hpp>
#include <qtk/model/load.hpp>

#include <doctest/doctest.h>

#include "tiny_model.hpp"
#include <cmath>
#include <vector>

namespace {

qtk::decoder tiny() {
    qtk_test::temporary_folder const place;
    qtk_test::tiny_llama().write(place.path());
    return qtk::load_decoder(place.path());
}
double difference(qtk::matrix const& a, qtk::matrix const& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.view().size(); ++i)
        sum += std::fabs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    return sum;
}

}  // namespace

TEST_CASE("the fewer bits a past has, the further a model moves from itself") {
    qtk::decoder const model = tiny();
    std::vector<std::int32_t> const tokens{3, 1, 4, 1, 5, 9};
    qtk::matrix const whole = model.hidden(tokens);
    CHECK(qtk::stepwise_hidden(model, tokens, {}) == whole);
    // All tokens are recent: floats, token by token.
    CHECK(difference(qtk::stepwise_hidden(model, tokens, qtk::parse_kv_format("i2")), whole) <
          1e-3);
    double before = 0.0;
    for (char const* const text : {"i8/g2/r0", "i4/g2/token/r0", "i2/g4/token/r0"}) {
        CAPTURE(text);
        double const moved =
            difference(qtk::stepwise_hidden(model, tokens, qtk::parse_kv_format(text)), whole);
        CHECK(moved > before);
        before = moved;
    }
}

TEST_CASE("divergence sees what the past costs") {
    qtk::decoder const model = tiny();
    std::vector<qtk::language_tokens> const text{{"a", {0, 1, 2, 3, 4, 5, 6, 7}}};
    auto const kl = [&](char const* kv) {
        return qtk::summarize(qtk::evaluate_divergence(model, model, text, {4, 4, 0}, {},
                                                       qtk::parse_kv_format(kv)))
            .kl;
    };
    CHECK(kl("fp32") == 0.0);
    CHECK(kl("i2/g4/token/r0") > kl("i8/g4/token/r0"));
}

TEST_CASE("a token that is none is refused") {
    qtk::decoder const model = tiny();
    std::vector<std::int32_t> const tokens{3, 99};
    CHECK_THROWS_AS((void)qtk::stepwise_hidden(model, tokens, qtk::kv_storage::i8),
                    qtk::value_error);
}
