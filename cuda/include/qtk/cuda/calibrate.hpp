// SPDX-License-Identifier: Apache-2.0
//
// How wide is a tensor that lies in device memory? The estimators of the host, with its results: the
// extremes, a percentile by rank (range/percentile.hpp), the threshold of least divergence
// (range/entropy.hpp). CUB does what is collective:
//
//   extremes     Reduce
//   percentile   HistogramEven of the upper bits of ordered keys says in which bins the two ranks
//                lie; Select takes those bins, RadixSort orders them
//   entropy      Reduce, then HistogramEven; the search for the threshold runs on the host
//
// Results are on the host, after the stream has been waited for, except launch_extremes. Temporary
// memory is the caller's.
#pragma once

#include <qtk/core/nonfinite.hpp>
#include <qtk/cuda/operand.hpp>
#include <qtk/range/entropy.hpp>
#include <qtk/range/percentile.hpp>

#if defined(__CUDACC__)
#include <cub/device/device_histogram.cuh>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_reduce.cuh>
#include <cub/device/device_select.cuh>
#else
#include <qtk/cuda/emulated_cub.hpp>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

namespace qtk::cuda {

/// Contiguous numbers in device memory.
struct tensor_in {
    void const* data = nullptr;
    std::size_t count = 0;
    number type = number::f16;

    [[nodiscard]] __device__ __forceinline__ float load(std::size_t i) const {
        return numbers_in{data, 0, type}.load(0, i);
    }
};

/// Device memory of calibration_bytes.
struct calibration_space {
    void* data = nullptr;
    std::size_t bytes = 0;
};

namespace detail {

/// f(i) for i = 0, 1, ..: what CUB reads.
template <typename F, typename T>
class mapped_iterator {
  public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T const*;
    using reference = T;
    using iterator_category = std::random_access_iterator_tag;

    QTK_HD explicit mapped_iterator(F f, difference_type at = 0) : f_(f), at_(at) {}
    [[nodiscard]] __device__ T operator*() const { return f_(static_cast<std::size_t>(at_)); }
    [[nodiscard]] __device__ T operator[](difference_type i) const {
        return f_(static_cast<std::size_t>(at_ + i));
    }
    [[nodiscard]] QTK_HD mapped_iterator operator+(difference_type n) const {
        return mapped_iterator(f_, at_ + n);
    }
    QTK_HD mapped_iterator& operator+=(difference_type n) {
        at_ += n;
        return *this;
    }

  private:
    F f_;
    difference_type at_;
};

/// An interval with what was no number in it as infinities.
struct extremes_at {
    tensor_in x;
    [[nodiscard]] __device__ interval operator()(std::size_t i) const {
        float const v = x.load(i);
        if (v == v) return {v, v};
        return {-bit_cast<float>(0x7f800000u), bit_cast<float>(0x7f800000u)};
    }
};
struct wider_of {
    [[nodiscard]] QTK_HD interval operator()(interval const& a, interval const& b) const {
        return {b.lowest < a.lowest ? b.lowest : a.lowest,
                b.highest > a.highest ? b.highest : a.highest};
    }
};

/// Keys that order as floats do; the upper 11 bits are a bin, of which the first and the last four
/// hold infinities and NaN.
inline constexpr int key_bins = 2048, key_shift = 21, unsound_bins = 4;
[[nodiscard]] QTK_HD inline std::uint32_t key_of(float v) noexcept {
    auto const bits = bit_cast<std::uint32_t>(v);
    return bits ^ (bits >> 31 != 0 ? 0xffffffffu : 0x80000000u);
}
[[nodiscard]] QTK_HD inline float value_of_key(std::uint32_t key) noexcept {
    return bit_cast<float>(key ^ (key >> 31 != 0 ? 0x80000000u : 0xffffffffu));
}
struct key_at {
    tensor_in x;
    [[nodiscard]] __device__ std::uint32_t operator()(std::size_t i) const {
        return key_of(x.load(i));
    }
};
struct key_bin_at {
    tensor_in x;
    [[nodiscard]] __device__ int operator()(std::size_t i) const {
        return static_cast<int>(key_of(x.load(i)) >> key_shift);
    }
};
struct is_in_bins {
    std::uint32_t low, high;
    [[nodiscard]] QTK_HD bool operator()(std::uint32_t key) const {
        return key >> key_shift == low || key >> key_shift == high;
    }
};
/// The bin of |x|, as the host's histogram has it.
struct magnitude_bin_at {
    tensor_in x;
    double width;
    int bins;
    [[nodiscard]] __device__ int operator()(std::size_t i) const {
        float const v = x.load(i);
        double const bin = static_cast<double>(v < 0.0f ? -v : v) / width;
        return bin < bins ? static_cast<int>(bin) : bins - 1;
    }
};

/// Cuts a calibration_space at multiples of 256 bytes. Without memory it only counts, and nothing is
/// started.
class space_cutter {
  public:
    explicit space_cutter(calibration_space const& space)
        : base_(static_cast<unsigned char*>(space.data)) {}

