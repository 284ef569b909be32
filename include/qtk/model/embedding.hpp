// SPDX-License-Identifier: Apache-2.0
//
// Which vector is a token? A row of the embedding, and in networks with learned positions the row
// of its position added to it.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/model/weight_matrix.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qtk {

struct embedding {
    weight_matrix tokens;  ///< [vocabulary, width]
    matrix positions;      ///< [context, width], or empty

    /// [t, width] for t tokens, the first at position `first`. Throws value_error naming a token
    /// whose id is not in the vocabulary, or the excess length where positions end.
    [[nodiscard]] matrix rows(std::span<std::int32_t const> ids, std::size_t first = 0) const {
        bool const has_positions = positions.rows() > 0;
        if (has_positions && first + ids.size() > positions.rows())
            throw value_error("the text has " + std::to_string(first + ids.size()) +
                              " tokens, the model has positions for " +
                              std::to_string(positions.rows()));
        matrix x(ids.size(), tokens.cols());
        for (std::size_t t = 0; t < ids.size(); ++t) {
            auto const id = static_cast<std::uint32_t>(ids[t]);
            if (id >= tokens.rows())
                throw value_error("token " + std::to_string(t) + " has the id " +
                                  std::to_string(ids[t]) + ", the model's vocabulary ends at " +
                                  std::to_string(tokens.rows()) +
                                  ". Hint: does the tokenizer belong to this model?");
            std::span<float> const out = x.view().row(t);
            tokens.decode_row(id, out);
            if (has_positions)
                for (std::size_t i = 0; i < out.size(); ++i) out[i] += positions(first + t, i);
        }
        return x;
    }
};

}  // namespace qtk
