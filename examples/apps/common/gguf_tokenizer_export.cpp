// SPDX-License-Identifier: Apache-2.0
#include "gguf_tokenizer_export.hpp"

#include <qtk/core/error.hpp>
#include <qtk/io/json_fields.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/split_pattern.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/tokenizer.hpp>
#include <qtk/io/tokenizer_source.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

namespace fs = std::filesystem;

/// Texts in which tokenizers differ: spaces, figures, letters of several scripts, signs, line ends.
constexpr std::array<std::string_view, 4> samples{
    "The quick brown fox, it's 12345 years old!  Isn't   it?\n\nYes: \"I'll\" say 3.14 (x_y)...",
    "Größe, naïve café, œuvre; Привет мир, 你好世界 123 カタカナ, שלום "
    "42\t🙂",
    "for (int i=0;i<10;++i) { a[i] += b*c; }  // 100% $9.99 #tag @me\r\n\ttabs",
    "x",
};

/// Texts at whose ends tokenizers of Hugging Face may do what GGUF has no word for: a space that is put before a text
/// only where there is none.
constexpr std::array<std::string_view, 3> spaced_samples{" x", "  x y", " "};

/// The strings of a tokenizer, and the views that a tokenizer_source is made of.
class tokenizer_export : qtk::json_fields {
  public:
    tokenizer_export(fs::path const& folder, std::size_t vocabulary)
        : json_fields((folder / "tokenizer.json").string()), own_(qtk::tokenizer::open(folder)) {
        if (fs::exists(folder / "tokenizer.json"))
            read_json();
        else
            read_lists(folder);
        if (tokens_.size() > vocabulary)
            refuse("it has " + std::to_string(tokens_.size()) + " tokens, but the embedding only " +
                   std::to_string(vocabulary));
        for (std::size_t id = tokens_.size(); id < vocabulary; ++id) add_unused(id);
    }

    [[nodiscard]] qtk::tokenizer_source source() const {
        qtk::tokenizer_source s;
        s.model = is_byte_level_ ? "gpt2" : "llama";
        s.pre = pre_;
        s.tokens.assign(tokens_.begin(), tokens_.end());
        s.token_types = types_;
        if (is_byte_level_)
            s.merges.assign(merges_.begin(), merges_.end());
        else
            s.scores = scores();
        s.bos = own_.bos();
        s.eos = own_.eos();
        s.add_bos = own_.adds_bos();
        s.add_eos = own_.adds_eos();
        s.add_space_prefix = has_space_prefix_;
        return s;
    }

    /// Both give the same ids for the same texts, or this throws.
    void require_same_ids(qtk::tokenizer_source const& source) const {
        qtk::tokenizer const exported = qtk::tokenizer::from(source, file());
        for (std::string_view const sample : samples)
            if (ids_of(exported, sample) != ids_of(own_, sample))
                refuse("in GGUF it would give other ids for the text " + qtk::quoted(sample, 60));
    }

    /// What GGUF has no word for, as a sentence with a text that gets other ids; none if there is no such text among
    /// those that are tried.
    [[nodiscard]] std::optional<std::string> difference(qtk::tokenizer_source const& source) const {
        qtk::tokenizer const exported = qtk::tokenizer::from(source, file());
        std::vector<std::string> tried(spaced_samples.begin(), spaced_samples.end());
        // Added tokens may swallow the spaces beside them.
        for (std::size_t id = 0; id < tokens_.size(); ++id)
            if (types_[id] == qtk::detail::control || types_[id] == qtk::detail::user_defined)
                tried.push_back("x " + tokens_[id] + " x");
        for (std::string const& sample : tried)
            if (ids_of(exported, sample) != ids_of(own_, sample))
                return file() +
                       ": GGUF cannot say all of how this tokenizer treats spaces; texts such as " +
                       qtk::quoted(sample, 60) + " get other ids from it";
        return std::nullopt;
    }

  private:
    using answer = std::pair<std::vector<std::int32_t>, std::string>;
    /// Ids, or why there are none: a vocabulary may lack a character.
    [[nodiscard]] static answer ids_of(qtk::tokenizer const& t, std::string_view text) {
        try {
            return {t.encode(text), ""};
        } catch (qtk::value_error const&) {
            return {{}, "no ids"};
        }
    }

