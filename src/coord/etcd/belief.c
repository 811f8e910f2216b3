/* coord/etcd/belief.c - see belief.h. */
#include "coord/etcd/belief.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Nothing but lower terms, or another cluster, for so long: the cluster itself went back. */
#define BACK_MS 3000

/* What is heard differs from what was known. A member behind a partition, or one of another cluster,
 * may answer so for a while; when nothing else has been heard for longer, it is the cluster itself that
 * was restored or made anew. That proves nothing: its answers are believed then, so that the worker
 * finds out by their content what is missing. */
static bool is_settled(struct sf_etcd *etcd)
{
    struct sf_etcd_belief *belief = etcd->belief;
    const int64_t now_ns = sf_etcd_now_ns(etcd);
    if (belief->back_since_ns == 0)
        belief->back_since_ns = now_ns;
    return now_ns - belief->back_since_ns >= BACK_MS * SF_NS_PER_MS;
}

static void take_over(struct sf_etcd *etcd, const struct sf_etcd_header *header)
{
    struct sf_etcd_belief *belief = etcd->belief;
    sf_log_limited(etcd->log, &belief->limit_stale, SF_ETCD_LOG_EVERY_MS, SF_LOG_ERROR,
                   "coordinator.went_back",
                   "cluster %" PRIx64 ", raft term %" PRIu64 " after cluster %" PRIx64
                   ", term %" PRIu64
                   " everywhere: the cluster was made anew or restored; if it lost data, run "
                   "`snowfleet init --after-data-loss`",
                   header->cluster_id, header->raft_term, belief->cluster_id, belief->raft_term);
    belief->cluster_id = header->cluster_id;
    belief->raft_term = header->raft_term;
    belief->revision = header->revision;
    belief->back_since_ns = 0;
    belief->went_back = true;
}

bool sf_etcd_believes(struct sf_etcd *etcd, const struct sf_etcd_header *header,
                      char text[SF_COORD_TEXT_MAX])
{
    struct sf_etcd_belief *belief = etcd->belief;
    if (header->cluster_id == 0)
        return true; /* login in some versions: no header */
    if (belief->cluster_id == 0)
        belief->cluster_id = header->cluster_id;
    const bool other = header->cluster_id != belief->cluster_id;
    if ((other || header->raft_term < belief->raft_term) && is_settled(etcd))
        take_over(etcd, header);
    else if (other) {
        snprintf(text, SF_COORD_TEXT_MAX,
                 "belongs to another cluster (id %" PRIx64 ", ours is %" PRIx64 ")",
                 header->cluster_id, belief->cluster_id);
        return false;
    } else if (header->raft_term < belief->raft_term) {
        snprintf(text, SF_COORD_TEXT_MAX,
                 "lags behind the cluster (raft term %" PRIu64 ", known is %" PRIu64 ")",
                 header->raft_term, belief->raft_term);
        return false;
    }
    belief->back_since_ns = 0;
    belief->raft_term = header->raft_term;
    if (header->revision > belief->revision)
        belief->revision = header->revision;
    return true;
}

void sf_etcd_suspect(struct sf_etcd *etcd, unsigned endpoint)
{
    struct sf_etcd_belief *belief = etcd->belief;
    if (belief->current == endpoint)
        belief->current = (endpoint + 1) % etcd->options.endpoint_count;
    if (belief->current != endpoint)
        belief->suspicions[endpoint]++;
    belief->doubt = true;
}

void sf_etcd_relogin(struct sf_etcd *etcd, uint64_t serial)
{
    struct sf_etcd_belief *belief = etcd->belief;
    if (etcd->options.username != NULL && belief->token_serial == serial)
        belief->relogin = true;
}

void sf_etcd_set_token(struct sf_etcd *etcd, const char *token)
{
    struct sf_etcd_belief *belief = etcd->belief;
    if (belief->token != NULL)
        explicit_bzero(belief->token, strlen(belief->token));
    free(belief->token);
    belief->token = NULL;
    if (token != NULL) {
        belief->token = strdup(token);
        SF_ASSERT(belief->token != NULL);
    }
    belief->token_serial++;
    belief->relogin = false;
}
