# SPDX-License-Identifier: Apache-2.0
"""Debian's xtensor as a Conan package that holds nothing: a profile's [replace_requires] leads here."""
from conan import ConanFile
from conan.tools.system import package_manager

required_conan_version = ">=2.10.1"


class SystemXtensor(ConanFile):
    name = "xtensor"
    version = "0.24.3"
    user = "system"
    license = "BSD-3-Clause"
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    # Those of Conan Center's recipe: whoever requires xtensor may set them.
    options = {"xsimd": [True, False], "tbb": [True, False], "openmp": [True, False]}
    default_options = {"xsimd": True, "tbb": False, "openmp": False}

    def package_id(self):
        self.info.clear()

    def system_requirements(self):
        package_manager.Apt(self).check(["libxtensor-dev"])

    def package_info(self):
        # Never the system's folder of headers: as -isystem it would come before the compiler's own.
        self.cpp_info.includedirs = []
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "xtensor")
        self.cpp_info.set_property("cmake_target_name", "xtensor")
        self.cpp_info.set_property("cmake_target_aliases", ["xtl"])
        self.cpp_info.set_property("pkg_config_name", "xtensor")
