// SPDX-License-Identifier: Apache-2.0
//
// What network do these weights belong to? The config.json of a Hugging Face folder, of model type
// gpt2 or llama, checked field by field: what would change the computation and is not implemented
// is refused, never ignored.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/kernel/activation.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace qtk {

enum class architecture : std::uint8_t { gpt2, llama };

/// The shape of a decoder and the constants of its formulae.
struct decoder_config {
    architecture family = architecture::gpt2;
    std::size_t layers = 0, width = 0;
    std::size_t heads = 0, kv_heads = 0, head_dim = 0;
    std::size_t inner = 0;       ///< Width between the linear layers of the feed-forward part.
    std::size_t vocabulary = 0;  ///< Rows of the embedding.
    std::size_t context = 0;     ///< The most tokens of one window.
    float norm_epsilon = 1e-5f;
    double rope_theta = 0.0;  ///< 0: positions are learned vectors.
    activation act = activation::gelu_tanh;
    bool has_tied_head = true;  ///< The head is the embedding.
    bool has_attention_bias = true, has_mlp_bias = true;
    std::optional<std::int32_t> bos;  ///< The token before every text.
};

namespace detail {

/// Fields of one JSON object; every fault is an io_error that names file and field.
class config_reader {
  public:
    config_reader(nlohmann::json const& object, std::string path)
        : object_(object), path_(std::move(path)) {}

    /// Null if the field is missing or null.
    [[nodiscard]] nlohmann::json const* find(char const* field) const {
        auto const found = object_.find(field);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }

    [[nodiscard]] std::size_t count(char const* field, std::size_t most,
                                    std::optional<std::size_t> otherwise = {}) const {
        auto const* const value = find(field);
        if (value == nullptr && otherwise) return *otherwise;
        if (value == nullptr) missing(field);
        if (!value->is_number_unsigned() || value->get<std::uint64_t>() < 1 ||
            value->get<std::uint64_t>() > most)
            refuse(field, "a whole number from 1 to " + std::to_string(most), *value);
        return value->get<std::size_t>();
    }

    [[nodiscard]] double number(char const* field, double least, double most,
                                std::optional<double> otherwise = {}) const {
        auto const* const value = find(field);
        if (value == nullptr && otherwise) return *otherwise;
        if (value == nullptr) missing(field);
        if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most))
            refuse(field, "a number from " + text_of(least) + " to " + text_of(most), *value);
        return value->get<double>();
    }

    [[nodiscard]] bool flag(char const* field, bool otherwise) const {
        auto const* const value = find(field);
        if (value == nullptr) return otherwise;
        if (!value->is_boolean()) refuse(field, "true or false", *value);
        return value->get<bool>();
    }

    [[nodiscard]] std::string text(char const* field, char const* otherwise = nullptr) const {
        auto const* const value = find(field);
        if (value == nullptr && otherwise != nullptr) return otherwise;
        if (value == nullptr) missing(field);
        if (!value->is_string()) refuse(field, "a string", *value);
        return value->get<std::string>();
    }

    /// Stops unless the flag has the only value that is implemented.
    void require_flag(char const* field, bool needed) const {
        if (flag(field, needed) != needed)
            refuse(field, std::string(needed ? "true" : "false") + ", all that is supported",
                   *find(field));
    }

    [[noreturn]] void refuse(char const* field, std::string const& expected,
                             nlohmann::json const& found) const {
        // Written in ASCII with escapes, so that nothing in a file reaches a terminal raw.
        std::string shown = found.dump(-1, ' ', true);
        if (shown.size() > 120) shown.replace(120, std::string::npos, "...");
        throw io_error(path_, std::string(field) + ": expected " + expected + ", found " + shown);
    }
    [[noreturn]] void missing(char const* field) const {
        throw io_error(path_, std::string("the field ") + field + " is missing");
    }

    [[nodiscard]] std::string const& path() const noexcept { return path_; }

  private:
    static std::string text_of(double x) { return nlohmann::json(x).dump(); }

    nlohmann::json const& object_;
    std::string path_;
};

/// Bounds far above every published model; they keep sizes from overflowing.
inline constexpr std::size_t most_layers = 4096, most_width = 1 << 20, most_heads = 1 << 14,
                             most_context = 1 << 24;

[[nodiscard]] inline activation activation_of(config_reader const& json, char const* field,
                                              char const* otherwise) {
    std::string const name = json.text(field, otherwise);
    if (name == "gelu_new" || name == "gelu_pytorch_tanh") return activation::gelu_tanh;
    if (name == "gelu") return activation::gelu_erf;
    if (name == "silu" || name == "swish") return activation::silu;
    if (name == "relu") return activation::relu;
    json.refuse(field, "gelu_new, gelu_pytorch_tanh, gelu, silu, swish or relu", name);
}