    [[nodiscard]] bool is_counting() const noexcept { return base_ == nullptr; }
    [[nodiscard]] std::size_t used() const noexcept { return used_; }
    template <typename T>
    [[nodiscard]] T* take(std::size_t count) {
        std::size_t const at = used_;
        used_ += div_ceil(count * sizeof(T), 256) * 256;
        return is_counting() ? nullptr : reinterpret_cast<T*>(base_ + at);
    }
    /// Calls a function of CUB: asked for the size of its memory first, then with it.
    template <typename F>
    void call(char const* name, F f) {
        std::size_t bytes = 0;
        check(f(static_cast<void*>(nullptr), bytes), name);
        auto* const memory = take<unsigned char>(std::max<std::size_t>(bytes, 1));
        if (!is_counting()) check(f(static_cast<void*>(memory), bytes), name);
    }

  private:
    unsigned char* base_;
    std::size_t used_ = 0;
};

inline void reduce_extremes(tensor_in const& x, interval* to, space_cutter& from,
                            cudaStream_t stream) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    mapped_iterator<extremes_at, interval> const in(extremes_at{x});
    from.call("cub::DeviceReduce::Reduce", [&](void* memory, std::size_t& bytes) {
        return cub::DeviceReduce::Reduce(memory, bytes, in, to, static_cast<int>(x.count),
                                         wider_of{}, interval{infinity, -infinity}, stream);
    });
}
template <typename At>
void count_bins(At const& at, std::size_t count, int bins, std::uint32_t* to, space_cutter& from,
                cudaStream_t stream) {
    mapped_iterator<At, int> const in(at);
    from.call("cub::DeviceHistogram::HistogramEven", [&](void* memory, std::size_t& bytes) {
        return cub::DeviceHistogram::HistogramEven(memory, bytes, in, to, bins + 1, 0, bins,
                                                   static_cast<int>(count), stream);
    });
}
/// The keys of some bins in order; `most` of them at most.
inline std::uint32_t* sort_bins(tensor_in const& x, is_in_bins const& wanted, std::size_t most,
                                space_cutter& from, cudaStream_t stream) {
    auto* const keys = from.take<std::uint32_t>(most);
    auto* const sorted = from.take<std::uint32_t>(most);
    auto* const selected = from.take<std::uint32_t>(1);
    mapped_iterator<key_at, std::uint32_t> const in(key_at{x});
    from.call("cub::DeviceSelect::If", [&](void* memory, std::size_t& bytes) {
        return cub::DeviceSelect::If(memory, bytes, in, keys, selected, static_cast<int>(x.count),
                                     wanted, stream);
    });
    from.call("cub::DeviceRadixSort::SortKeys", [&](void* memory, std::size_t& bytes) {
        return cub::DeviceRadixSort::SortKeys(memory, bytes,
                                              static_cast<std::uint32_t const*>(keys), sorted,
                                              static_cast<int>(most), 0, 32, stream);
    });
    return sorted;
}

template <typename T>
[[nodiscard]] std::vector<T> on_host(T const* from, std::size_t count, cudaStream_t stream) {
    std::vector<T> host(count);
    check(cudaMemcpyAsync(host.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost, stream),
          "cudaMemcpyAsync to the host");
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    return host;
}

/// The bin that a rank lies in, and the ranks before that bin.
struct ranked_bin {
    std::uint32_t bin = 0;
    std::size_t before = 0;

    ranked_bin(std::vector<std::uint32_t> const& counts, std::size_t rank) {
        while (rank >= before + counts[bin]) before += counts[bin++];
    }
};

inline void require_tensor(char const* what, tensor_in const& x, std::size_t needed,
                           calibration_space const& space) {
    auto const refuse = [&](std::string const& text) {
        throw value_error(std::string("cuda: ") + what + ": " + text);
    };
    if (x.count > std::size_t{0x7fffffff})
        refuse("expected fewer than 2^31 values, found " + std::to_string(x.count));
    if (space.bytes < needed || space.data == nullptr)
        refuse("expected " + std::to_string(needed) + " bytes of temporary memory, found " +
               std::to_string(space.bytes) + ". Hint: calibration_bytes(count)");
}
inline void require_sound(char const* what, bool is_sound) {
    if (!is_sound)
        throw value_error(std::string("cuda: ") + what +
                          ": expected finite values, found NaN or infinities");
}

}  // namespace detail

