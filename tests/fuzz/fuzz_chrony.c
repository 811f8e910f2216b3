/* chronyd's replies, all three kinds, and what is made of a TRACKING reply. */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "clock/chrony_reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sf_chrony_tracking tracking;
    struct sf_chrony_source source;
    uint32_t count = 0;
    uint16_t status = 0;
    const uint32_t sequence = size >= 20 ? sf_load_be32(data + 16) : 0;
    if (sf_chrony_get_tracking(data, size, sequence, &tracking, &status) == SF_CHRONY_OK) {
        static struct sf_chrony_reference reference;
        const struct sf_clock_now now = {INT64_C(1795212995000000000), INT64_C(5000000000)};
        SF_ASSERT(size >= 104 && tracking.root_dispersion_ns >= 0 && tracking.root_delay_ns >= 0);
        const struct sf_reading reading =
            sf_chrony_interpret(&reference, &tracking, 4 * SF_NS_PER_S, now, now.mono_ns - 1000);
        SF_ASSERT(!reading.has_time || reading.error_ns >= 0);
        SF_ASSERT(strlen(reading.text) < sizeof reading.text);
    }
    if (sf_chrony_get_source(data, size, sequence, &source, &status) == SF_CHRONY_OK)
        SF_ASSERT(strlen(source.address) < sizeof source.address && source.error_ns >= 0);
    if (sf_chrony_get_n_sources(data, size, sequence, &count, NULL) == SF_CHRONY_OK)
        SF_ASSERT(size >= 32);
    return 0;
}
