// SPDX-License-Identifier: Apache-2.0
#include "conversion_plan.hpp"

#include <qtk/core/error.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/gguf_blocks.hpp>
#include <qtk/io/gguf_writer.hpp>
#include <qtk/io/qmatrix_file.hpp>
#include <qtk/io/safetensors_writer.hpp>
#include <qtk/version.hpp>

#include "gguf_export.hpp"
#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>

namespace app {

namespace fs = std::filesystem;

namespace {

/// The element type of safetensors for a type by its name in either format, if there is one.
[[nodiscard]] std::optional<qtk::dtype> dtype_of_name(std::string name) {
    for (char& c : name)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return qtk::find_dtype(name);
}
[[nodiscard]] qtk::dtype dtype_of(qtk::gguf_type type) noexcept {
    return type == qtk::gguf_type::f16    ? qtk::dtype::f16
           : type == qtk::gguf_type::bf16 ? qtk::dtype::bf16
                                          : qtk::dtype::f32;
}
/// The float type that holds what a tensor of this type holds.
[[nodiscard]] qtk::gguf_type float_type_of(std::string const& name) {
    auto const type = dtype_of_name(name);
    return type == qtk::dtype::f16    ? qtk::gguf_type::f16
           : type == qtk::dtype::bf16 ? qtk::gguf_type::bf16
                                      : qtk::gguf_type::f32;
}
[[nodiscard]] bool is_float(tensor_action const& action) noexcept {
    return std::holds_alternative<qtk::gguf_type>(action) && !is_for_matrices(action);
}

/// Plans the parts of safetensors, and tells each step where its own are.
class safetensors_plan {
  public:
    explicit safetensors_plan(model_input const& input) {
        for (auto const& [key, value] : input.metadata()) writer_.set_metadata(key, value);
        writer_.set_metadata("qtk.version", QTK_VERSION_STRING);
    }
    [[nodiscard]] qtk::safetensors_writer& writer() noexcept { return writer_; }

    void add(input_tensor const& tensor, tensor_action action) {
        conversion_step step{tensor.name,  tensor.name, tensor.type,
                             tensor.shape, tensor.rows, action};
        auto const part = [&](std::string const& ending, qtk::dtype type,
                              std::vector<std::uint64_t> shape) {
            step.places.push_back({tensor.name + ending, 0, 0});
            writer_.plan(tensor.name + ending, type, std::move(shape));
        };
        if (auto const* const scheme = std::get_if<qtk::scheme>(&action)) {
            step.rows = tensor.weight();
            if (tensor.turned) {
                std::ranges::reverse(step.shape);
                transposed_ += (transposed_.empty() ? "" : " ") + tensor.name;
            }
            std::size_t const rows = step.rows->rows(), cols = step.rows->cols();
            qtk::tile_grid const grid(scheme->grain, rows, cols);
            int const bits = scheme->element.bits;
            part(".codes", qtk::dtype::u8, {rows, qtk::packed_bytes(cols, bits)});
            part(".scales", qtk::dtype_of(scheme->scale), {grid.down, grid.across});
            if (scheme->has_zero_point())
                part(".zeros", qtk::dtype::u8, {qtk::packed_bytes(grid.count(), bits)});
            if (scheme->scale == qtk::scale_type::e4m3) part(".tensor_scale", qtk::dtype::f32, {});
            writer_.set_metadata("qtk." + tensor.name,
                                 qtk::to_string(*scheme) + " " + std::to_string(cols));
        } else if (auto const* const type = std::get_if<qtk::gguf_type>(&action)) {
            part("", dtype_of(*type), tensor.shape);
        } else if (auto const stored = dtype_of_name(tensor.type); stored && !tensor.is_quantized) {
            part("", *stored, tensor.shape);
        } else if (tensor.rows->has_floats()) {
            // Blocks of GGUF have no name in safetensors: their values are kept.
            step.action = qtk::gguf_type::f32;
            part("", qtk::dtype::f32, tensor.shape);
        } else {
            throw qtk::io_error(tensor.name, "the type " + tensor.type +
                                                 " has no decoder here and no name in safetensors");
        }
        steps_.push_back(std::move(step));
    }

    [[nodiscard]] conversion finish(model_input const& input, fs::path const& target) && {
        if (!transposed_.empty()) writer_.set_metadata(transposed_key, transposed_);
        conversion plan{target, input.files(), writer_.start(), writer_.size_bytes(),
                        std::move(steps_)};
        std::unordered_map<std::string, qtk::tensor_place> where;
        for (qtk::tensor_place& place : writer_.places()) where.emplace(place.name, place);
        for (conversion_step& step : plan.steps)
            for (qtk::tensor_place& place : step.places) place = where.at(place.name);
        return plan;
    }

