// SPDX-License-Identifier: Apache-2.0
//
// Which device is measured, how fast does it read, and how long did a kernel take? Events on the stream
// for the time. Where kernels are emulated on the CPU everything here has a stand-in, so that the
// benches themselves are tested; the times mean nothing then.
#pragma once

#include <qtk/cuda/buffer.hpp>
#include <qtk/cuda/collective.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace qtk_bench {

#if defined(__CUDACC__)
inline constexpr bool is_emulated = false;
#else
inline constexpr bool is_emulated = true;
#endif

struct device_facts {
    std::string name;
    int major = 0, minor = 0, multiprocessors = 1;
    std::size_t cache_bytes = 0;  ///< of the second level
    int driver = 0, runtime = 0;  ///< 13000 is 13.0
};

/// The device that kernels run on; none, and `why` says so in a sentence.
[[nodiscard]] inline std::optional<device_facts> find_device([[maybe_unused]] std::string& why) {
#if defined(__CUDACC__)
    int count = 0;
    if (cudaError_t const status = cudaGetDeviceCount(&count);
        status != cudaSuccess || count == 0) {
        why = status != cudaSuccess ? cudaGetErrorString(status) : "no device";
        return std::nullopt;
    }
    cudaDeviceProp properties;
    qtk::cuda::check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    device_facts facts{properties.name, properties.major, properties.minor,
                       properties.multiProcessorCount,
                       static_cast<std::size_t>(properties.l2CacheSize)};
    qtk::cuda::check(cudaDriverGetVersion(&facts.driver), "cudaDriverGetVersion");
    qtk::cuda::check(cudaRuntimeGetVersion(&facts.runtime), "cudaRuntimeGetVersion");
    if (10 * facts.major + facts.minor < 75) {
        why = facts.name + " is older than sm_75";
        return std::nullopt;
    }
    return facts;
#else
    return device_facts{"emulated on the CPU", 7, 5, 1, 4096, 0, 0};
#endif
}

/// Seconds between two points of a stream.
class stopwatch {
  public:
#if defined(__CUDACC__)
    stopwatch() {
        qtk::cuda::check(cudaEventCreate(&begin_), "cudaEventCreate");
        qtk::cuda::check(cudaEventCreate(&end_), "cudaEventCreate");
    }
    stopwatch(stopwatch const&) = delete;
    stopwatch& operator=(stopwatch const&) = delete;
    ~stopwatch() {
        static_cast<void>(cudaEventDestroy(begin_));
        static_cast<void>(cudaEventDestroy(end_));
    }
    void start(cudaStream_t stream) {
        qtk::cuda::check(cudaEventRecord(begin_, stream), "cudaEventRecord");
    }
    [[nodiscard]] double stop(cudaStream_t stream) {
        qtk::cuda::check(cudaEventRecord(end_, stream), "cudaEventRecord");
        qtk::cuda::check(cudaEventSynchronize(end_), "cudaEventSynchronize");
        float milliseconds = 0.0f;
        qtk::cuda::check(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
        return static_cast<double>(milliseconds) * 1e-3;
    }

  private:
    cudaEvent_t begin_ = nullptr, end_ = nullptr;
#else
    void start(cudaStream_t) {
        begin_ = std::chrono::steady_clock::now();
    }
    [[nodiscard]] double stop(cudaStream_t) {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    }

  private:
    std::chrono::steady_clock::time_point begin_;
#endif
};

/// Every block reads its share and leaves a sum that nobody can leave out.
template <unsigned Threads>
__global__ void __launch_bounds__(Threads)
    read_all(uint4 const* data, std::size_t count, std::uint32_t* sums) {
    std::uint32_t sum = 0;
    for (std::size_t i = std::size_t{blockIdx.x} * Threads + threadIdx.x; i < count;
         i += std::size_t{gridDim.x} * Threads) {
        uint4 const v = __ldcs(data + i);
        sum += v.x + v.y + v.z + v.w;
    }
    sum = qtk::cuda::warp_reduce(sum, qtk::cuda::sum_of{});
    if (threadIdx.x % 32 == 0) sums[(blockIdx.x * Threads + threadIdx.x) / 32] = sum;
}

/// Bytes a second, the best of ten reads of a buffer far larger than the cache.
[[nodiscard]] inline double read_bandwidth(device_facts const& device, cudaStream_t stream) {
    constexpr unsigned threads = 256;
    unsigned const blocks = 8 * static_cast<unsigned>(device.multiprocessors);
    std::size_t const bytes = std::max<std::size_t>(16 * device.cache_bytes, 4096);
    qtk::cuda::buffer<std::uint32_t> data(bytes / 4), sums(blocks * threads / 32);
    data.clear(stream);
    stopwatch watch;
    double best = 1e9;
    for (int run = 0; run < (is_emulated ? 1 : 10); ++run) {
        watch.start(stream);
        qtk::cuda::launch("read_all", read_all<threads>, dim3(blocks), dim3(threads), 0, stream,
                          reinterpret_cast<uint4 const*>(data.data()), bytes / 16, sums.data());
        best = std::min(best, watch.stop(stream));
    }
    return static_cast<double>(bytes) / best;
}

}  // namespace qtk_bench
