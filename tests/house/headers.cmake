# SPDX-License-Identifier: Apache-2.0
#
# Every header compiles when it comes first, and twice in one program. The first is what the test of its name shows;
# a header that does not come first there gets a file of its own here. Two files include them all, so that a function
# that forgot its `inline` is defined twice.
set(all_includes "")
set(sources "")
foreach(header IN LISTS QTK_HEADERS QTK_CUDA_HEADERS)
  if(header MATCHES "^qtk/torch/")
    continue() # LibTorch may be missing, and takes a minute to compile: the headers' own tests include them first
  endif()
  string(APPEND all_includes "#include <${header}>\n")
  get_filename_component(name "${header}" NAME_WE)
  string(REGEX REPLACE "^qtk/([a-z]+)/.*" "\\1" room "${header}")
  set(test "${PROJECT_SOURCE_DIR}/tests/${room}/${name}_test.cpp")
  set(first "")
  if(EXISTS "${test}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${test}")
    file(STRINGS "${test}" first REGEX "^#include" LIMIT_COUNT 1)
  endif()
  if(NOT first STREQUAL "#include <${header}>")
    string(MAKE_C_IDENTIFIER "${header}" name)
    file(
      CONFIGURE
      OUTPUT "headers/${name}.cpp"
      CONTENT "#include <${header}>\n"
      @ONLY)
    list(APPEND sources "${CMAKE_CURRENT_BINARY_DIR}/headers/${name}.cpp")
  endif()
endforeach()
foreach(name IN ITEMS all_headers all_headers_again)
  set(main "")
  if(name STREQUAL "all_headers")
    set(main "int main() {}\n")
  endif()
  file(
    CONFIGURE
    OUTPUT "${name}.cpp"
    CONTENT "${all_includes}${main}"
    @ONLY)
  list(APPEND sources "${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp")
endforeach()

add_executable(qtk_test_headers ${sources})
target_link_libraries(qtk_test_headers PRIVATE qtk_developer)
target_compile_definitions(qtk_test_headers PRIVATE QTK_CUDA_EMULATE=1)
foreach(component xtensor models)
  if(TARGET qtk::${component})
    target_link_libraries(qtk_test_headers PRIVATE qtk::${component})
  endif()
endforeach()
# Nothing here is worth optimizing, and the compiler is twice as fast without.
target_compile_options(qtk_test_headers PRIVATE -O0)

add_test(NAME "headers: each compiles alone and twice in one program" COMMAND qtk_test_headers)
