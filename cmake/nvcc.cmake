# SPDX-License-Identifier: Apache-2.0
#
# Programs that nvcc compiles, where there is one. nvcc is called as it is: no CMake language, no version of CMake.
#
#   QTK_NVCC_PROGRAM                                        nvcc of CUDA 12 or later, or false
#   qtk_add_nvcc_program(<target> SOURCES <file>... [LIBRARIES <name>...])
#
# The code is that of sm_75, and the one that newer devices make theirs. Programs exit with 77 where there is no device.
include_guard()

find_program(QTK_NVCC nvcc)
mark_as_advanced(QTK_NVCC)
set(QTK_NVCC_PROGRAM "${QTK_NVCC}")
if(QTK_NVCC_PROGRAM)
  execute_process(COMMAND "${QTK_NVCC}" --version OUTPUT_VARIABLE version ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+)" version "${version}")
  if(NOT version OR CMAKE_MATCH_1 LESS 12)
    message(STATUS "qtk: ${QTK_NVCC} is no nvcc of CUDA 12 or later")
    set(QTK_NVCC_PROGRAM "nvcc-NOTFOUND")
  endif()
endif()
if(NOT QTK_NVCC_PROGRAM)
  message(STATUS "qtk: CUDA was not compiled: no nvcc; its kernels are tested on the CPU")
endif()

function(qtk_add_nvcc_program target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  set(objects "")
  foreach(source IN LISTS arg_SOURCES)
    set(object "${CMAKE_CURRENT_BINARY_DIR}/${target}_${source}.o")
    add_custom_command(
      OUTPUT "${object}"
      DEPENDS "${source}"
      COMMAND
        "${QTK_NVCC_PROGRAM}" -std=c++20 -O2 -gencode "arch=compute_75,code=[compute_75,sm_75]" -x cu
        "-I${PROJECT_SOURCE_DIR}/include" "-I${PROJECT_SOURCE_DIR}/cuda/include" -MD -MF
        "${object}.d" -diag-suppress 445 -c "${CMAKE_CURRENT_SOURCE_DIR}/${source}" -o "${object}"
      DEPFILE "${object}.d"
      VERBATIM)
    list(APPEND objects "${object}")
  endforeach()
  set(program "${CMAKE_CURRENT_BINARY_DIR}/${target}")
  list(TRANSFORM arg_LIBRARIES PREPEND "-l" OUTPUT_VARIABLE libraries)
  add_custom_command(
    OUTPUT "${program}"
    DEPENDS ${objects}
    COMMAND "${QTK_NVCC_PROGRAM}" ${objects} -o "${program}" ${libraries}
    VERBATIM)
  add_custom_target(${target}_by_nvcc ALL DEPENDS "${program}")
endfunction()
