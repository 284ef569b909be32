// SPDX-License-Identifier: Apache-2.0
//
// What does an error say? For expectations on parts of a message.
#pragma once

#include <qtk/core/error.hpp>

#include <string>
#include <string_view>

namespace qtk_test {

/// The message of the qtk::error that f throws; empty if it throws none.
template <typename F>
std::string message_of(F&& f) {
    try {
        f();
    } catch (qtk::error const& e) {
        return e.what();
    }
    return {};
}

/// Does it say these words?
inline bool says(std::string const& message, std::string_view words) {
    return message.find(words) != message.npos;
}

}  // namespace qtk_test