    void put(std::string const& token, std::uint64_t id, std::int32_t type) {
        if (id >= qtk::io_limits{}.vocabulary) refuse("an id of " + std::to_string(id));
        if (id >= tokens_.size()) {
            tokens_.resize(static_cast<std::size_t>(id) + 1);
            types_.resize(tokens_.size(), 0);
        }
        tokens_[static_cast<std::size_t>(id)] = token;
        types_[static_cast<std::size_t>(id)] = type;
    }
    void add_unused(std::size_t id) {
        put("[unused " + std::to_string(id) + "]", id, qtk::detail::unused);
    }
    void fill_holes() {
        for (std::size_t id = 0; id < tokens_.size(); ++id)
            if (types_[id] == 0) add_unused(id);
    }

    void read_json() {
        auto const opened =
            qtk::mapped_file::open(file(), qtk::io_mode::read, qtk::io_limits{}.json_bytes);
        nlohmann::json const root = qtk::parse_strict_json(opened.text(), file());
        nlohmann::json const& model = member(root, "model");
        read_split(root, flag(model, "ignore_merges", false));
        for (auto const& [token, id] : member(model, "vocab").items()) {
            if (!id.is_number_unsigned()) refuse("the id of " + qtk::quoted(token));
            bool const is_byte =
                !is_byte_level_ && qtk::detail::parse_byte_token(token).has_value();
            put(token, id.get<std::uint64_t>(), is_byte ? qtk::detail::byte : qtk::detail::normal);
        }
        nlohmann::json const& unknown = member(model, "unk_token");
        for (nlohmann::json const& merge : array(model, "merges")) {
            if (merge.is_string()) {
                merges_.push_back(merge.get<std::string>());
            } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
                       merge[1].is_string()) {
                merges_.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
            } else {
                refuse("the merge " + shown(merge));
            }
        }
        if (!member(root, "added_tokens").is_null())
            for (nlohmann::json const& token : array(root, "added_tokens")) {
                nlohmann::json const& id = member(token, "id");
                if (!id.is_number_unsigned()) refuse("the id of an added token");
                std::string const& content = text(token, "content");
                bool const is_unknown = unknown.is_string() && unknown == content;
                put(content, id.get<std::uint64_t>(),
                    is_unknown                      ? qtk::detail::unknown
                    : flag(token, "special", false) ? qtk::detail::control
                                                    : qtk::detail::user_defined);
            }
        fill_holes();
    }

    /// vocab.json and merges.txt of a GPT-2.
    void read_lists(fs::path const& folder) {
        is_byte_level_ = true;
        pre_ = "gpt-2";
        auto const vocabulary = qtk::mapped_file::open(folder / "vocab.json", qtk::io_mode::read,
                                                       qtk::io_limits{}.json_bytes);
        nlohmann::json const root = qtk::parse_strict_json(vocabulary.text(), vocabulary.path());
        for (auto const& [token, id] : root.items())
            put(token, id.get<std::uint64_t>(),
                token == qtk::byte_level_bpe::end_of_text_name ? qtk::detail::control
                                                               : qtk::detail::normal);
        auto const list = qtk::mapped_file::open(folder / "merges.txt", qtk::io_mode::read,
                                                 qtk::io_limits{}.json_bytes);
        std::string_view rest = list.text();
        while (!rest.empty()) {
            std::size_t const end = std::min(rest.find('\n'), rest.size());
            std::string_view line = rest.substr(0, end);
            if (line.ends_with('\r')) line.remove_suffix(1);
            if (!line.empty() && !(merges_.empty() && line.starts_with("#version")))
                merges_.emplace_back(line);
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        fill_holes();
    }

    /// The parts of a section: none, one, or those of a Sequence.
    [[nodiscard]] std::vector<nlohmann::json const*> parts_of(nlohmann::json const& root,
                                                              char const* section,
                                                              char const* list) const {
        nlohmann::json const& value = member(root, section);
        if (value.is_null()) return {};
        if (!is(value, "type", "Sequence")) return {&value};
        std::vector<nlohmann::json const*> parts;
        for (nlohmann::json const& part : array(value, list)) parts.push_back(&part);
        return parts;
    }

    void read_split(nlohmann::json const& root, bool ignores_merges) {
        std::vector<std::string> splits;
        has_space_prefix_ = false;
        for (nlohmann::json const* const part : parts_of(root, "normalizer", "normalizers"))
            has_space_prefix_ = has_space_prefix_ || is(*part, "type", "Prepend");
        for (nlohmann::json const* const part : parts_of(root, "pre_tokenizer", "pretokenizers")) {
            if (is(*part, "type", "ByteLevel")) {
                is_byte_level_ = true;
                if (flag(*part, "add_prefix_space", true))
                    refuse("add_prefix_space of ByteLevel cannot be said in GGUF");
                if (flag(*part, "use_regex", true)) splits.emplace_back(qtk::gpt2_split);
            } else if (is(*part, "type", "Digits")) {
                splits.emplace_back(flag(*part, "individual_digits", false) ? "\\p{N}" : "\\p{N}+");
            } else if (is(*part, "type", "Split")) {
                nlohmann::json const& pattern = member(*part, "pattern");
                if (pattern.is_object() && pattern.contains("Regex"))
                    splits.push_back(qtk::to_pcre2_pattern(text(pattern, "Regex"), file()));
            } else if (is(*part, "type", "Metaspace")) {
                has_space_prefix_ = member(*part, "prepend_scheme").is_null()
                                        ? flag(*part, "add_prefix_space", true)
                                        : !is(*part, "prepend_scheme", "never");
            }
        }
        if (!is_byte_level_) return;
        for (char const* const name : {"gpt-2", "llama-bpe", "qwen2", "smollm"}) {
            auto const known = qtk::find_named_split(name);
            if (known && known->splits == splits && known->ignore_merges == ignores_merges) {
                pre_ = name;
                return;
            }
        }
        refuse(
            "how it splits text has no name in GGUF that is known here (gpt-2, llama-bpe, qwen2, "
            "smollm)");
    }

    /// SentencePiece joins the pair whose token has the best score first: the order of the merges.
    [[nodiscard]] std::vector<float> scores() const {
        std::map<std::string, float> by_token;
        for (std::string const& merge : merges_) {
            std::size_t const space = merge.find(' ', 1);
            if (space == merge.npos) refuse("the merge " + qtk::quoted(merge));
            by_token.try_emplace(merge.substr(0, space) + merge.substr(space + 1),
                                 -1.0f - static_cast<float>(by_token.size()));
        }
        std::vector<float> all;
        for (std::string const& token : tokens_) {
            auto const found = by_token.find(token);
            all.push_back(found == by_token.end() ? 0.0f : found->second);
        }
        return all;
    }

    qtk::tokenizer own_;
    bool is_byte_level_ = false, has_space_prefix_ = true;
    std::string pre_ = "default";
    std::vector<std::string> tokens_, merges_;
    std::vector<std::int32_t> types_;
};

}  // namespace

