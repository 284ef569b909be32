# SPDX-License-Identifier: Apache-2.0
#
# What a contributor's build adds to the target that users link: warnings, the compiler cache, and
# one function per kind of program. None of it touches `qtk::qtk`.
#
#   qtk_add_test_room(<room> SOURCES <file>... [LIBRARIES <target>...])
#   qtk_add_bench_room(<room> SOURCES <file>... [LIBRARIES <target>...])
#   qtk_add_example(<NN_name> [LIBRARIES <target>...] PASS <regex>)
#   qtk_add_compile_fail(<name> SOURCE <file> MESSAGE <regex>)
include_guard()

find_program(QTK_CCACHE ccache)
mark_as_advanced(QTK_CCACHE)
if(QTK_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${QTK_CCACHE}")
endif()

add_library(qtk_developer INTERFACE)
target_link_libraries(qtk_developer INTERFACE qtk::qtk)
target_compile_options(qtk_developer INTERFACE -Wall -Wextra)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # The pedantic set is g++'s: clang gives -Wshadow and -Wconversion other meanings.
  target_compile_options(
    qtk_developer
    INTERFACE -Wpedantic
              -Wconversion
              -Wsign-conversion
              -Wshadow=local  # plain -Wshadow takes scoped enumerators for clashes
              -Wcast-qual
              -Wold-style-cast
              -Wdouble-promotion
              -Wno-restrict) # g++ 12 reports string concatenations (GCC PR105651)
endif()
# Where tests and examples find the embedded models and the golden figures.
target_compile_definitions(
  qtk_developer INTERFACE QTK_DATA_DIR="${PROJECT_SOURCE_DIR}/examples/data"
                          QTK_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/golden")
if(NOT QTK_WITH_XSIMD)
  target_compile_definitions(qtk_developer INTERFACE QTK_NO_XSIMD=1)
elseif(TARGET qtk::simd)
  target_link_libraries(qtk_developer INTERFACE qtk::simd)
endif()

# The kernels, compiled once for the programs that link one of these: with threads, if there are any,
# or without (docs/how-to/compile-kernels-once.md). Kernels' own tests and benches are header-only.
function(qtk_add_kernels target)
  add_library(${target} STATIC EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/cmake/kernels.cpp")
  target_link_libraries(${target} PUBLIC qtk_developer ${ARGN})
  target_compile_definitions(${target} INTERFACE QTK_KERNELS_ELSEWHERE=1)
endfunction()
qtk_add_kernels(qtk_kernels_single)
if(TARGET qtk::openmp)
  qtk_add_kernels(qtk_kernels qtk::openmp)
else()
  add_library(qtk_kernels ALIAS qtk_kernels_single)
endif()

include(CTest)
include(cmake/nvcc.cmake)

# One executable a room, one CTest a test case: `<room>: <sentence>`.
function(qtk_add_test_room room)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  set(target qtk_test_${room})
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE qtk_developer qtk_test_main doctest::doctest
                                          ${arg_LIBRARIES})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests/support")
  # A test compiles a quarter faster so, and what takes long runs in qtk_kernels; kernels are tested as users compile them.
  if(NOT room STREQUAL "kernel")
    target_compile_options(${target} PRIVATE -O1)
  endif()

  set(list "${CMAKE_CURRENT_BINARY_DIR}/${target}.cmake")
  add_custom_command(
    TARGET ${target}
    POST_BUILD
    BYPRODUCTS "${list}"
    COMMAND "${CMAKE_COMMAND}" -D "EXECUTABLE=$<TARGET_FILE:${target}>" -D "ROOM=${room}" -D
            "OUTPUT=${list}" -P "${PROJECT_SOURCE_DIR}/cmake/list_tests.cmake"
    VERBATIM)
  file(
    CONFIGURE
    OUTPUT "${target}_include.cmake"
    CONTENT
      "if(EXISTS [==[${list}]==])\n  include([==[${list}]==])\nelse()\n  add_test(\"${room}: not built\" ${target})\nendif()\n"
    @ONLY)
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES
                                         "${CMAKE_CURRENT_BINARY_DIR}/${target}_include.cmake")
endfunction()

# One executable a room; the CTest runs each bench once on tiny operands, to see that it runs, and
# keeps no time.
function(qtk_add_bench_room room)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  set(target qtk_bench_${room})
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE qtk_developer qtk_bench_support ${arg_LIBRARIES})
  if(QTK_BUILD_TESTS)
    add_test(NAME "bench: ${room} runs" COMMAND ${target} --benchmark_min_time=0.000001)
    set_tests_properties("bench: ${room} runs" PROPERTIES FAIL_REGULAR_EXPRESSION "ERROR OCCURRED"
                                                          ENVIRONMENT "QTK_BENCH=smoke")
  endif()
endfunction()

# A numbered program is its own documentation and its own test: it prints what the text promises.
function(qtk_add_example name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PASS" "LIBRARIES")
  if(NOT arg_PASS)
    message(FATAL_ERROR "qtk_add_example(${name}): PASS needs a regular expression of its output")
  endif()
  set(target qtk_example_${name})
  add_executable(${target} ${name}.cpp)
  target_link_libraries(${target} PRIVATE qtk_developer ${arg_LIBRARIES})
  if(QTK_BUILD_TESTS)
    add_test(NAME "example: ${name}"
             COMMAND "${CMAKE_COMMAND}" -D "PROGRAM=$<TARGET_FILE:${target}>" -D "OUTPUT=${arg_PASS}"
                     -P "${PROJECT_SOURCE_DIR}/cmake/expect.cmake")
  endif()
endfunction()

# The program must not compile, and the compiler must say MESSAGE.
function(qtk_add_compile_fail name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SOURCE;MESSAGE" "")
  if(NOT arg_MESSAGE)
    message(FATAL_ERROR "qtk_add_compile_fail(${name}): MESSAGE needs a regular expression")
  endif()
  add_test(
    NAME "compile_fail: ${name}"
    COMMAND
      "${CMAKE_COMMAND}" -D "COMPILER=${CMAKE_CXX_COMPILER}" -D
      "SOURCE=${CMAKE_CURRENT_SOURCE_DIR}/${arg_SOURCE}" -D
      "INCLUDE=${PROJECT_SOURCE_DIR}/include" -D "MESSAGE=${arg_MESSAGE}" -P
      "${PROJECT_SOURCE_DIR}/cmake/compile_fail.cmake")
endfunction()
