// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/tokenizer_json.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <variant>

namespace {

using json = nlohmann::json;

json byte_level() {
    return json::parse(R"({
        "added_tokens": [{"id": 3, "content": "<s>", "special": true, "normalized": false}],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
}

json pieces() {
    return json::parse(R"({
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "unk_token": "?", "vocab": {"a": 0, "?": 1, "▁": 2},
                  "merges": []}})");
}

std::string refusal(std::string const& content) {
    try {
        (void)qtk::read_tokenizer_json(content, "t.json");
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}

// What is said of `document` after `patch` (RFC 7386: null takes a member away).
std::string refusal(json document, char const* patch) {
    document.merge_patch(json::parse(patch));
    return refusal(document.dump());
}

bool says(std::string const& text, std::string_view part) {
    CAPTURE(text);
    return text.starts_with("t.json: ") && text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("both engines are read, also from a file that leaves out what may be left out") {
    CHECK(refusal(byte_level().dump()) == "accepted");
    CHECK(refusal(pieces().dump()) == "accepted");
    auto const parts = qtk::read_tokenizer_json(byte_level().dump(), "t.json");
    CHECK(std::holds_alternative<qtk::byte_level_bpe>(parts.engine));
    CHECK(parts.in_text.tokens().size() == 1);
    CHECK_FALSE(parts.ends.adds_bos);
    CHECK(refusal(byte_level(), R"({"added_tokens": null, "model": {"type": null}})") ==
          "accepted");
    CHECK(refusal(byte_level(), R"({"model": {"dropout": 0.0, "continuing_subword_prefix": "",
                                    "end_of_word_suffix": ""}})") == "accepted");
}

TEST_CASE("what is no tokenizer.json at all says so") {
    CHECK(says(refusal("<html>"), "this is not JSON"));
    CHECK(says(refusal(""), "this is not JSON"));
    CHECK(says(refusal("[]"), "expected an object"));
    CHECK(says(refusal("{}"), "model"));
    CHECK(says(refusal("{\"model\": 1, \"model\": 2}"), "appears twice"));
    CHECK(says(refusal("\xff"), "not UTF-8"));
    CHECK(says(refusal(std::string(9, '[')), "nest deeper"));
}

TEST_CASE("models other than BPE, and options that would change ids, are refused by name") {
    for (char const* type : {"Unigram", "WordPiece", "WordLevel"})
        CHECK(says(
            refusal(byte_level(), (std::string(R"({"model": {"type": ")") + type + "\"}}").c_str()),
            type));
    CHECK(says(refusal(byte_level(), R"({"model": {"dropout": 0.1}})"), "dropout"));
    CHECK(says(refusal(byte_level(), R"({"model": {"end_of_word_suffix": "</w>"}})"),
               "end_of_word_suffix"));
    CHECK(says(refusal(byte_level(), R"({"model": {"continuing_subword_prefix": "##"}})"),
               "continuing_subword_prefix"));
    CHECK(says(refusal(byte_level(), R"({"model": {"unk_token": "<unk>"}})"), "unk_token"));
    CHECK(says(refusal(byte_level(), R"({"model": {"byte_fallback": true}})"), "byte_fallback"));
    CHECK(says(refusal(byte_level(), R"({"model": {"ignore_merges": 1}})"),
               "ignore_merges: expected true or false"));
    CHECK(says(refusal(pieces(), R"({"model": {"byte_fallback": true}})"),
               "no token for the byte 0"));
    CHECK(says(refusal(pieces(), R"({"model": {"byte_fallback": true, "vocab": {"<0x-1>": 7}}})"),
               "<0x-1>"));
}

TEST_CASE("steps that are not known are refused by name") {
    for (char const* step :
         {"NFKC", "Lowercase", "Precompiled", "StripAccents", "Replace", "Prepend"})
        CHECK(says(refusal(byte_level(),
                           (std::string(R"({"normalizer": {"type": ")") + step + "\"}}").c_str()),
                   step));
    for (char const* step : {"Whitespace", "BertPreTokenizer", "Punctuation", "UnicodeScripts"})
        CHECK(
            says(refusal(byte_level(),
                         (std::string(R"({"pre_tokenizer": {"type": ")") + step + "\"}}").c_str()),
                 step));
    for (char const* step : {"BertProcessing", "RobertaProcessing"})
        CHECK(
            says(refusal(byte_level(),
                         (std::string(R"({"post_processor": {"type": ")") + step + "\"}}").c_str()),
                 step));
    for (char const* step : {"WordPiece", "BPEDecoder", "CTC"})
        CHECK(says(refusal(byte_level(),
                           (std::string(R"({"decoder": {"type": ")") + step + "\"}}").c_str()),
                   step));
    CHECK(says(refusal(byte_level(), R"({"pre_tokenizer": null})"), "pre_tokenizer null"));
    CHECK(says(refusal(byte_level(), R"({"pre_tokenizer": 5})"), "pre_tokenizer 5"));
    CHECK(
        says(refusal(pieces(), R"({"normalizer": {"type": "NFC", "normalizers": null}})"), "NFC"));
    CHECK(says(refusal(pieces(), R"({"decoder": null})"), "decoder null"));
}

TEST_CASE("splits are isolated, well-formed and short") {
    auto const with = [](std::string const& split) {
        return refusal(byte_level(),
                       (R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [)" + split +
                        R"(, {"type": "ByteLevel", "add_prefix_space": false,
                           "use_regex": false}]}})")
                           .c_str());
    };
    auto const split = [](std::string const& pattern, std::string const& behavior = "Isolated") {
        return R"({"type": "Split", "invert": false, "behavior": ")" + behavior +
               R"(", "pattern": )" + pattern + "}";
    };
    CHECK(with(split(R"({"Regex": "\\p{L}+"})")) == "accepted");
    CHECK(with(split(R"({"String": "("})")) == "accepted");
    CHECK(with(R"({"type": "Digits", "individual_digits": true})") == "accepted");
    CHECK(says(with(split(R"({"Regex": "a(b"})")),
               "the split pattern does not compile at character 3: missing closing parenthesis"));
    CHECK(says(with(split(R"({"Regex": "\\w"})")), R"(the split pattern uses "\w")"));
    CHECK(says(with(split(R"({"Regex": ""})")), "the split pattern has 0 bytes"));
    CHECK(says(with(split("{\"Regex\": \"" + std::string(20'000, 'a') + "\"}")), "20000 bytes"));
    CHECK(says(with(split(R"({"Regex": 5})")), "Regex: expected a string"));
    CHECK(says(with(split("5")), "pre_tokenizer"));
    CHECK(says(with(split(R"({"Regex": "a"})", "Removed")), "Removed"));
}

TEST_CASE("added tokens agree with the vocabulary") {
    auto const with = [](char const* token) {
        return refusal(byte_level(), (std::string(R"({"added_tokens": [)") + token + "]}").c_str());
    };
    CHECK(with(R"({"id": 0, "content": "a"})") == "accepted");
    CHECK(says(with(R"({"id": 1, "content": "a"})"), "has the id 1, in the vocabulary it is 0"));
    CHECK(says(with(R"({"id": 1, "content": "c"})"), R"(the id 1 belongs to both "b" and "c")"));
    CHECK(says(with(R"({"id": -1, "content": "c"})"), "expected a number"));
    CHECK(says(with(R"({"id": 4194304, "content": "c"})"), "expected an id from 0 to 4194303"));
    CHECK(says(with(R"({"id": 4, "content": ""})"), "empty"));
    CHECK(says(with(R"({"id": 4})"), "content: expected a string"));
    CHECK(says(with(R"({"id": 4, "content": "c", "single_word": true})"), "single_word"));
    CHECK(says(with(R"({"id": 4, "content": "c", "special": "yes"})"), "special: expected true"));
    CHECK(says(with("5"), "content: expected a string"));
    CHECK(
        says(refusal(byte_level(), R"({"added_tokens": {}})"), "added_tokens: expected an array"));
}

TEST_CASE("vocabularies and merges are held against each other") {
    CHECK(says(refusal(byte_level(), R"({"model": {"vocab": {"c": 0}}})"), "belongs to both"));
    CHECK(says(refusal(byte_level(), R"({"model": {"vocab": {"c": 4194304}}})"), "expected an id"));
    CHECK(says(refusal(byte_level(), R"({"model": {"vocab": {"c": 1.5}}})"), "expected an id"));
    CHECK(says(refusal(byte_level(), R"({"model": {"vocab": [1]}})"), "expected an object"));
    CHECK(says(refusal(byte_level(), R"({"model": {"vocab": {"▁": 9}}})"), "byte-level alphabet"));
    CHECK(says(refusal(byte_level(), R"({"model": {"merges": [["a", "z"]]}})"), "no token \"z\""));
    CHECK(says(refusal(byte_level(), R"({"model": {"merges": 5}})"), "expected an array"));
    CHECK(says(refusal(byte_level(), R"({"model": {"merges": null}})"), "expected an array"));
}

TEST_CASE("a template puts at most one token on each side of the text") {
    auto const with = [](std::string const& single) {
        return refusal(byte_level(),
                       (R"({"post_processor": {"type": "TemplateProcessing", "single": )" + single +
                        R"(, "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]},
                           "x": {"ids": [99]}, "y": 5}}})")
                           .c_str());
    };
    std::string const text = R"({"Sequence": {"id": "A", "type_id": 0}})";
    std::string const token = R"({"SpecialToken": {"id": "<s>", "type_id": 0}})";
    CHECK(with("[" + text + "]") == "accepted");
    CHECK(with("[" + token + "," + text + "," + token + "]") == "accepted");
    for (auto const& wrong : {"[" + token + "]", "[" + token + "," + token + "," + text + "]",
                              std::string("[]"), "[" + text + "," + text + "]", std::string("5"),
                              std::string("[5]"), "[" + text + R"(, {"Other": 1}])"})
        CHECK(says(with(wrong), ""));
    for (char const* name : {"x", "y", "z"})
        CHECK(says(
            with("[{\"SpecialToken\": {\"id\": \"" + std::string(name) + "\"}}, " + text + "]"),
            "no single id of the vocabulary"));
}
