// SPDX-License-Identifier: Apache-2.0
//
// Does a fuzz target still survive what it once was fed? Hands it every file of the folders, with any
// compiler and without libFuzzer: qtk_fuzz_replay TARGET FOLDER...
#include "fuzz_target.hpp"
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

int main(int count, char** arguments) {
    if (count < 3) return 2;
    auto const target = fuzz::targets().find(arguments[1]);
    if (target == fuzz::targets().end()) {
        std::fprintf(stderr, "error: %s: no such target\n", arguments[1]);
        return 2;
    }
    std::size_t replayed = 0;
    for (int i = 2; i < count; ++i)
        for (auto const& entry : std::filesystem::directory_iterator(arguments[i])) {
            std::ifstream file(entry.path(), std::ios::binary);
            std::vector<std::uint8_t> bytes;
            for (std::istreambuf_iterator<char> at(file), end; at != end; ++at)
                bytes.push_back(static_cast<std::uint8_t>(*at));
            target->second(bytes.data(), bytes.size());
            ++replayed;
        }
    std::printf("%zu inputs replayed\n", replayed);
    return replayed > 0 ? 0 : 1;  // an empty folder would prove nothing
}
