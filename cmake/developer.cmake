# SPDX-License-Identifier: Apache-2.0
#
# What a contributor's build adds to the target that users link: warnings, the compiler cache, and
# one function per kind of program. None of it touches `qtk::qtk`.
#
#   qtk_add_test_room(<room> SOURCES <file>... [BATCHED <file>...] [LIBRARIES <target>...])
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

# The kernels, compiled once for the programs that link this (docs/how-to/compile-kernels-once.md). Examples, benches and
# consumers are header-only.
add_library(qtk_kernels STATIC EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/cmake/kernels.cpp")
target_link_libraries(qtk_kernels PUBLIC qtk_developer)
target_compile_definitions(qtk_kernels INTERFACE QTK_KERNELS_ELSEWHERE=1)
if(TARGET qtk::openmp)
  target_link_libraries(qtk_kernels PUBLIC qtk::openmp)
endif()

option(QTK_UNITY "Compile files of programs and tests in batches: what they all include is compiled once a batch" ON)

# qtk_batch_tests(<variable> <name> <size> <file>...): files that include `size` of these each, in `variable`. Tests of one
# batch get a namespace each, so that their helpers may have the same names; what they include is included before.
function(qtk_batch_tests variable name size)
  set(batches "")
  set(includes "")
  set(bodies "")
  set(count 0)
  list(LENGTH ARGN files)
  foreach(file IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH file OUTPUT_VARIABLE path)
    cmake_path(GET file STEM stem)
    file(STRINGS "${path}" lines REGEX "^#include")
    list(JOIN lines "\n" lines)
    string(APPEND includes "${lines}\n")
    string(APPEND bodies "namespace of_${stem} {\n#include \"${path}\"\n}\n")
    math(EXPR count "${count} + 1")
    math(EXPR rest "${count} % ${size}")
    if(rest EQUAL 0 OR count EQUAL files)
      list(LENGTH batches number)
      set(batch "${CMAKE_CURRENT_BINARY_DIR}/${name}_batch_${number}.cpp")
      file(CONFIGURE OUTPUT "${batch}" CONTENT "${includes}${bodies}" @ONLY)
      list(APPEND batches "${batch}")
      set(includes "")
      set(bodies "")
    endif()
  endforeach()
  set(${variable} "${batches}" PARENT_SCOPE)
endfunction()

include(CTest)
include(cmake/nvcc.cmake)

# One executable a room, one CTest a test case: `<room>: <sentence>`. BATCHED files are compiled some at a time.
function(qtk_add_test_room room)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;BATCHED;LIBRARIES")
  set(target qtk_test_${room})
  set(sources ${arg_SOURCES} ${arg_BATCHED})
  if(QTK_UNITY)
    qtk_batch_tests(batches ${room} 8 ${arg_BATCHED})
    set(sources ${arg_SOURCES} ${batches})
  endif()
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE qtk_developer qtk_test_main doctest::doctest
                                          ${arg_LIBRARIES})
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/tests/support")
  # tests/house compiles the headers alone that come first nowhere.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${arg_SOURCES} ${arg_BATCHED})
  foreach(source IN LISTS sources)
    file(STRINGS "${source}" first REGEX "^#include" LIMIT_COUNT 1)
    set_property(GLOBAL APPEND PROPERTY QTK_INCLUDED_FIRST "${first}")
  endforeach()
  # A test compiles a quarter faster so, and what takes long runs in qtk_kernels. Kernels' parts are tested as users compile
  # them. With -O1 g++ takes other members of a variant for uninitialized ones.
  if(NOT room STREQUAL "kernel")
    target_compile_options(${target} PRIVATE -O1 $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
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
