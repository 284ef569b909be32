# SPDX-License-Identifier: Apache-2.0
#
# One file a header that includes nothing else, and one that includes them all. Linked into a
# program, every header is seen twice: a function that forgot its `inline` is defined twice.
set(sources "${CMAKE_CURRENT_BINARY_DIR}/all_headers.cpp")
set(all_includes "")
foreach(header IN LISTS QTK_HEADERS QTK_CUDA_HEADERS)
  if(header MATCHES "^qtk/torch/")
    continue() # LibTorch may be missing, and takes a minute to compile: the headers' own tests include them first
  endif()
  string(MAKE_C_IDENTIFIER "${header}" name)
  string(APPEND all_includes "#include <${header}>\n")
  file(
    CONFIGURE
    OUTPUT "headers/${name}.cpp"
    CONTENT "#include <${header}>\n#include <${header}>\n"
    @ONLY)
  list(APPEND sources "${CMAKE_CURRENT_BINARY_DIR}/headers/${name}.cpp")
endforeach()
file(
  CONFIGURE
  OUTPUT all_headers.cpp
  CONTENT "${all_includes}int main() {}\n"
  @ONLY)

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
