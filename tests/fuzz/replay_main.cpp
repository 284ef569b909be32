// SPDX-License-Identifier: Apache-2.0
//
// Does a fuzz target still survive what it once was fed? Hands it every file of a folder, with any
// compiler and without libFuzzer.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

int main(int count, char** arguments) {
    if (count != 2) return 2;
    std::size_t replayed = 0;
    for (auto const& entry : std::filesystem::directory_iterator(arguments[1])) {
        std::ifstream file(entry.path(), std::ios::binary);
        std::vector<std::uint8_t> bytes;
        for (std::istreambuf_iterator<char> at(file), end; at != end; ++at)
            bytes.push_back(static_cast<std::uint8_t>(*at));
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
        ++replayed;
    }
    std::printf("%zu inputs replayed\n", replayed);
    return replayed > 0 ? 0 : 1;  // an empty folder would prove nothing
}
