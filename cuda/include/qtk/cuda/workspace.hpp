// SPDX-License-Identifier: Apache-2.0
//
// Where do kernels keep what lies between them? In memory that the caller makes once, for one stream
// at a time; a cutter takes pieces of it in the same order that sized it, so that a size and its use
// cannot disagree.
#pragma once

#include <qtk/cuda/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace qtk::cuda {

using workspace = buffer<std::uint32_t>;

/// All zero, as counters must be at the start.
[[nodiscard]] inline workspace make_workspace(std::size_t bytes, cudaStream_t stream) {
    workspace made(div_ceil(bytes, sizeof(std::uint32_t)));
    made.clear(stream);
    return made;
}

/// Throws value_error for a workspace that is too small.
inline void require_workspace(char const* what, std::size_t m, std::size_t needed,
                              workspace const& space) {
    if (space.bytes() < needed)
        throw value_error(std::string("cuda: ") + what + ": " + std::to_string(m) +
                          " rows need a workspace of " + std::to_string(needed) + " bytes, found " +
                          std::to_string(space.bytes()) + ". Hint: workspace_bytes(m)");
}

/// How many places there are at which blocks meet (split_k.hpp).
inline constexpr std::size_t workspace_counters = 1024;

/// Cuts pieces at multiples of 16 bytes; without memory it only counts. The counters lie in front of
/// all pieces and nothing else is ever written there, so that one workspace serves layers in turn.
class workspace_cutter {
  public:
    workspace_cutter() = default;
    explicit workspace_cutter(workspace& space)
        : base_(reinterpret_cast<unsigned char*>(space.data())) {}

    [[nodiscard]] unsigned* counters() const noexcept { return reinterpret_cast<unsigned*>(base_); }
    template <typename T>
    [[nodiscard]] T* take(std::size_t count) {
        std::size_t const at = used_;
        used_ = checked_add(used_, div_ceil(checked_mul(count, sizeof(T)), std::size_t{16}) * 16);
        return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
    }
    /// Bytes up to the end of the last piece; zero if there is none.
    [[nodiscard]] std::size_t used() const noexcept { return used_ == front ? 0 : used_; }

  private:
    static constexpr std::size_t front = workspace_counters * sizeof(unsigned);
    unsigned char* base_ = nullptr;
    std::size_t used_ = front;
};

}  // namespace qtk::cuda
