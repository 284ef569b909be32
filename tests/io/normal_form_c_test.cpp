// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/normal_form_c.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace {
constexpr auto composed = std::string_view::npos;
}

TEST_CASE("composed text, and text that nothing composes, has no fault") {
    for (char const* text : {"", "plain", "caf\u00e9", "\u1ea5", "\u6587\u5b57 \uac01", "x\u0301",
                             "\u0301", "\u0921\u093c", "\U0001f469\u200d\U0001f469"})
        CHECK(qtk::find_nfc_fault(text) == composed);
}

TEST_CASE("what would be joined, changed or moved is found where it stands") {
    CHECK(qtk::find_nfc_fault("cafe\u0301") == 4);
    CHECK(qtk::find_nfc_fault("a\u212b") == 1);
    CHECK(qtk::find_nfc_fault("x\u0301\u0323") == 3);
    CHECK(qtk::find_nfc_fault("\u1100\u1161") == 3);
    CHECK(qtk::find_nfc_fault("\uac00\u11a8") == 3);
    CHECK(qtk::find_nfc_fault("\u0928\u093c") == 3);
    // The mark below goes first, and joins the letter that the mark above has left.
    CHECK(qtk::find_nfc_fault("\u00e9\u0323") == 2);
    // A mark of a lower class between them does not keep them apart, one of the same class does.
    CHECK(qtk::find_nfc_fault("a\u0316\u0301") == 3);
    CHECK(qtk::find_nfc_fault("a\u0346\u0301") == composed);
}

TEST_CASE("of thousands of texts exactly those are found that unicodedata would change") {
    std::ifstream file(std::filesystem::path(QTK_GOLDEN_DIR) / "normal_form_c.json");
    auto const golden = nlohmann::json::parse(file);
    REQUIRE(golden["composed"].size() > 1000);
    REQUIRE(golden["others"].size() > 1000);
    for (auto const& text : golden["composed"]) {
        CAPTURE(text.dump(-1, ' ', true));
        CHECK(qtk::find_nfc_fault(text.get<std::string>()) == composed);
    }
    for (auto const& text : golden["others"]) {
        CAPTURE(text.dump(-1, ' ', true));
        CHECK(qtk::find_nfc_fault(text.get<std::string>()) != composed);
    }
}

TEST_CASE("the embedded corpus is composed in all its languages") {
    for (auto const& entry :
         std::filesystem::directory_iterator(std::filesystem::path(QTK_DATA_DIR) / "corpus")) {
        if (entry.path().extension() != ".txt") continue;
        std::ifstream file(entry.path(), std::ios::binary);
        std::string const text(std::istreambuf_iterator<char>(file), {});
        CAPTURE(entry.path().string());
        CHECK(qtk::find_nfc_fault(text) == composed);
    }
}
