# SPDX-License-Identifier: Apache-2.0
#
# The optional parts of qtk. The same file serves the source tree, where a component becomes an
# ordinary target with an alias, and qtkConfig.cmake, where it becomes an imported one.
#
#   qtk::simd     xsimd on the portable path of the kernels
#   qtk::xtensor  <qtk/xtensor.hpp> and every header above it
#   qtk::openmp   threads in the kernels
#   qtk::models   files, tokenizers and networks: xtensor, nlohmann_json, PCRE2, a CBLAS and
#                 stb_image if any
#   qtk::cuda     device headers and the CUDA runtime
#   qtk::torch    <qtk/torch/lsq.hpp>: LibTorch
#
# No version is asked for: the packages' own version files demand exact majors, and a range that
# fits both Debian and Conan Center does not exist. The headers check what they need themselves.
set(QTK_COMPONENTS simd xtensor openmp models cuda torch)

# Each function below sets in its caller what the component of its name `links` (targets that exist
# when their package was found) and `defines`.
function(qtk_parts_of_simd)
  # Debian's xsimd names the target xtl without finding it.
  if(NOT TARGET xtl)
    find_package(xtl QUIET)
  endif()
  if(NOT TARGET xsimd)
    find_package(xsimd QUIET)
  endif()
  set(links xsimd PARENT_SCOPE)
  set(defines QTK_HAS_XSIMD=1 PARENT_SCOPE)
endfunction()

function(qtk_parts_of_xtensor)
  if(NOT TARGET xtl)
    find_package(xtl QUIET)
  endif()
  if(NOT TARGET xtensor)
    find_package(xtensor QUIET)
  endif()
  set(links xtensor xtl PARENT_SCOPE)
endfunction()

function(qtk_parts_of_openmp)
  if(NOT TARGET OpenMP::OpenMP_CXX)
    find_package(OpenMP QUIET COMPONENTS CXX)
  endif()
  set(links OpenMP::OpenMP_CXX PARENT_SCOPE)
endfunction()

function(qtk_parts_of_models)
  qtk_parts_of_xtensor()
  if(NOT TARGET nlohmann_json::nlohmann_json)
    find_package(nlohmann_json QUIET)
  endif()
  list(APPEND links nlohmann_json::nlohmann_json PkgConfig::qtk_pcre2)
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(qtk_pcre2 QUIET IMPORTED_TARGET libpcre2-8)
    pkg_check_modules(qtk_cblas QUIET IMPORTED_TARGET openblas)
    pkg_check_modules(qtk_stb QUIET IMPORTED_TARGET stb)
  endif()
  if(TARGET PkgConfig::qtk_cblas)
    list(APPEND links PkgConfig::qtk_cblas)
    list(APPEND defines QTK_HAS_CBLAS=1)
  endif()
  # Debian's package has a library; where stb is headers alone, its functions would be missing.
  if(TARGET PkgConfig::qtk_stb AND "stb" IN_LIST qtk_stb_LIBRARIES)
    list(APPEND links PkgConfig::qtk_stb)
    list(APPEND defines QTK_HAS_STB=1)
  endif()
  set(links ${links} PARENT_SCOPE)
  set(defines ${defines} PARENT_SCOPE)
endfunction()

function(qtk_parts_of_cuda)
  if(NOT TARGET CUDA::cudart)
    find_package(CUDAToolkit 12 QUIET)
  endif()
  set(links CUDA::cudart PARENT_SCOPE)
endfunction()

function(qtk_parts_of_torch)
  # What LibTorch's package sets (flags, policies) stays in this function; options that its users need come with the target.
  if(NOT TARGET torch)
    find_package(Torch QUIET)
  endif()
  set(links torch PARENT_SCOPE)
endfunction()

# qtk_add_component(<name> [IN_TREE]): creates qtk::<name>, or sets qtk_<name>_MISSING in the
# caller to what was not found.
function(qtk_add_component name)
  if(TARGET qtk::${name})
    return()
  endif()
  set(links "")
  set(defines "")
  cmake_language(CALL qtk_parts_of_${name})
  # What a person installs to get a target.
  set(QTK_PACKAGE_OF_xsimd "xsimd (Debian: libxsimd-dev)")
  set(QTK_PACKAGE_OF_xtensor "xtensor (Debian: libxtensor-dev)")
  set(QTK_PACKAGE_OF_xtl "xtl (Debian: xtl-dev)")
  set(QTK_PACKAGE_OF_OpenMP::OpenMP_CXX
      "OpenMP of this compiler (clang: libomp of the same version, on Debian libomp-NN-dev)")
  set(QTK_PACKAGE_OF_nlohmann_json::nlohmann_json "nlohmann_json (Debian: nlohmann-json3-dev)")
  set(QTK_PACKAGE_OF_PkgConfig::qtk_pcre2
      "PCRE2 with 8-bit characters, found by pkg-config (Debian: libpcre2-dev, pkg-config)")
  set(QTK_PACKAGE_OF_CUDA::cudart "the CUDA toolkit, 12 or later (hint: -DCUDAToolkit_ROOT=FOLDER)")
  set(QTK_PACKAGE_OF_torch "LibTorch (Debian: libtorch-dev)")
  set(missing "")
  foreach(package IN LISTS links)
    if(NOT TARGET ${package})
      list(APPEND missing "${QTK_PACKAGE_OF_${package}}")
    endif()
  endforeach()
  if(missing)
    list(JOIN missing " and " missing)
    set(qtk_${name}_MISSING "${missing}" PARENT_SCOPE)
    return()
  endif()
  if("IN_TREE" IN_LIST ARGN)
    set(target qtk_${name})
    add_library(${target} INTERFACE)
    add_library(qtk::${name} ALIAS ${target})
  else()
    set(target qtk::${name})
    add_library(${target} INTERFACE IMPORTED)
  endif()
  target_link_libraries(${target} INTERFACE qtk::qtk ${links})
  target_compile_definitions(${target} INTERFACE ${defines})
endfunction()
