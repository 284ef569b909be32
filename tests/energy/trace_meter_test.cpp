// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/trace_meter.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

using qtk::joules;

TEST_CASE("a trace without points is no meter and says so") {
    qtk::trace_meter meter({}, "empty.csv");
    CHECK_FALSE(meter.is_present());
    CHECK(meter.description() == "no trace meter: empty.csv has no points");
    CHECK_THROWS_AS((void)meter.read(), qtk::value_error);
    CHECK_FALSE(qtk::measured_energy(meter, [] {}).has_value());
}

TEST_CASE("a trace is read where its time stands, straight between points") {
    qtk::trace_meter meter({{10, 100}, {12, 104}, {13, 110}});
    CHECK(meter.read() == joules(0));
    meter.advance(1.0);
    CHECK(meter.read() == joules(2));
    CHECK(meter.read() == joules(2));
    meter.advance(1.0);
    CHECK(meter.read() == joules(4));
    meter.advance(0.5);
    CHECK(meter.read() == joules(7));
    meter.advance(0.5);
    CHECK(meter.read() == joules(10));
    CHECK(meter.elapsed() == meter.duration());
    CHECK_THROWS_WITH_AS(meter.advance(0.1), doctest::Contains("the trace has 3"),
                         qtk::value_error);
    CHECK_THROWS_AS(meter.advance(-0.1), qtk::value_error);
}

TEST_CASE("one point is a meter that has seen nothing") {
    qtk::trace_meter meter({{5, 5}});
    CHECK(meter.is_present());
    CHECK(meter.read() == joules(0));
}

TEST_CASE("prefill and decode are measured apart: two readings each") {
    // 2 s of prefill at 60 W, 4 s of decode at 25 W.
    qtk::trace_meter meter(qtk::parse_trace("seconds,joules\n0,1000\n2,1120\n6,1220\n", "run.csv"),
                           "run.csv");
    auto const prefill = qtk::measured_energy(meter, [&] { meter.advance(2.0); });
    auto const decode = qtk::measured_energy(meter, [&] { meter.advance(4.0); });
    REQUIRE(prefill.has_value());
    REQUIRE(decode.has_value());
    CHECK(*prefill == joules(120));
    CHECK(*decode == joules(100));
    CHECK(*prefill + *decode == meter.read());
}

TEST_CASE("points that no counter gives are refused with their index") {
    double const inf = std::numeric_limits<double>::infinity();
    std::vector<qtk::trace_point> const faults[] = {
        {{0, 0}, {0, 1}}, {{0, 0}, {1, -1}}, {{0, 0}, {inf, 1}}, {{0, 0}, {1, inf - inf}}};
    for (auto const& points : faults)
        CHECK_THROWS_WITH_AS(qtk::trace_meter meter(points), doctest::Contains("point 1"),
                             qtk::value_error);
}

TEST_CASE("a file that is no trace is refused with its line") {
    CHECK(qtk::parse_trace("", "t.csv").empty());
    CHECK(qtk::parse_trace("seconds,joules\r\n1e-3,2.5\r\n", "t.csv") ==
          std::vector<qtk::trace_point>{{0.001, 2.5}});
    std::pair<char const*, char const*> const faults[] = {
        {"time,energy\n", "t.csv: line 1: expected the header seconds,joules"},
        {"seconds,joules\n1,2\n3;4\n", "line 3: expected two numbers with a comma, found \"3;4\""},
        {"seconds,joules\n1,2,3\n", "line 2"},
        {"seconds,joules\n\n", "line 2"},
        {"seconds,joules\n1,\n", "line 2"},
        {"seconds,joules\n 1,2\n", "line 2"}};
    for (auto const& [text, what] : faults)
        CHECK_THROWS_WITH_AS((void)qtk::parse_trace(text, "t.csv"), doctest::Contains(what),
                             qtk::io_error);
}
