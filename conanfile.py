# SPDX-License-Identifier: Apache-2.0
"""The Conan recipe of qtk.

The package is the same for every setting and option: all headers and qtk's own CMake files. Options only decide which
packages come along; a consumer asks for the parts by component: find_package(qtk COMPONENTS simd xtensor).
The tests of the toolkit are not run here: scripts/test.sh runs them, this recipe among them.
"""
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load

required_conan_version = ">=2.2.0"


class QtkConan(ConanFile):
    name = "qtk"
    description = "Quantization toolkit for neural networks, header-only C++20"
    license = "Apache-2.0"
    topics = ("quantization", "neural-networks", "int4", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"with_xtensor": [True, False], "with_xsimd": [True, False]}
    default_options = {"with_xtensor": True, "with_xsimd": True}
    exports_sources = "CMakeLists.txt", "cmake/*", "include/*", "cuda/*", "LICENSE"
    no_copy_source = True
    test_package_folder = "tests/consumer/conan"

    def set_version(self):
        text = load(self, os.path.join(self.recipe_folder, "include/qtk/version.hpp"))
        self.version = re.search(r'#define QTK_VERSION_STRING "(.*)"', text).group(1)

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        # xtensor first: its recipe pins xsimd, and the range below has to give way.
        if self.options.with_xtensor:
            self.requires("xtensor/[>=0.24.3 <0.28]", options={"xsimd": bool(self.options.with_xsimd)})
        if self.options.with_xsimd:
            self.requires("xsimd/[>=8.1 <15]")

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.user_presets_path = False  # nothing is written into the source tree
        toolchain.cache_variables["QTK_DEVELOPER_MODE"] = False
        toolchain.cache_variables["QTK_INSTALL"] = True
        toolchain.generate()

    def build(self):
        CMake(self).configure()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_id(self):
        self.info.clear()

    def package_info(self):
        # qtk's own config file finds its dependencies, Conan's and the system's alike.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["share/cmake/qtk"]
        self.cpp_info.set_property("pkg_config_name", "qtk")
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