/// Temporary memory for any of the estimators over `count` values; most of it is for percentiles,
/// whose two ranks may lie among all values.
[[nodiscard]] inline std::size_t calibration_bytes(std::size_t count, int bins = 2048) {
    tensor_in const x{nullptr, count, number::f32};
    detail::space_cutter extremes({}), percentile({}), entropy({});
    static_cast<void>(extremes.take<interval>(1));
    detail::reduce_extremes(x, nullptr, extremes, {});
    static_cast<void>(percentile.take<std::uint32_t>(detail::key_bins));
    detail::count_bins(detail::key_bin_at{x}, count, detail::key_bins, nullptr, percentile, {});
    static_cast<void>(detail::sort_bins(x, {}, count, percentile, {}));
    static_cast<void>(entropy.take<interval>(1));
    detail::reduce_extremes(x, nullptr, entropy, {});
    static_cast<void>(entropy.take<std::uint32_t>(static_cast<std::size_t>(bins)));
    detail::count_bins(detail::magnitude_bin_at{x, 1.0, bins}, count, bins, nullptr, entropy, {});
    return std::max({extremes.used(), percentile.used(), entropy.used()});
}

/// The smallest and the largest value to device memory, where launch_quantize_weight reads them;
/// infinite where a value is no finite number. Throws value_error for too little memory.
inline void launch_extremes(tensor_in const& x, interval* to, calibration_space const& space,
                            cudaStream_t stream) {
    detail::space_cutter counted({});
    detail::reduce_extremes(x, nullptr, counted, {});
    detail::require_tensor("extremes", x, counted.used(), space);
    detail::space_cutter from(space);
    detail::reduce_extremes(x, to, from, stream);
}

/// minmax_range on the device; {0, 0} for no values. Throws value_error for values that are not
/// finite and too little memory.
[[nodiscard]] inline interval extremes_of(tensor_in const& x, calibration_space const& space,
                                          cudaStream_t stream) {
    if (x.count == 0) return {};
    detail::require_tensor("extremes", x, calibration_bytes(x.count), space);
    detail::space_cutter from(space);
    auto* const found = from.take<interval>(1);
    detail::reduce_extremes(x, found, from, stream);
    interval const range = detail::on_host(found, 1, stream).front();
    detail::require_sound("extremes", !is_nonfinite(range.lowest) && !is_nonfinite(range.highest));
    return range;
}

/// percentile_range on the device, the same values by rank. Throws like extremes_of, and for a share
/// that is none.
[[nodiscard]] inline interval percentile_of(tensor_in const& x, percentile_range const& range,
                                            calibration_space const& space, cudaStream_t stream) {
    if (x.count == 0) return {};
    detail::require_tensor("percentile", x, calibration_bytes(x.count), space);
    std::size_t const low = range.dropped(x.count), high = x.count - 1 - low;
    detail::space_cutter from(space);
    auto* const bins = from.take<std::uint32_t>(detail::key_bins);
    detail::count_bins(detail::key_bin_at{x}, x.count, detail::key_bins, bins, from, stream);
    auto const counts = detail::on_host(bins, detail::key_bins, stream);
    for (int i = 0; i < detail::unsound_bins; ++i)
        detail::require_sound("percentile",
                              counts[static_cast<std::size_t>(i)] == 0 &&
                                  counts[counts.size() - 1 - static_cast<std::size_t>(i)] == 0);
    detail::ranked_bin const first(counts, low), last(counts, high);
    std::size_t const of_first = counts[first.bin];
    std::size_t const most = of_first + (last.bin != first.bin ? counts[last.bin] : 0);
    auto const sorted = detail::on_host(
        detail::sort_bins(x, {first.bin, last.bin}, most, from, stream), most, stream);
    std::size_t const after = last.bin != first.bin ? of_first : 0;
    return {detail::value_of_key(sorted[low - first.before]),
            detail::value_of_key(sorted[after + high - last.before])};
}

/// entropy_range on the device for codes of `bits` bits, the same threshold. Throws like extremes_of,
/// and for counts of bins that are none.
[[nodiscard]] inline interval entropy_of(tensor_in const& x, entropy_range const& range, int bits,
                                         calibration_space const& space, cudaStream_t stream) {
    if (x.count == 0) return {};
    range.require_counts();
    detail::require_tensor("entropy", x, calibration_bytes(x.count, range.bins), space);
    detail::space_cutter from(space);
    auto* const found = from.take<interval>(1);
    detail::reduce_extremes(x, found, from, stream);
    interval const ends = detail::on_host(found, 1, stream).front();
    detail::require_sound("entropy", !is_nonfinite(ends.lowest) && !is_nonfinite(ends.highest));
    float const largest = std::max(std::max(-ends.lowest, ends.highest), 0.0f);
    if (!(largest > 0.0f)) return {};
    double const width = range.width_of(largest);
    auto* const bins = from.take<std::uint32_t>(static_cast<std::size_t>(range.bins));
    detail::count_bins(detail::magnitude_bin_at{x, width, range.bins}, x.count, range.bins, bins,
                       from, stream);
    auto const counts = detail::on_host(bins, static_cast<std::size_t>(range.bins), stream);
    return range.of_counts({counts.begin(), counts.end()}, width, ends.lowest < 0.0f, bits);
}

}  // namespace qtk::cuda
