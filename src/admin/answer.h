/* admin/answer.h - what the admin port answers to one request; the sockets are admin.c's.
 *
 * Threads: called on any of the HTTP threads, for different requests at the same time. Source of
 * the rules: docs/http.md. */
#ifndef SF_ADMIN_ANSWER_H
#define SF_ADMIN_ANSWER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <microhttpd.h>

#include "admin/admin.h"
#include "base/tokens.h"

#define SF_ADMIN_BODY_MAX   4096
#define SF_ADMIN_PAGE_MAX   (8u << 20)  /* one answer */
#define SF_ADMIN_UNSENT_MAX (32u << 20) /* all answers not yet sent */

/* What answering needs of the daemon. */
struct sf_admin_pages {
    struct sf_admin_host host;
    struct sf_metrics *metrics;
    pthread_mutex_t tokens_lock; /* guards the pointer: the set is read again under open connections */
    struct sf_tokens *tokens; /* NULL: nobody needs one */
    char *hosts;              /* hosts.h */
    bool loopback;            /* only this machine can connect */
    bool tls;
    _Atomic size_t unsent;    /* bytes of answers that MHD still holds */
    struct sf_admin_asks *asks;
};

/* One request: made before its headers are read, freed when it is over. */
struct sf_admin_request {
    size_t body_length;
    bool seen;                /* the first call of the handler came by */
    bool stranger;            /* it comes under a name that is not ours */
    bool answering;           /* it was read whole */
    struct sf_admin_ask *ask; /* for IDs, once it was begun */
    char target[];            /* as it was sent */
};

/* Queues the answer to a complete request. Returns MHD_NO when the connection has to be closed
 * without one. */
enum MHD_Result sf_admin_answer(struct sf_admin_pages *pages, struct MHD_Connection *connection,
                                struct sf_admin_request *request, const char *path,
                                const char *method);
/* Queues the answer to what is no good request (status 400 or more): the sentence, and the end of the connection, since what comes behind it may
 * be read in two ways. */
enum MHD_Result sf_admin_answer_bad(struct MHD_Connection *connection, unsigned status, const char *why);

/* Queues a plain-text answer. */
enum MHD_Result sf_admin_answer_text(struct MHD_Connection *connection, unsigned status,
                                     const char *text);

#endif
