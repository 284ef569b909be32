// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/block_weights.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

// Gives every tensor it is asked for and keeps the names; a weight's values count up.
class counting_reader final : public qtk::weight_reader {
  public:
    [[nodiscard]] bool has(std::string_view) const override { return true; }
    [[nodiscard]] std::vector<float> vector(std::string const& name, std::size_t size) override {
        asked.push_back(name);
        return std::vector<float>(size, name.ends_with(".bias") ? 0.5f : 2.0f);
    }
    [[nodiscard]] qtk::weight_matrix weight(std::string const& name, std::size_t rows,
                                            std::size_t cols) override {
        asked.push_back(name);
        qtk::matrix m(rows, cols);
        for (std::size_t i = 0; i < rows * cols; ++i) m.data()[i] = static_cast<float>(i);
        return m;
    }
    [[nodiscard]] qtk::weight_matrix transposed(std::string const& name, std::size_t rows,
                                                std::size_t cols) override {
        qtk::matrix const stored = weight(name, cols, rows).floats();
        qtk::matrix m(rows, cols);
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t c = 0; c < cols; ++c) m(r, c) = stored(c, r);
        return m;
    }
    void ignore(std::string const&) override {}
    void require_all_used() const override {}

    std::vector<std::string> asked;
};

}  // namespace

TEST_CASE("a linear layer is a weight and, where the network says so, a bias") {
    counting_reader file;
    qtk::linear const with = qtk::read_linear(file, "h.0.fc", 2, 3, true);
    CHECK(file.asked == std::vector<std::string>{"h.0.fc.weight", "h.0.fc.bias"});
    CHECK(with.name() == "h.0.fc");
    CHECK(with.bias().size() == 2);
    CHECK(with.weight()(1, 0) == 3.0f);

    file.asked.clear();
    CHECK(qtk::read_linear(file, "h.0.fc", 2, 3, false).bias().empty());
    CHECK(file.asked == std::vector<std::string>{"h.0.fc.weight"});
}

TEST_CASE("a weight that the file holds as [in, out] is turned") {
    counting_reader file;
    qtk::linear const layer = qtk::read_linear(file, "fc", 2, 3, true, qtk::weight_order::in_out);
    CHECK(layer.out() == 2);
    CHECK(layer.in() == 3);
    CHECK(layer.weight()(1, 0) == 1.0f);
    CHECK(layer.weight()(0, 1) == 2.0f);
}

TEST_CASE("a norm asks for what its kind has, with the network's width and epsilon") {
    qtk::decoder_config config;
    config.width = 4;
    config.norm_epsilon = 1e-3f;
    counting_reader file;
    qtk::norm const layer = qtk::read_norm(file, "ln", qtk::norm::kind::layer, config);
    CHECK(file.asked == std::vector<std::string>{"ln.weight", "ln.bias"});
    CHECK(layer.weight == std::vector<float>(4, 2.0f));
    CHECK(layer.bias == std::vector<float>(4, 0.5f));
    CHECK(layer.epsilon == 1e-3f);

    file.asked.clear();
    qtk::norm const rms = qtk::read_norm(file, "ln", qtk::norm::kind::rms, config);
    CHECK(file.asked == std::vector<std::string>{"ln.weight"});
    CHECK(rms.type == qtk::norm::kind::rms);
    CHECK(rms.bias.empty());

    file.asked.clear();
    CHECK(qtk::read_norm(file, "ln", qtk::norm::kind::none, config).weight.empty());
    CHECK(file.asked.empty());
}