inline void read_gpt2(config_reader const& json, decoder_config& c) {
    c.layers = json.count("n_layer", most_layers);
    c.width = json.count("n_embd", most_width);
    c.heads = c.kv_heads = json.count("n_head", most_heads);
    if (c.width % c.heads != 0)
        json.refuse("n_head", "a divisor of n_embd = " + std::to_string(c.width), c.heads);
    c.head_dim = c.width / c.heads;
    c.inner = json.count("n_inner", most_width, 4 * c.width);
    c.context = json.count("n_positions", most_context);
    c.norm_epsilon = static_cast<float>(json.number("layer_norm_epsilon", 1e-12, 1.0, 1e-5));
    c.act = activation_of(json, "activation_function", "gelu_new");
    c.has_tied_head = json.flag("tie_word_embeddings", true);
    json.require_flag("scale_attn_weights", true);
    json.require_flag("scale_attn_by_inverse_layer_idx", false);
    json.require_flag("add_cross_attention", false);
}

/// The base of the rotary angles: at the top level (older files) or in rope_parameters (newer
/// ones). Stretched contexts (linear, dynamic, yarn, llama3) are not implemented.
[[nodiscard]] inline double rope_theta_of(config_reader const& json) {
    std::optional<double> theta;
    if (json.find("rope_theta") != nullptr) theta = json.number("rope_theta", 1.0, 1e12);
    for (char const* const field : {"rope_parameters", "rope_scaling"}) {
        auto const* const value = json.find(field);
        if (value == nullptr) continue;
        if (!value->is_object()) json.refuse(field, "an object", *value);
        config_reader const rope(*value, json.path() + ": " + field);
        // Older files call the kind "type".
        for (char const* const kind : {"rope_type", "type"})
            if (rope.text(kind, "default") != "default")
                rope.refuse(kind, "\"default\", all that is supported", *rope.find(kind));
        if (rope.number("partial_rotary_factor", 0.0, 1.0, 1.0) != 1.0)
            rope.refuse("partial_rotary_factor", "1, all that is supported",
                        *rope.find("partial_rotary_factor"));
        if (rope.find("rope_theta") == nullptr) continue;
        double const inside = rope.number("rope_theta", 1.0, 1e12);
        if (theta && *theta != inside)
            rope.refuse("rope_theta", "the same as at the top level", *rope.find("rope_theta"));
        theta = inside;
    }
    return theta.value_or(10000.0);
}

inline void read_llama(config_reader const& json, decoder_config& c) {
    c.layers = json.count("num_hidden_layers", most_layers);
    c.width = json.count("hidden_size", most_width);
    c.heads = json.count("num_attention_heads", most_heads);
    c.kv_heads = json.count("num_key_value_heads", most_heads, c.heads);
    if (c.heads % c.kv_heads != 0)
        json.refuse("num_key_value_heads",
                    "a divisor of num_attention_heads = " + std::to_string(c.heads), c.kv_heads);
    if (json.find("head_dim") == nullptr && c.width % c.heads != 0)
        json.refuse("num_attention_heads", "a divisor of hidden_size = " + std::to_string(c.width),
                    c.heads);
    c.head_dim = json.count("head_dim", most_width, c.width / c.heads);
    if (c.head_dim % 2 != 0) json.refuse("head_dim", "an even number", c.head_dim);
    c.inner = json.count("intermediate_size", most_width);
    c.context = json.count("max_position_embeddings", most_context);
    c.norm_epsilon = static_cast<float>(json.number("rms_norm_eps", 1e-12, 1.0));
    c.rope_theta = rope_theta_of(json);
    c.act = activation_of(json, "hidden_act", "silu");
    c.has_tied_head = json.flag("tie_word_embeddings", false);
    c.has_attention_bias = json.flag("attention_bias", false);
    c.has_mlp_bias = json.flag("mlp_bias", false);
}

}  // namespace detail

/// Reads the text of a config.json; `path` serves in messages. Throws io_error.
[[nodiscard]] inline decoder_config parse_config(std::string_view text, std::string const& path,
                                                 io_limits const& limits = {}) {
    nlohmann::json const object = parse_strict_json(text, path, limits);
    if (!object.is_object()) throw io_error(path, "expected a JSON object");
    detail::config_reader const json(object, path);
    decoder_config c;
    std::string const type = json.text("model_type");
    if (type == "gpt2") {
        c.family = architecture::gpt2;
        detail::read_gpt2(json, c);
    } else if (type == "llama") {
        c.family = architecture::llama;
        detail::read_llama(json, c);
    } else {
        json.refuse("model_type", "gpt2 or llama", type);
    }
    if (auto const* const found = json.find("quantization_config"))
        json.refuse("quantization_config", "float weights", *found);
    c.vocabulary = json.count("vocab_size", limits.vocabulary);
    if (auto const* const bos = json.find("bos_token_id")) {
        if (!bos->is_number_unsigned() || bos->get<std::uint64_t>() >= c.vocabulary)
            json.refuse("bos_token_id", "a token from 0 to " + std::to_string(c.vocabulary - 1),
                        *bos);
        c.bos = bos->get<std::int32_t>();
    }
    return c;
}

/// Reads `folder`/config.json. Throws system_error if it is not there, io_error if it is faulty.
[[nodiscard]] inline decoder_config read_config(std::filesystem::path const& folder,
                                                io_limits const& limits = {}) {
    mapped_file const file =
        mapped_file::open(folder / "config.json", io_mode::read, limits.json_bytes);
    return parse_config(file.text(), file.path(), limits);
}

}  // namespace qtk