std::optional<std::string> export_tokenizer(fs::path const& folder,
                                            qtk::decoder_config const& config,
                                            qtk::gguf_writer& writer) {
    tokenizer_export const tokenizer(folder, config.vocabulary);
    qtk::tokenizer_source source = tokenizer.source();
    tokenizer.require_same_ids(source);
    std::optional<std::string> note = tokenizer.difference(source);
    if (!source.bos) source.bos = config.bos;
    if (!source.eos && !config.eos.empty()) source.eos = config.eos.front();
    auto const key = [](char const* name) { return "tokenizer.ggml." + std::string(name); };
    writer.set(key("model"), source.model);
    writer.set(key("pre"), source.pre);
    writer.set_array(key("tokens"), source.tokens);
    writer.set_array(key("token_type"), source.token_types);
    if (source.model == "gpt2") {
        writer.set_array(key("merges"), source.merges);
    } else {
        writer.set_array(key("scores"), source.scores);
        writer.set(key("add_space_prefix"), source.add_space_prefix);
    }
    if (source.bos) writer.set(key("bos_token_id"), static_cast<std::uint32_t>(*source.bos));
    if (source.eos) writer.set(key("eos_token_id"), static_cast<std::uint32_t>(*source.eos));
    writer.set(key("add_bos_token"), source.add_bos);
    writer.set(key("add_eos_token"), source.add_eos);
    return note;
}

}  // namespace app
