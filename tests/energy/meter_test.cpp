// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/meter.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace fs = std::filesystem;

namespace {

/// A powercap folder of our own, removed at the end of the test.
class powercap {
  public:
    powercap() {
        std::string pattern = (fs::temp_directory_path() / "qtk-powercap-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        root_ = pattern;
    }
    powercap(powercap const&) = delete;
    powercap& operator=(powercap const&) = delete;
    ~powercap() { fs::remove_all(root_); }

    [[nodiscard]] fs::path const& root() const { return root_; }

    void zone(std::string const& folder, std::string_view name, std::string_view energy,
              std::string_view range = "262143328850") const {
        fs::create_directories(root_ / folder);
        write(folder + "/name", name);
        write(folder + "/max_energy_range_uj", range);
        write(folder + "/energy_uj", energy);
    }
    void write(std::string const& file, std::string_view text) const {
        std::ofstream(root_ / file) << text << '\n';
    }

  private:
    fs::path root_;
};

}  // namespace

TEST_CASE("a machine without powercap has no meter and says so") {
    qtk::rapl_meter meter("/nonexistent/powercap");
    CHECK_FALSE(meter.is_present());
    CHECK(meter.description().starts_with("no RAPL meter: /nonexistent/powercap: "));
    CHECK_THROWS_WITH_AS((void)meter.read(), doctest::Contains("no RAPL meter"), qtk::value_error);
    bool has_run = false;
    CHECK_FALSE(qtk::measured_energy(meter, [&] { has_run = true; }).has_value());
    CHECK(has_run);
}

TEST_CASE("a powercap without packages has no meter") {
    powercap const machine;
    machine.zone("dtpm:0", "dtpm", "5");
    qtk::rapl_meter const meter(machine.root());
    CHECK_FALSE(meter.is_present());
    CHECK(meter.description().ends_with("has no processor package"));
}

TEST_CASE("a package is read in microjoules since the meter was opened") {
    powercap const machine;
    machine.zone("intel-rapl:0", "package-0", "1000000");
    qtk::rapl_meter meter(machine.root());
    REQUIRE(meter.is_present());
    CHECK(meter.description() == "RAPL, not the whole machine: package-0");
    CHECK(meter.read() == qtk::joules{});
    machine.write("intel-rapl:0/energy_uj", "3500000");
    CHECK(meter.read() == qtk::joules(2.5));
    CHECK(meter.read() == qtk::joules(2.5));
}

TEST_CASE("a counter that wraps goes on") {
    powercap const machine;
    machine.zone("intel-rapl:0", "package-0", "900", "1000");
    qtk::rapl_meter meter(machine.root());
    machine.write("intel-rapl:0/energy_uj", "50");
    CHECK(meter.read() == qtk::microjoules(150));
    machine.write("intel-rapl:0/energy_uj", "40");
    CHECK(meter.read() == qtk::microjoules(1140));
}

TEST_CASE("packages and DRAM add up; parts and wholes of them are not counted twice") {
    powercap const machine;
    machine.zone("intel-rapl", "control type", "0");
    machine.zone("intel-rapl:0", "package-0", "0");
    machine.zone("intel-rapl:0:0", "core", "0");
    machine.zone("intel-rapl:0:1", "dram", "0");
    machine.zone("intel-rapl:1", "package-1", "0");
    machine.zone("intel-rapl:2", "psys", "0");
    machine.zone("intel-rapl-mmio:0", "package-0", "0");
    qtk::rapl_meter meter(machine.root());
    CHECK(meter.description() ==
          "RAPL, not the whole machine: package-0, dram of package-0, package-1");
    machine.write("intel-rapl:0/energy_uj", "1");
    machine.write("intel-rapl:0:0/energy_uj", "10");
    machine.write("intel-rapl:0:1/energy_uj", "100");
    machine.write("intel-rapl:1/energy_uj", "1000");
    machine.write("intel-rapl:2/energy_uj", "10000");
    machine.write("intel-rapl-mmio:0/energy_uj", "100000");
    CHECK(meter.read().count() == doctest::Approx(1101e-6).epsilon(1e-15));
}

TEST_CASE("one unreadable package is no meter at all") {
    powercap const machine;
    machine.zone("intel-rapl:0", "package-0", "5");
    machine.zone("intel-rapl:1", "package-1", "5");
    // A folder opens but cannot be read, for root too.
    fs::remove(machine.root() / "intel-rapl:1/energy_uj");
    fs::create_directory(machine.root() / "intel-rapl:1/energy_uj");
    qtk::rapl_meter const meter(machine.root());
    CHECK_FALSE(meter.is_present());
    CHECK(meter.description().find("intel-rapl:1/energy_uj") != std::string::npos);
    CHECK(meter.description().find("takes root") != std::string::npos);
}

TEST_CASE("a counter without a number is no meter") {
    for (auto const text : {"", "-5", "5 uJ", "99999999999999999999999999"}) {
        CAPTURE(text);
        powercap const machine;
        machine.zone("intel-rapl:0", "package-0", text);
        qtk::rapl_meter const meter(machine.root());
        CHECK_FALSE(meter.is_present());
        CHECK(meter.description().find("expected a count of microjoules") != std::string::npos);
    }
}

TEST_CASE("a counter beyond its range is no meter") {
    powercap const machine;
    machine.zone("intel-rapl:0", "package-0", "1001", "1000");
    CHECK_FALSE(qtk::rapl_meter(machine.root()).is_present());
}

TEST_CASE("a counter that vanishes or runs out of its range is an error, not a zero") {
    powercap const machine;
    machine.zone("intel-rapl:0", "package-0", "5", "1000");
    qtk::rapl_meter meter(machine.root());
    machine.write("intel-rapl:0/energy_uj", "1001");
    CHECK_THROWS_AS((void)meter.read(), qtk::io_error);
    fs::remove(machine.root() / "intel-rapl:0/energy_uj");
    try {
        (void)meter.read();
        FAIL("a missing counter was read");
    } catch (qtk::system_error const& gone) {
        CHECK(gone.code == ENOENT);
    }
}

TEST_CASE("the energy of a piece of work is the difference of two reads") {
    powercap const machine;
    machine.zone("intel-rapl:0", "package-0", "100");
    qtk::rapl_meter meter(machine.root());
    machine.write("intel-rapl:0/energy_uj", "200");
    auto const used =
        qtk::measured_energy(meter, [&] { machine.write("intel-rapl:0/energy_uj", "500000200"); });
    REQUIRE(used.has_value());
    CHECK(used->count() == doctest::Approx(500.0).epsilon(1e-15));
}

TEST_CASE("this machine's meter measures or gives its reason") {
    qtk::rapl_meter meter;
    CHECK_FALSE(meter.description().empty());
    if (meter.is_present()) CHECK(meter.read() >= qtk::joules{});
}
