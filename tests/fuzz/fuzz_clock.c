/* Packets that claim to come from an NTP server or from chronyd. The first byte chooses which
 * answer is expected. */
#include "fuzz.h"

#include "clock/chrony_packet.h"
#include "clock/ntp_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t kind = data[0];
    uint8_t *packet = fuzz_exact(data + 1, size - 1);
    size--;
    /* chronyd echoes the sequence number at offset 16, NTP servers the cookie at offset 24: let
     * both match. */
    uint32_t sequence = 0;
    struct sf_ntp_request request = {0};
    if (size >= 20)
        sequence = (uint32_t)packet[16] << 24 | (uint32_t)packet[17] << 16 |
                   (uint32_t)packet[18] << 8 | packet[19];
    if (size >= 32)
        for (int i = 0; i < 8; i++)
            request.cookie = request.cookie << 8 | packet[24 + i];
    struct sf_chrony_tracking tracking;
    struct sf_chrony_source source;
    struct sf_ntp_reply reply;
    uint32_t sources = 0;
    uint16_t status = 0;
    switch (kind % 4) {
    case 0:
        if (sf_chrony_get_tracking(packet, size, sequence, &tracking, &status) == SF_CHRONY_OK)
            MUST(memchr(tracking.address, '\0', sizeof tracking.address));
        break;
    case 1:
        if (sf_chrony_get_source(packet, size, sequence, &source, &status) == SF_CHRONY_OK)
            MUST(memchr(source.address, '\0', sizeof source.address));
        break;
    case 2:
        (void)sf_chrony_get_n_sources(packet, size, sequence, &sources, &status);
        break;
    default:
        (void)sf_ntp_get_reply(packet, size, &request, 1000000000, INT64_C(1795176000000000000),
                               &reply);
        break;
    }
    free(packet);
    return 0;
}
