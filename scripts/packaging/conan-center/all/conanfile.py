# SPDX-License-Identifier: Apache-2.0
"""The recipe as Conan Center wants it: a released tarball, no version ranges, no CMake files in the package.

Beside it belongs conandata.yml with the address and the SHA-256 of the tarball; scripts/packaging/release.sh writes it.
For a checkout there is conanfile.py at the top of the repository.
"""
import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, get
from conan.tools.layout import basic_layout

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
    no_copy_source = True

    def layout(self):
        basic_layout(self, src_folder="src")

    def requirements(self):
        # xtensor first: its recipe pins xsimd, at this version.
        if self.options.with_xtensor:
            self.requires("xtensor/0.27.1", options={"xsimd": bool(self.options.with_xsimd)})
        if self.options.with_xsimd:
            self.requires("xsimd/13.2.0")

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def build(self):
        pass

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        for folder in ("include", os.path.join("cuda", "include")):
            copy(self, "*.hpp", os.path.join(self.source_folder, folder), os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "qtk")
        self.cpp_info.set_property("pkg_config_name", "qtk")
        headers = self.cpp_info.components["headers"]
        headers.bindirs = []
        headers.libdirs = []
        headers.set_property("cmake_target_name", "qtk::qtk")
        if self.options.with_xsimd:
            self._component("simd", ["xsimd::xsimd"]).defines = ["QTK_HAS_XSIMD=1"]
        else:
            headers.defines = ["QTK_NO_XSIMD=1"]
        if self.options.with_xtensor:
            self._component("xtensor", ["xtensor::xtensor"])

    def _component(self, name, requires):
        component = self.cpp_info.components[name]
        component.bindirs = []
        component.libdirs = []
        component.requires = ["headers", *requires]
        component.set_property("cmake_target_name", f"qtk::{name}")
        return component
