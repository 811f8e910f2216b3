/* What the kernel might answer, and what the policy makes of readings: no arithmetic overflows, no
 * state it cannot be in. */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "clock/kernel.h"
#include "clock/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    int8_t result;
    uint8_t unsynchronised, kind, jump;
    int32_t maxerror_us, offset_us, time_ms;
    int64_t wall_ns;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sf_policy_options options = {
        .warn_ns = 100 * SF_NS_PER_MS, .max_ns = SF_NS_PER_S, .start_grace_ns = SF_NS_PER_S};
    const int64_t start_ns = INT64_C(1795212995000000000);
    struct sf_kernel kernel = {0};
    struct sf_policy policy;
    struct sf_policy_output out;
    struct input in;
    int64_t mono_ns = SF_NS_PER_S;
    sf_policy_init(&policy, &options, mono_ns);
    for (; size >= sizeof in; data += sizeof in, size -= sizeof in) {
        struct sf_reading readings[2];
        memcpy(&in, data, sizeof in);
        mono_ns += (int64_t)in.jump * SF_NS_PER_S / 8;
        const int64_t real_ns = start_ns + mono_ns + in.wall_ns % (4000 * SF_NS_PER_S);
        const struct sf_kernel_sample sample = {.result = in.result,
                                                .unsynchronised = in.unsynchronised & 1,
                                                .maxerror_us = in.maxerror_us,
                                                .offset_ns = in.offset_us * INT64_C(1000),
                                                .time_ns = real_ns + in.time_ms * SF_NS_PER_MS,
                                                .before_real_ns = real_ns,
                                                .after_real_ns = real_ns,
                                                .mono_ns = mono_ns};
        sf_kernel_interpret(&kernel, &sample, &readings[0]);
        readings[1] = readings[0];
        readings[1].kind = SF_CLOCK_NTP;
        readings[1].status = (enum sf_reading_status)(in.kind % 5);
        readings[1].base_ns = in.wall_ns; /* any number at all */
        const struct sf_policy_input look = {.real_ns = real_ns,
                                             .mono_ns = mono_ns,
                                             .readings = readings,
                                             .reading_count = 1 + (in.unsynchronised >> 1 & 1),
                                             .minted_ns = INT64_MIN};
        sf_policy_evaluate(&policy, &look, &out);
        SF_ASSERT(out.verdict.state < SF_CLOCK_STATES);
        SF_ASSERT(strlen(out.verdict.text) < sizeof out.verdict.text);
        SF_ASSERT(!out.verdict.may_mint || policy.has_mint);
        SF_ASSERT(!out.verdict.trusted ||
                  out.verdict.trusted_low_ns <= out.verdict.trusted_high_ns);
    }
    return 0;
}
