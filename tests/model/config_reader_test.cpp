// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/config_reader.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

using qtk::detail::config_reader;

// What f throws when it reads {"x": value}.
template <typename F>
std::string refusal(nlohmann::json const& value, F const& f) {
    // Through text, as files hold numbers: an int of C++ would be another kind.
    auto const object = nlohmann::json::parse(nlohmann::json{{"x", value}}.dump());
    try {
        f(config_reader(object, "c"));
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}

}  // namespace

TEST_CASE("null and a missing field are no field, and only null is there") {
    nlohmann::json const object{{"x", nullptr}};
    config_reader const json(object, "c");
    CHECK(json.find("x") == nullptr);
    CHECK(json.find("y") == nullptr);
    CHECK(json.has("x"));
    CHECK_FALSE(json.has("y"));
    CHECK(json.count("x", 9, 7) == 7);
    CHECK(json.text("y", "z") == "z");
    CHECK_THROWS_WITH_AS((void)json.count("x", 9), "c: the field x is missing", qtk::io_error);
}

TEST_CASE("whole numbers have bounds on both sides") {
    auto const read = [](config_reader const& json) { (void)json.whole("x", 2, 5); };
    for (int const good : {2, 3, 5}) CHECK(refusal(good, read) == "accepted");
    CHECK(refusal(1, read) == "c: x: expected a whole number from 2 to 5, found 1");
    for (nlohmann::json const& bad : {nlohmann::json(6), nlohmann::json(-2), nlohmann::json(2.0),
                                      nlohmann::json("3"), nlohmann::json(std::uint64_t{1} << 63)})
        CHECK(refusal(bad, read) != "accepted");
}

TEST_CASE("tokens are a number or an array of numbers below the vocabulary") {
    auto const read = [](nlohmann::json const& value) {
        auto const object = nlohmann::json::parse(nlohmann::json{{"x", value}}.dump());
        return config_reader(object, "c").tokens("x", 10);
    };
    using ids = std::vector<std::int32_t>;
    CHECK(read(nullptr) == ids{});
    CHECK(read(9) == ids{9});
    CHECK(read({3, 0}) == ids{3, 0});
    CHECK(read(nlohmann::json::array()) == ids{});
    CHECK_THROWS_WITH_AS((void)read(10), "c: x: expected a token from 0 to 9, found 10",
                         qtk::io_error);
    CHECK_THROWS_WITH_AS((void)read({1, -1}), "c: x: expected a token from 0 to 9, found -1",
                         qtk::io_error);
    for (nlohmann::json const& bad :
         {nlohmann::json("1"), nlohmann::json(1.0), nlohmann::json{{1}}, nlohmann::json::object()})
        CHECK_THROWS_AS((void)read(bad), qtk::io_error);
}

TEST_CASE("a field that is not known is named, in characters that a terminal may see") {
    nlohmann::json const object{{"x", 1}, {"\x1b[2J", 2}};
    config_reader const json(object, "c");
    CHECK_NOTHROW(json.require_known({"x", "\x1b[2J"}));
    try {
        json.require_known({"x"});
        FAIL("accepted");
    } catch (qtk::io_error const& fault) {
        std::string const text = fault.what();
        CHECK(text.find("is not known") != std::string::npos);
        CHECK(text.find('\x1b') == std::string::npos);
    }
}

TEST_CASE("activations are known by the names of their makers") {
    auto const read = [](char const* name) {
        nlohmann::json const object{{"x", name}};
        return qtk::detail::activation_of(config_reader(object, "c"), "x", nullptr);
    };
    for (char const* name : {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"})
        CHECK(read(name) == qtk::activation::gelu_tanh);
    CHECK(read("gelu") == qtk::activation::gelu_erf);
    for (char const* name : {"silu", "swish"}) CHECK(read(name) == qtk::activation::silu);
    CHECK(read("relu") == qtk::activation::relu);
    CHECK_THROWS_AS((void)read("quick_gelu"), qtk::io_error);
}
