// SPDX-License-Identifier: Apache-2.0
#include "quantized_twin.hpp"

#include <qtk/calibration/method_spelling.hpp>
#include <qtk/core/error.hpp>

#include <fmt/format.h>

#include "calibrated_model.hpp"
#include "format_options.hpp"
#include "terminal.hpp"
#include "work_sharing.hpp"
#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <system_error>
#include <utility>

namespace app {

std::string spelled(qtk::mixture const& mixture) {
    std::string text;
    for (std::uint32_t const modules : mixture)
        text += fmt::format("{}{:x}", text.empty() ? "" : ".", modules);
    return text;
}
qtk::mixture parse_mixture(std::string const& text) {
    qtk::mixture mixture;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t const end = std::min(text.find('.', at), text.size());
        std::uint32_t modules = 0;
        auto const [stop, failure] =
            std::from_chars(text.data() + at, text.data() + end, modules, 16);
        if (failure != std::errc{} || stop != text.data() + end)
            throw qtk::io_error(
                "the modules of a mixture",
                "expected hexadecimal numbers between dots, found " + qtk::quoted(text));
        mixture.push_back(modules);
        at = end + 1;
    }
    return mixture;
}

std::string quantization::name() const {
    std::string languages;
    for (std::string const& language : mix)
        languages += (languages.empty() ? ", calibrated on " : " ") + language;
    return method + ", " + scheme + languages;
}

json to_json(quantization const& how) {
    return {{"method", how.method},
            {"scheme", how.scheme},
            {"mix", how.mix},
            {"kept", spelled(how.kept)}};
}
quantization quantization_of(json const& text) {
    return {text["method"].get<std::string>(), text["scheme"].get<std::string>(),
            text["mix"].get<std::vector<std::string>>(),
            parse_mixture(text["kept"].get<std::string>())};
}

void share_floats(qtk::decoder& network) {
    network.for_each_linear([](qtk::linear& layer) {
        layer.set_weight(std::make_shared<qtk::matrix const>(layer.form().floats()));
    });
}

std::shared_ptr<quantized_twin const> make_twin(language_model const& original,
                                                quantization const& how,
                                                calibration_text const& text) {
    auto made = std::make_shared<quantized_twin>(quantized_twin{how, original, nullptr});
    std::set<std::string> kept;
    for (std::size_t i = 0; i < how.kept.size(); ++i) {
        auto const modules = qtk::modules_of(original.network(), i);
        std::size_t at = 0;
        original.network().for_each_linear_of(i, [&](qtk::linear const& layer) {
            if ((how.kept[i] & qtk::modules_of_layer(modules, at++)) != 0)
                kept.insert(layer.name());
        });
    }
    progress_line const line(is_first_rank());
    std::map<std::string, qtk::linear> prepared;
    auto const outcomes =
        calibrate(
            made->quantized, parse_format(how.scheme), qtk::parse_method(how.method), text,
            [&](std::string const& layer, std::size_t at, std::size_t total) {
                line.show(fmt::format("{}: layer {} of {}, {}", how.name(), at + 1, total, layer));
            },
            [&](std::string const& name) { return kept.contains(name); },
            [&](qtk::linear const& layer) { prepared.insert_or_assign(layer.name(), layer); })
            .layers;
    qtk::pack_layers(made->quantized.network(), outcomes);
    std::vector<qtk::linear> layers;
    std::as_const(made->quantized).network().for_each_linear([&](qtk::linear const& layer) {
        auto const found = prepared.find(layer.name());
        layers.push_back(found == prepared.end() ? layer : std::move(found->second));
        if (auto const* const floats = layers.back().form().find<qtk::matrix>())
            layers.back().set_weight(std::make_shared<qtk::matrix const>(*floats));
    });
    made->mixed = std::make_unique<qtk::mixed_network>(
        original.network(), made->quantized.network(), std::move(layers));
    return made;
}

}  // namespace app
