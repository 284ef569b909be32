// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/tokenizer.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;

nlohmann::json golden(std::string const& name) {
    std::ifstream file(std::filesystem::path(QTK_GOLDEN_DIR) / "tokenizers" / (name + ".json"));
    return nlohmann::json::parse(file);
}

// A GGUF file's metadata from their JSON form; views into `json`.
qtk::tokenizer_source source_of(nlohmann::json const& json) {
    qtk::tokenizer_source source;
    source.model = json["model"];
    source.pre = json["pre"];
    for (auto const& token : json["tokens"])
        source.tokens.push_back(token.get_ref<std::string const&>());
    source.token_types = json["token_types"].get<std::vector<std::int32_t>>();
    if (json.contains("scores")) source.scores = json["scores"].get<std::vector<float>>();
    if (json.contains("merges"))
        for (auto const& merge : json["merges"])
            source.merges.push_back(merge.get_ref<std::string const&>());
    source.bos = json["bos"].get<std::int32_t>();
    source.eos = json["eos"].get<std::int32_t>();
    source.add_bos = true;
    return source;
}

void check_cases(qtk::tokenizer const& tokenizer, nlohmann::json const& cases) {
    REQUIRE(cases.size() > 35);
    for (auto const& expected : cases) {
        auto const text = expected["text"].get<std::string>();
        CAPTURE(text);
        auto const ordinary = tokenizer.encode(text, qtk::special_text::ordinary);
        CHECK(ordinary == expected["ordinary"].get<ids>());
        auto const decoded = expected["decoded"].get<std::string>();
        if (!expected.contains("ids")) {
            CHECK(tokenizer.decode(ordinary) == decoded);
            continue;
        }
        auto const tokens = tokenizer.encode(text);
        CHECK(tokens == expected["ids"].get<ids>());
        CHECK(tokenizer.decode(tokens) == decoded);
        std::string one_by_one;
        for (auto const id : tokens) one_by_one += tokenizer.piece(id);
        CHECK(one_by_one.ends_with(tokenizer.decode(tokens)));
    }
}

qtk::tokenizer golden_tokenizer(nlohmann::json const& file) {
    return qtk::tokenizer::from_json(file["tokenizer"].dump());
}

struct temporary_folder {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() /
        ("qtk_tokenizer_test_" + std::to_string(static_cast<unsigned long>(::getpid())));
    temporary_folder() { std::filesystem::create_directory(path); }
    ~temporary_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
};

}  // namespace

TEST_CASE("a tokenizer.json gives the ids and the text that the package tokenizers gives") {
    for (char const* const name : {"gpt2", "smollm", "llama3", "qwen2", "llama2", "metaspace_first",
                                   "metaspace_always", "metaspace_never"}) {
        CAPTURE(name);
        auto const file = golden(name);
        auto const tokenizer = golden_tokenizer(file);
        check_cases(tokenizer, file["cases"]);
        // What the rule of the file puts around a text.
        auto expected = tokenizer.encode("Hello");
        if (tokenizer.adds_bos()) expected.insert(expected.begin(), tokenizer.bos().value());
        if (tokenizer.adds_eos()) expected.push_back(tokenizer.eos().value());
        CHECK(expected == file["with_specials"].get<ids>());
    }
}

TEST_CASE("GGUF metadata give the ids that tokenizers and sentencepiece give") {
    for (char const* const name : {"llama3_gguf", "llama2_gguf"}) {
        CAPTURE(name);
        auto const file = golden(name);
        auto const tokenizer = qtk::tokenizer::from(source_of(file["gguf"]), "golden.gguf");
        check_cases(tokenizer, file["cases"]);
        CHECK(tokenizer.adds_bos());
        CHECK(tokenizer.bos() == file["gguf"]["bos"].get<std::int32_t>());
        CHECK(tokenizer.eos() == file["gguf"]["eos"].get<std::int32_t>());
        CHECK(tokenizer.end_of_text() == tokenizer.eos());
    }
}

