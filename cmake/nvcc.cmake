# SPDX-License-Identifier: Apache-2.0
#
# Programs that nvcc compiles, where there is one. nvcc is called as it is: no CMake language, no version of CMake.
#
#   QTK_NVCC_PROGRAM                                        nvcc of CUDA 12 or later, or false
#   QTK_CUDART                                              the runtime as a static library, or false
#   qtk_add_nvcc_program(<target> SOURCES <file>... [INCLUDES <folder>...] [LIBRARIES <name>...])
#   qtk_add_nvcc_sources(<target> SOURCES <file>... [INCLUDES <folder>...])
#                        a part of a program of the host's compiler; needs QTK_CUDART
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
# It lies beside nvcc: in the CUDA Toolkit, and in the packages of PyPI.
set(QTK_CUDART "QTK_CUDART-NOTFOUND")
if(QTK_NVCC_PROGRAM)
  file(REAL_PATH "${QTK_NVCC_PROGRAM}" nvcc)
  cmake_path(GET nvcc PARENT_PATH nvcc)
  cmake_path(GET nvcc PARENT_PATH nvcc)
  find_library(
    QTK_CUDART cudart_static
    HINTS "${nvcc}"
    PATH_SUFFIXES lib64 lib "targets/${CMAKE_SYSTEM_PROCESSOR}-linux/lib" NO_CACHE)
endif()
if(NOT QTK_NVCC_PROGRAM)
  message(STATUS "qtk: CUDA was not compiled: no nvcc; its kernels are tested on the CPU")
endif()

# Objects of the sources, in `variable`.
function(qtk_nvcc_objects variable target)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "SOURCES;INCLUDES")
  set(objects "")
  list(TRANSFORM arg_INCLUDES PREPEND "-I")
  foreach(source IN LISTS arg_SOURCES)
    cmake_path(ABSOLUTE_PATH source OUTPUT_VARIABLE file)
    cmake_path(GET source FILENAME name)
    set(object "${CMAKE_CURRENT_BINARY_DIR}/${target}_${name}.o")
    add_custom_command(
      OUTPUT "${object}"
      DEPENDS "${file}"
      COMMAND
        "${QTK_NVCC_PROGRAM}" -std=c++20 -O2 -gencode "arch=compute_75,code=[compute_75,sm_75]" -x cu
        "-I${PROJECT_SOURCE_DIR}/include" "-I${PROJECT_SOURCE_DIR}/cuda/include" ${arg_INCLUDES} -MD -MF
        "${object}.d" -diag-suppress 445 -c "${file}" -o "${object}"
      DEPFILE "${object}.d"
      VERBATIM)
    list(APPEND objects "${object}")
  endforeach()
  set(${variable} "${objects}" PARENT_SCOPE)
endfunction()

function(qtk_add_nvcc_program target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;INCLUDES;LIBRARIES")
  qtk_nvcc_objects(objects ${target} SOURCES ${arg_SOURCES} INCLUDES ${arg_INCLUDES})
  set(program "${CMAKE_CURRENT_BINARY_DIR}/${target}")
  list(TRANSFORM arg_LIBRARIES PREPEND "-l" OUTPUT_VARIABLE libraries)
  add_custom_command(
    OUTPUT "${program}"
    DEPENDS ${objects}
    COMMAND "${QTK_NVCC_PROGRAM}" ${objects} -o "${program}" ${libraries}
    VERBATIM)
  add_custom_target(${target}_by_nvcc ALL DEPENDS "${program}")
endfunction()

function(qtk_add_nvcc_sources target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;INCLUDES")
  qtk_nvcc_objects(objects ${target} SOURCES ${arg_SOURCES} INCLUDES ${arg_INCLUDES})
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  target_sources(${target} PRIVATE ${objects})
  find_package(Threads REQUIRED)
  target_link_libraries(${target} PRIVATE "${QTK_CUDART}" Threads::Threads ${CMAKE_DL_LIBS} rt)
endfunction()
