// SPDX-License-Identifier: Apache-2.0
//
// Any text: a refusal, or a trace whose meter never falls while the recorded program goes on.
#include <qtk/energy/trace_meter.hpp>

#include "fuzz_target.hpp"

QTK_FUZZ_TARGET(trace) {
    try {
        qtk::trace_meter meter(qtk::parse_trace(fuzz::text_of(data, size), "fuzz"));
        if (!meter.is_present()) return 0;
        double const whole = meter.duration();
        double last = meter.read().count();
        fuzz::require(last == 0.0);
        for (double const part : {0.25, 0.0, 0.5}) {
            meter.advance(part * whole);
            double const now = meter.read().count();
            fuzz::require(now >= last);
            last = now;
        }
    } catch (qtk::error const&) {
    }
    return 0;
}