TEST_CASE("a folder is read from tokenizer.json, or from GPT-2's two files") {
    std::filesystem::path const data = QTK_DATA_DIR;
    auto const whole = qtk::tokenizer::open(data / "polyglot-gpt2");
    auto const bpe = qtk::byte_level_bpe::open(data / "polyglot-gpt2");
    temporary_folder const folder;
    for (char const* const name : {"vocab.json", "merges.txt"})
        std::filesystem::copy(data / "polyglot-gpt2" / name, folder.path / name);
    auto const parts = qtk::tokenizer::open(folder.path);
    std::ifstream file(data / "corpus" / "hi.txt");
    std::string const text(std::istreambuf_iterator<char>(file), {});
    REQUIRE(text.size() > 10'000);
    CHECK(whole.encode(text) == bpe.encode(text));
    CHECK(parts.encode(text) == bpe.encode(text));
    CHECK(parts.hash() == bpe.hash());
    CHECK(whole.hash() == "12dc744a0860b65ff3c96d8af04ada6bf3f453e78a33507e4153263aaa9428dd");
    for (auto const* tokenizer : {&whole, &parts}) {
        CHECK(tokenizer->size() == 4096);
        CHECK(tokenizer->bos() == 0);
        CHECK(tokenizer->eos() == 0);
        CHECK_FALSE(tokenizer->adds_bos());
        CHECK(tokenizer->end_of_text() == 0);
        CHECK(tokenizer->encode("a<|endoftext|>", qtk::special_text::ordinary).size() > 2);
        CHECK(tokenizer->encode("a<|endoftext|>").size() == 2);
    }
    std::filesystem::remove(folder.path / "merges.txt");
    CHECK_THROWS_AS((void)qtk::tokenizer::open(folder.path), qtk::system_error);
    std::filesystem::remove(folder.path / "vocab.json");
    CHECK_THROWS_WITH_AS((void)qtk::tokenizer::open(folder.path),
                         (folder.path.string() +
                          ": there is no tokenizer: neither tokenizer.json, nor vocab.json and "
                          "merges.txt")
                             .c_str(),
                         qtk::io_error);
}

TEST_CASE("tokenizer_config.json names the ends and says whether they are added") {
    auto const tokenizer = golden_tokenizer(golden("llama2"));
    CHECK(tokenizer.adds_bos());
    CHECK(tokenizer.bos() == 1);
    CHECK_FALSE(tokenizer.eos().has_value());
    auto const with = tokenizer.configured(
        R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": false,
            "add_eos_token": true})");
    CHECK_FALSE(with.adds_bos());
    CHECK(with.adds_eos());
    CHECK(with.eos() == 2);
    CHECK(with.end_of_text() == 2);
    CHECK_THROWS_WITH_AS(
        (void)tokenizer.configured(R"({"eos_token": "<none>", "add_eos_token": true})"),
        "tokenizer_config.json: add_eos_token is true, but the vocabulary has no token for "
        "eos_token",
        qtk::io_error);
    CHECK_THROWS_AS((void)tokenizer.configured(R"({"eos_token": 5})"), qtk::io_error);
    CHECK_THROWS_AS((void)tokenizer.configured("[]"), qtk::io_error);
}

TEST_CASE("a folder's tokenizer_config.json is read with its tokenizer.json") {
    temporary_folder const folder;
    std::ofstream(folder.path / "tokenizer.json") << golden("qwen2")["tokenizer"].dump();
    CHECK(qtk::tokenizer::open(folder.path).bos().has_value());
    std::ofstream(folder.path / "tokenizer_config.json")
        << R"({"bos_token": null, "eos_token": "<|im_start|>", "add_bos_token": false})";
    auto const tokenizer = qtk::tokenizer::open(folder.path);
    CHECK_FALSE(tokenizer.bos().has_value());
    CHECK(tokenizer.eos() == tokenizer.find("<|im_start|>"));
    CHECK(tokenizer.end_of_text() == tokenizer.find("<|endoftext|>"));
    CHECK(tokenizer.eos() != tokenizer.end_of_text());
}

TEST_CASE("ids without a token, and text that is not UTF-8, are refused") {
    for (char const* const name : {"gpt2", "llama2"}) {
        auto const tokenizer = golden_tokenizer(golden(name));
        auto const size = static_cast<std::int32_t>(tokenizer.size());
        for (std::int32_t const id : {-1, size, 2'000'000'000}) {
            CHECK_THROWS_AS((void)tokenizer.piece(id), qtk::value_error);
            CHECK_THROWS_AS((void)tokenizer.decode(ids{id}), qtk::value_error);
        }
        CHECK_THROWS_WITH_AS((void)tokenizer.encode("ab\xff"), "the text is not UTF-8 at byte 2",
                             qtk::value_error);
    }
}

TEST_CASE("long text without a space is encoded by every tokenizer, not hung upon") {
    for (char const* const name : {"gpt2", "smollm", "llama3", "qwen2", "llama2", "metaspace_first",
                                   "metaspace_always", "metaspace_never"}) {
        auto const tokenizer = golden_tokenizer(golden(name));
        for (char const* const unit : {"a", "1", "!", "\n", "\t", "\u6587", " "}) {
            if (std::string_view(name) == "metaspace_never" && *unit != 'a') continue;
            std::string text;
            for (int i = 0; i < 100'000; ++i) text += unit;
            CAPTURE(name);
            CAPTURE(unit);
            CHECK(tokenizer.encode(text).size() > 1000);
        }
    }
}

TEST_CASE("a pattern that would try everything ends in an error, not in wrong ids") {
    auto file = golden("llama3")["tokenizer"];
    file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(?:a|a)*[0-9]";
    auto const tokenizer = qtk::tokenizer::from_json(file.dump());
    CHECK_THROWS_WITH_AS((void)tokenizer.encode(std::string(60, 'a') + "!"),
                         "the text cannot be split after byte 0: match limit exceeded",
                         qtk::value_error);
}

TEST_CASE("text that a normalizer NFC would change is refused, other text is not looked at") {
    auto const qwen2 = golden_tokenizer(golden("qwen2"));
    CHECK_THROWS_WITH_AS((void)qwen2.encode("cafe\u0301"),
                         "the text is not in Unicode's normal form C at byte 4, which this "
                         "tokenizer needs. Hint: normalize it first",
                         qtk::value_error);
    CHECK_FALSE(qwen2.encode("caf\u00e9").empty());
    CHECK_FALSE(golden_tokenizer(golden("llama3")).encode("cafe\u0301").empty());
}
