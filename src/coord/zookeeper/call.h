/* coord/zookeeper/call.h - requests of the library on one of its handles, and their answers.
 *
 * The callbacks run on the library's completion thread; they only copy and post. Completions are
 * lost when a handle is closed while requests are under way, so every call stays on its link's list
 * from before it is sent until its answer has been taken or the link has been closed. */
#ifndef SF_COORD_ZOOKEEPER_CALL_H
#define SF_COORD_ZOOKEEPER_CALL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/zookeeper/job.h"
#include "coord/zookeeper/library.h"
#include "coord/zookeeper/message.h"
#include "coord/zookeeper/multi.h"

#define SF_ZK_DATACENTERS_MAX 16 /* that one handle watches */
#define SF_ZK_FLEET_WATCHES   3  /* config, names of makings, state */
#define SF_ZK_WATCHES_MAX     (SF_ZK_FLEET_WATCHES + SF_ZK_DATACENTERS_MAX)

struct sf_zk_call;
typedef void sf_zk_done(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call);

struct sf_zk_call {
    struct sf_zk_message head;
    struct sf_zk_call *next, *prev; /* in link->calls */
    struct sf_zk_link *link;
    bool posted;           /* under link->lock */
    struct sf_zk_job *job; /* NULL: nobody waits any more */
    sf_zk_done *done;
    size_t index;
    int64_t sent_ns;
    struct sf_zk_multi *multi;
    /* The answer. */
    int rc;
    bool has_stat;
    struct Stat stat;
    char *data; /* NUL-terminated behind size bytes; NULL: none */
    size_t size;
    char **names;
    size_t name_count;
};

/* One library handle (link.h opens and closes it). Two own it once it is closing: the backend
 * thread (until it lets go) and the thread that closes it. */
struct sf_zk_link {
    uint64_t number; /* to tell late messages apart */
    zhandle_t *handle;
    struct sf_zk_call *calls; /* newest first */
    struct sf_zk_call *oldest;
    struct sf_zk_watch {
        struct sf_zk_link *link;
        int number;
    } watches[SF_ZK_WATCHES_MAX];
    pthread_mutex_t lock; /* guards inbox, posted of the calls, closed, owners */
    pthread_cond_t closed_changed;
    struct sf_inbox *inbox; /* NULL: callbacks no longer post */
    bool closed;
    int owners;
    bool connected;
    uint64_t losses; /* how often the connection was lost; the session may have survived */
    bool had_session;
    int64_t since_ns; /* of the last change of connected */
};

/* Each makes a call on z->link, which must be there. `watch`: told when what was read changes
 * (NULL: none). Returns 0 or the library's code: then nothing has been sent. */
int sf_zk_get(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
              sf_zk_done *done);
int sf_zk_exists(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                 struct sf_zk_watch *watch, sf_zk_done *done);
int sf_zk_children(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                   struct sf_zk_watch *watch, sf_zk_done *done);
int sf_zk_create(struct sf_zk *z, struct sf_zk_job *job, size_t index, const char *path,
                 const char *content, const struct ACL_vector *acl, int mode, sf_zk_done *done);
/* Of any version: for a claim, whose name is used once (it carries a fresh GUID). */
int sf_zk_delete(struct sf_zk *z, struct sf_zk_job *job, const char *path, sf_zk_done *done);
/* Takes the multi over, also on failure. */
int sf_zk_multi_send(struct sf_zk *z, struct sf_zk_job *job, size_t index,
                     struct sf_zk_multi *multi, sf_zk_done *done);
/* A multi that only checks: it goes through the quorum like a write, but writes nothing. */
int sf_zk_multi_ask(struct sf_zk *z, struct sf_zk_job *job, size_t index, struct sf_zk_multi *multi,
                    sf_zk_done *done);

/* An answer from the inbox: hands it to its job (or, without one, to done) and frees the call. */
void sf_zk_call_answered(struct sf_zk *z, struct sf_zk_call *call);
/* Off the link's list. */
void sf_zk_call_take(struct sf_zk_call *call);
/* One that is on no list. */
void sf_zk_call_free(struct sf_zk_call *call);

/* Frees the jobs that are finished; what they still wait for will be ignored. */
void sf_zk_jobs_reap(struct sf_zk *z);

/* Posts a note to the backend thread. Any thread; after the link is closing it does nothing. */
void sf_zk_link_note(struct sf_zk_link *link, enum sf_zk_message_kind kind, int value);

#endif
