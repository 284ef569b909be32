// SPDX-License-Identifier: Apache-2.0
//
// Networks the way textbooks write them: one value at a time, in double precision, from the tensors
// as files hold them.
#pragma once

#include "tiny_model.hpp"
#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace qtk_test {

using rows = std::vector<std::vector<double>>;

/// x W^T + b with W [out, in] of a file, or x W + b with W [in, out] where it is GPT-2's.
inline rows linear(model_folder const& m, std::string const& name, rows const& x,
                   bool is_transposed) {
    float_tensor const& w = m.tensors.at(name + ".weight");
    std::size_t const out = w.shape[is_transposed ? 1 : 0];
    auto const bias = m.tensors.find(name + ".bias");
    rows y;
    for (auto const& row : x) {
        y.emplace_back(out);
        for (std::size_t o = 0; o < out; ++o) {
            double sum =
                bias == m.tensors.end() ? 0.0 : static_cast<double>(bias->second.values[o]);
            for (std::size_t i = 0; i < row.size(); ++i)
                sum += row[i] * static_cast<double>(
                                    w.values[is_transposed ? i * out + o : o * row.size() + i]);
            y.back()[o] = sum;
        }
    }
    return y;
}

/// Layer norm where the file has a bias, else RMS norm.
inline rows norm(model_folder const& m, std::string const& name, rows x, double epsilon) {
    auto const& weight = m.tensors.at(name + ".weight").values;
    auto const bias = m.tensors.find(name + ".bias");
    for (auto& row : x) {
        auto const n = static_cast<double>(row.size());
        double mean = 0.0, size = 0.0;
        if (bias != m.tensors.end())
            for (double const v : row) mean += v / n;
        for (double const v : row) size += (v - mean) * (v - mean) / n;
        for (std::size_t i = 0; i < row.size(); ++i) {
            row[i] = (row[i] - mean) / std::sqrt(size + epsilon) * static_cast<double>(weight[i]);
            if (bias != m.tensors.end()) row[i] += static_cast<double>(bias->second.values[i]);
        }
    }
    return x;
}

/// Causal attention of `heads` query heads over `kv_heads` heads of keys and values.
inline rows attention(rows const& q, rows const& k, rows const& v, std::size_t heads,
                      std::size_t kv_heads) {
    rows y(q.size(), std::vector<double>(q[0].size()));
    std::size_t const d = q[0].size() / heads;
    for (std::size_t t = 0; t < q.size(); ++t)
        for (std::size_t h = 0; h < heads; ++h) {
            std::size_t const from = h / (heads / kv_heads) * d;
            double total = 0.0;
            for (std::size_t s = 0; s <= t; ++s) {
                double score = 0.0;
                for (std::size_t i = 0; i < d; ++i) score += q[t][h * d + i] * k[s][from + i];
                double const weight = std::exp(score / std::sqrt(static_cast<double>(d)));
                total += weight;
                for (std::size_t i = 0; i < d; ++i) y[t][h * d + i] += weight * v[s][from + i];
            }
            for (std::size_t i = 0; i < d; ++i) y[t][h * d + i] /= total;
        }
    return y;
}

inline rows columns(rows const& x, std::size_t first, std::size_t count) {
    rows y;
    for (auto const& row : x)
        y.emplace_back(row.begin() + static_cast<std::ptrdiff_t>(first),
                       row.begin() + static_cast<std::ptrdiff_t>(first + count));
    return y;
}

/// f(a, b) value by value.
inline rows zip(rows a, rows const& b, std::function<double(double, double)> const& f) {
    for (std::size_t t = 0; t < a.size(); ++t)
        for (std::size_t i = 0; i < a[t].size(); ++i) a[t][i] = f(a[t][i], b[t][i]);
    return a;
}

}  // namespace qtk_test
