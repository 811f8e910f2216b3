/* NTP replies: anything may come from the network. The cookie is put in place, so that the fuzzer
 * gets behind that check. */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "clock/ntp_filter.h"
#include "clock/ntp_packet.h"
#include "clock/reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sf_ntp_filter filter;
    struct sf_ntp_request request = {.cookie = 1, .sent_mono_ns = INT64_C(1000000000)};
    struct sf_ntp_reply reply;
    uint8_t packet[SF_NTP_DATAGRAM_MAX];
    const size_t length = size < sizeof packet ? size : sizeof packet;
    if (length > 0)
        memcpy(packet, data, length);
    if (length > 32 && (data[0] & 0x80) == 0)
        request.cookie = sf_load_be64(packet + 24);
    const int64_t received_ns = request.sent_mono_ns + 20000000;
    const enum sf_ntp_verdict verdict = sf_ntp_get_reply(packet, length, &request, received_ns,
                                                         INT64_C(1795212995000000000), &reply);
    if (verdict == SF_NTP_OK) {
        const struct sf_ntp_sample sample = {
            .base_ns = reply.base_ns, .error_ns = reply.error_ns, .as_of_mono_ns = received_ns};
        SF_ASSERT(length >= SF_NTP_PACKET_SIZE && reply.delay_ns >= 0);
        SF_ASSERT(reply.error_ns >= reply.delay_ns / 2 && reply.error_ns <= SF_NTP_DISTANCE_MAX_NS);
        SF_ASSERT(reply.stratum >= 1 && reply.stratum <= 15 && reply.leap != 3);
        sf_ntp_filter_add(&filter, &sample);
        SF_ASSERT(sf_ntp_filter_best(&filter, received_ns));
    }
    return 0;
}
