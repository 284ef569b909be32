// SPDX-License-Identifier: Apache-2.0
//
// Which of these entries has this name? An index that a file cannot make slow: entries are sorted by
// a hash of their names and, where hashes are equal, by the names themselves. Names chosen to collide
// cost comparisons of strings, n log n of them, never a walk along a chain of n.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace qtk {

/// Holds places, not names: the owner of the entries gives `name_at(i)`, the name of entry i, to every
/// call.
class name_index {
  public:
    name_index() = default;
    template <typename NameAt>
    name_index(std::size_t count, NameAt const& name_at) : places_(count) {
        for (std::size_t i = 0; i < count; ++i) places_[i] = {hash_of(name_at(i)), i};
        std::ranges::sort(places_, [&](place const& a, place const& b) {
            return a.hash != b.hash ? a.hash < b.hash : name_at(a.entry) < name_at(b.entry);
        });
    }

    /// The entry of that name.
    template <typename NameAt>
    [[nodiscard]] std::optional<std::size_t> find(std::string_view name,
                                                  NameAt const& name_at) const {
        place const wanted{hash_of(name), 0};
        auto const at =
            std::ranges::lower_bound(places_, wanted, [&](place const& a, place const&) {
                return a.hash != wanted.hash ? a.hash < wanted.hash : name_at(a.entry) < name;
            });
        if (at == places_.end() || name_at(at->entry) != name) return std::nullopt;
        return at->entry;
    }

    /// An entry whose name another one has too.
    template <typename NameAt>
    [[nodiscard]] std::optional<std::size_t> find_twin(NameAt const& name_at) const {
        for (std::size_t i = 1; i < places_.size(); ++i)
            if (places_[i - 1].hash == places_[i].hash &&
                name_at(places_[i - 1].entry) == name_at(places_[i].entry))
                return places_[i].entry;
        return std::nullopt;
    }

  private:
    struct place {
        std::uint64_t hash = 0;
        std::size_t entry = 0;
    };
    /// FNV-1a, 64 bits.
    [[nodiscard]] static std::uint64_t hash_of(std::string_view name) noexcept {
        std::uint64_t hash = 14695981039346656037ull;
        for (char const c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
        return hash;
    }

    std::vector<place> places_;
};

}  // namespace qtk