  private:
    qtk::safetensors_writer writer_;
    std::vector<conversion_step> steps_;
    std::string transposed_;
};

/// What a type with longer blocks falls back to, never with fewer bits; f16 in the end.
[[nodiscard]] qtk::gguf_type shorter_block(qtk::gguf_type type) noexcept {
    using enum qtk::gguf_type;
    switch (type) {
        case q2_K:
        case q3_K:
            return q4_0;
        case q4_K:
            return q5_0;
        case q5_K:
            return q5_1;
        case q6_K:
            return q8_0;
        case iq4_xs:
            return iq4_nl;
        default:
            return f16;
    }
}
[[nodiscard]] qtk::gguf_type fitting_type(qtk::gguf_type type, std::size_t cols) noexcept {
    while (cols % qtk::find_gguf_type(type)->values != 0) type = shorter_block(type);
    return type;
}

/// llama.cpp's number for "mostly of this type".
[[nodiscard]] std::optional<std::uint32_t> file_type_of(qtk::gguf_type type) noexcept {
    using enum qtk::gguf_type;
    constexpr std::pair<qtk::gguf_type, std::uint32_t> numbers[] = {
        {f32, 0},   {f16, 1},   {q4_0, 2},    {q4_1, 3},    {q8_0, 7},
        {q5_0, 8},  {q5_1, 9},  {q2_K, 10},   {q3_K, 11},   {q4_K, 14},
        {q5_K, 16}, {q6_K, 18}, {iq4_nl, 25}, {iq4_xs, 30}, {bf16, 32}};
    for (auto const& [known, number] : numbers)
        if (known == type) return number;
    return std::nullopt;
}

void require_any(std::vector<conversion_step> const& steps, model_input const& input) {
    for (conversion_step const& step : steps)
        if (!std::holds_alternative<keep_action>(step.action)) return;
    throw qtk::value_error(
        input.path().string() +
        ": nothing here would be quantized: no matrix is named like a layer of a "
        "block (*.0.*.weight) and no rule fits. Hint: --recipe 'PATTERN=WHAT'; "
        "\"qtk inspect\" lists the names");
}

[[nodiscard]] std::string recipe_text(tensor_action const& usual, tensor_recipe const& rules) {
    std::string const text = rules.text();
    return to_string(usual) + (text.empty() ? "" : " " + text);
}

/// What the matrix says of a tensor that becomes blocks; empty if nothing. Throws qtk::value_error for
/// another shape.
[[nodiscard]] std::vector<float> importance_of(imatrix_input const& from,
                                               conversion_step const& step) {
    qtk::imatrix_entry const* const entry = from.matrix.find(step.name);
    if (entry == nullptr) return {};
    std::size_t const matrices = entry->counts.size();
    if (entry->columns == step.rows->cols() && step.rows->rows() % matrices == 0)
        return entry->importance;
    throw qtk::value_error(
        from.path.string() + ": " + qtk::quoted(step.name) + " is there as " +
        std::to_string(matrices) + " matrices with " + std::to_string(entry->columns) +
        " columns, but the model has " + std::to_string(step.rows->rows()) + " rows of " +
        std::to_string(step.rows->cols()) + ". Hint: is it the importance of another model?");
}

/// The keys by which llama.cpp's files say it.
void set_importance(qtk::gguf_writer& writer, imatrix_input const& from) {
    qtk::imatrix_file const& matrix = from.matrix;
    writer.set("quantize.imatrix.file", from.path.filename().string());
    if (!matrix.datasets.empty()) writer.set("quantize.imatrix.dataset", matrix.datasets.front());
    writer.set("quantize.imatrix.entries_count",
               static_cast<std::uint32_t>(matrix.entries().size()));
    writer.set("quantize.imatrix.chunks_count", matrix.chunk_count);
}

/// Throws qtk::value_error if not one tensor has an importance.
void require_importance(std::vector<conversion_step> const& steps, imatrix_input const& from) {
    for (conversion_step const& step : steps)
        if (!step.importance.empty()) return;
    throw qtk::value_error(
        from.path.string() +
        ": no name in it is that of a matrix that would be quantized. Hint: names are "
        "GGUF's, such as blk.0.attn_q.weight");
}

}  // namespace

conversion plan_safetensors(model_input const& input, tensor_recipe const& rules,
                            tensor_action const& usual, fs::path const& target) {
    if (input.has_quantized())
        throw qtk::io_error(input.path().string(),
                            "this file is quantized already. Hint: begin with the float model, or "
                            "\"qtk dequantize\" it first");
    safetensors_plan plan(input);
    for (input_tensor const& tensor : input.tensors()) {
        tensor_action action = keep_action{};
        if (tensor_action const* const rule = rules.find(tensor.name, tensor.is_matrix()))
            action = *rule;
        else if (tensor.is_matrix() && is_block_weight(tensor.name))
            action = usual;
        if (!tensor.rows->has_floats()) action = keep_action{};
        plan.add(tensor, action);
    }
    plan.writer().set_metadata("qtk.recipe", recipe_text(usual, rules));
    conversion result = std::move(plan).finish(input, target);
    require_any(result.steps, input);
    return result;
}

conversion plan_floats(model_input const& input, qtk::gguf_type type, fs::path const& target) {
    safetensors_plan plan(input);
    bool is_any = false;
    for (input_tensor const& tensor : input.tensors()) {
        bool const is_quantized =
            tensor.is_quantized || (input.gguf() != nullptr && !dtype_of_name(tensor.type));
        is_any = is_any || is_quantized;
        if (is_quantized && !tensor.rows->has_floats())
            throw qtk::io_error(input.path().string(), "tensor " + qtk::quoted(tensor.name) +
                                                           ": the type " + tensor.type +
                                                           " has no decoder here");
        plan.add(tensor, is_quantized ? tensor_action(type) : keep_action{});
    }
    if (!is_any) throw qtk::io_error(input.path().string(), "no tensor of this file is quantized");
    return std::move(plan).finish(input, target);
}

conversion plan_gguf(model_input const& input, tensor_recipe const& rules,
                     tensor_action const& usual, fs::path const& target,
                     imatrix_input const* importance, std::string const& method) {
    if (input.has_quantized())
        throw qtk::io_error(input.path().string(),
                            "this file is quantized already. Hint: begin with the float model");
    qtk::gguf_writer writer;
    std::vector<exported_tensor> tensors;
    std::vector<std::string> notes;
    if (input.gguf() == nullptr) {
        exported_folder folder = export_folder(input, writer);
        tensors = std::move(folder.tensors);
        notes = std::move(folder.notes);
    } else {
        for (auto const& [key, value] : input.gguf()->metadata().entries())
            if (key != "general.file_type" && key != "general.quantization_version" &&
                key != "qtk.recipe" && key != "qtk.version" &&
                !key.starts_with("quantize.imatrix."))
                writer.set_value(key, value);
        for (input_tensor const& tensor : input.tensors()) tensors.push_back({tensor.name, tensor});
    }
    auto const wanted_for = [&](exported_tensor const& e) -> tensor_action {
        input_tensor const& tensor = e.tensor;
        bool const is_matrix = tensor.shape.size() >= 2 && tensor.rows->has_floats();
        if (auto const rule = rules.find(tensor.name, is_matrix)) return *rule;
        if (auto const rule = rules.find(e.name, is_matrix)) return *rule;
        if (e.is_always_f32) return qtk::gguf_type::f32;
        bool const is_position = e.name == "position_embd.weight";
        if (is_matrix && !is_position && (is_float(usual) || is_block_weight(e.name))) return usual;
        return keep_action{};
    };
    conversion plan{target, input.files(), {}, 0, {}, std::move(notes)};
    bool has_blocks = false;
    for (exported_tensor const& e : tensors) {
        input_tensor const& tensor = e.tensor;
        conversion_step step{e.name, tensor.name, tensor.type, tensor.shape, tensor.rows};
        step.action = wanted_for(e);
        // Rows of a folder are put in another order: there is nothing to copy.
        if (input.gguf() == nullptr && std::holds_alternative<keep_action>(step.action))
            step.action = float_type_of(tensor.type);
        qtk::gguf_type type = qtk::gguf_type::f32;
        if (auto const* const asked = std::get_if<qtk::gguf_type>(&step.action)) {
            type = fitting_type(*asked, tensor.rows->cols());
            if (type != *asked) step.wanted = to_string(step.action);
            step.action = type;
            has_blocks = has_blocks || is_for_matrices(step.action);
            if (importance != nullptr && is_for_matrices(step.action))
                step.importance = importance_of(*importance, step);
        } else {
            type = input.gguf()->at(tensor.name).type;
        }
        std::vector<std::uint64_t> dims(tensor.shape.rbegin(), tensor.shape.rend());
        if (dims.empty()) dims.push_back(1);
        writer.add(e.name, type, std::move(dims), std::function<std::span<std::byte const>()>());
        plan.steps.push_back(std::move(step));
    }
    if (input.gguf() != nullptr) require_any(plan.steps, input);
    if (importance != nullptr) {
        require_importance(plan.steps, *importance);
        set_importance(writer, *importance);
    }
    if (auto const* const type = std::get_if<qtk::gguf_type>(&usual))
        if (auto const number = file_type_of(*type)) writer.set("general.file_type", *number);
    if (has_blocks) writer.set("general.quantization_version", std::uint32_t{2});
    writer.set("qtk.version", QTK_VERSION_STRING);
    if (!method.empty()) writer.set("qtk.method", method);
    writer.set("qtk.recipe", recipe_text(usual, rules));
    plan.start = writer.header();
    plan.size = writer.size_bytes();
    auto const places = writer.places();
    for (std::size_t i = 0; i < places.size(); ++i) plan.steps[i].places = {places[i]};
    return plan;
}

}  // namespace app
