/* server/info.h - the text of INFO, built for all connections of all shards together. Who asks now and then has it built and sees
 * the present; where many ask it is built once a second, and none is older than that. Counted references; one text is immutable. */
#ifndef SF_SERVER_INFO_H
#define SF_SERVER_INFO_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct sf_shard;
struct sf_server;

struct sf_info {
    atomic_uint references;
    size_t size;
    uint32_t max_batch;            /* the value of its member, which stands at these bytes; */
    size_t number_at, number_size; /* size 0: there is none */
    char text[];
};

/* Builds the first text, before the shards run. Returns 0 or -ENOMEM. */
int sf_info_start(struct sf_server *server);
/* The text as it was a second ago or later, and after the last sf_info_renew (older only while memory is out), borrowed until the next call for this shard. The shard's
 * thread. */
const struct sf_info *sf_info_get(struct sf_shard *shard);
/* Writes the text with a smaller max_batch; `to` has SF_INFO_MAX bytes. Returns the size. */
size_t sf_info_lower(const struct sf_info *info, uint32_t max_batch, char *to);
/* From now on no text is given that was begun before. Any thread. */
void sf_info_renew(struct sf_server *server);
/* Gives a reference back; NULL is fine. Any thread. */
void sf_info_unref(struct sf_info *info);

#endif
