/* coord/zookeeper/confirm.c - see confirm.h. */
#include "coord/zookeeper/confirm.h"

#include "coord/zookeeper/link.h"

static void asked(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, "asking a quorum");
}

int sf_zk_ask_quorum(struct sf_zk *z, struct sf_zk_job *job, size_t index, sf_zk_done *done)
{
    job->confirmed = true;
    job->losses = z->link->losses;
    struct sf_zk_multi *multi = sf_zk_multi_create(1);
    sf_zk_multi_check_exists(multi, SF_ZK_ROOT, z->options.root);
    return sf_zk_multi_ask(z, job, index, multi, done);
}

int sf_zk_confirm(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    return sf_zk_ask_quorum(z, job, index, asked);
}

/* The loss of a connection is told in order with the answers that came before and after it. A link
 * that was dropped has finished its jobs. */
bool sf_zk_is_confirmed(const struct sf_zk *z, const struct sf_zk_job *job)
{
    return !job->confirmed || (z->link != NULL && z->link->losses == job->losses);
}

bool sf_zk_ensure_confirmed(struct sf_zk *z, struct sf_zk_job *job)
{
    const bool confirmed = sf_zk_is_confirmed(z, job);
    if (!confirmed)
        sf_zk_finish_unanswered(z, job, SF_COORD_UNREACHABLE,
                                "the connection was lost between two answers");
    return confirmed;
}

void sf_zk_finish_confirmed(struct sf_zk *z, struct sf_zk_job *job)
{
    if (sf_zk_ensure_confirmed(z, job))
        sf_zk_finish_done(z, job);
}
