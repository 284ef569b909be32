// SPDX-License-Identifier: Apache-2.0
//
// Every instantiation that the library launches, to be compiled for sm_75 and looked at.
#include <qtk/cuda/skinny_w4a16.hpp>

namespace qtk::cuda {
template void launch_skinny_w4a16<false>(skinny_arguments const&, unsigned, cudaStream_t);
template void launch_skinny_w4a16<true>(skinny_arguments const&, unsigned, cudaStream_t);
}  // namespace qtk::cuda
