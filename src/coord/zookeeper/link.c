/* coord/zookeeper/link.c - see link.h. */
#include "coord/zookeeper/link.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/random.h"

#define CONNECT_MS     1500
#define GREET_LEAST_MS 1000
#define READ_SIZE      65536
#define SECURED_SIZE   16384 /* a piece of what TLS is to read; what is left stays in the socket */
#define LOGIN_AGAIN_MS 1000 /* between looks whether the password has changed, once it is refused */
#define LARGE_REQUEST  1024 /* bytes: what a small jute.maxbuffer may refuse */

/* The connection's end. */

static void enter(struct sf_zk_link *link, enum sf_zk_stage stage, int64_t now_ns)
{
    link->stage = stage;
    link->stage_ns = now_ns;
    link->heard_ns = now_ns;
}

static void close_connection(struct sf_zk_link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    sf_zk_tls_close(link->tls);
    link->tls = NULL;
    link->in.size = link->out.size = link->waiting.size = link->secured.size = 0;
    link->pings = link->logins = 0;
}

/* After the stage has been set: whoever is told may look. */
static void lose_calls(struct sf_zk *z, struct sf_zk_link *link)
{
    struct sf_zk_call *call = link->oldest;
    link->oldest = link->newest = NULL;
    for (struct sf_zk_call *next; call != NULL; call = next) {
        next = call->next;
        call->rc = link->stage == SF_ZK_EXPIRED ? SF_ZK_SESSION_EXPIRED
                   : link->refusal != 0         ? link->refusal
                                                : SF_ZK_CONNECTION_LOSS;
        link->owner->answered(z, call);
    }
}

static void leave(struct sf_zk *z, struct sf_zk_link *link, enum sf_zk_stage stage)
{
    const int64_t now_ns = sf_zk_now_ns(z);
    const bool was_connected = link->connected;
    close_connection(link);
    enter(link, stage, now_ns);
    if (stage == SF_ZK_PAUSE)
        link->next_ns = link->owner->next_ns(z, was_connected ? now_ns - link->since_ns : 0);
    if (was_connected) {
        link->connected = false;
        link->losses++;
        link->since_ns = now_ns;
        link->owner->broken(z, link->why);
    }
    lose_calls(z, link);
}

/* The next connection may find a server that is better. */
static void fail(struct sf_zk *z, struct sf_zk_link *link, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fail(struct sf_zk *z, struct sf_zk_link *link, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int length = snprintf(link->why, sizeof link->why, "%s: ", link->peer);
    vsnprintf(link->why + length, sizeof link->why - (size_t)length, format, args);
    va_end(args);
    leave(z, link, SF_ZK_PAUSE);
}

static void fail_by_errno(struct sf_zk *z, struct sf_zk_link *link, int code)
{
    char why[96];
    fail(z, link, "%s", sf_errno_text(code, why, sizeof why));
}

static void fail_by_garbage(struct sf_zk *z, struct sf_zk_link *link, const char *what)
{
    sf_log_limited(z->log, &z->protocol_limiter, 10000, SF_LOG_ERROR, "coordinator.protocol",
                   "%s sent what is not ZooKeeper's protocol (%s); the connection is closed",
                   link->peer, what);
    fail(z, link, "not ZooKeeper's protocol: %s", what);
}

static void fail_by_end(struct sf_zk *z, struct sf_zk_link *link)
{
    if (link->stage == SF_ZK_SECURING)
        fail(z, link,
             "closed the connection within TLS's handshake: is that its secure port, and does it "
             "take our certificate (coordinator.tls_cert)?");
    else if (link->stage != SF_ZK_UP)
        fail(z, link,
             "closed the connection unanswered: it does not serve (no quorum?), lags behind, or "
             "takes no more connections from this address (maxClientCnxns)");
    else if (link->oldest != NULL && link->oldest->request_size > LARGE_REQUEST)
        fail(z, link,
             "closed the connection instead of answering a request of %zu bytes (is its "
             "jute.maxbuffer smaller?)",
             link->oldest->request_size);
    else
        fail(z, link, "closed the connection");
}

/* Its beginning. */

static void greet(struct sf_zk *z, struct sf_zk_link *link)
{
    enter(link, SF_ZK_GREETING, sf_zk_now_ns(z));
    const size_t place = sf_zk_frame_begin(&link->out);
    sf_zk_put_int(&link->out, 0); /* of the protocol */
    sf_zk_put_long(&link->out, link->zxid);
    sf_zk_put_int(&link->out, (int32_t)z->options.session_timeout_ms);
    sf_zk_put_long(&link->out, link->session_id);
    sf_zk_put_buffer(&link->out, link->password, sizeof link->password);
    sf_zk_put_bool(&link->out, false); /* read-only servers are of no use */
    sf_zk_frame_end(&link->out, place);
}

/* With TLS the greeting waits until the server has shown who it is. */
static void begin(struct sf_zk *z, struct sf_zk_link *link)
{
    struct sf_error err = {0};
    if (!z->options.tls) {
        greet(z, link);
        return;
    }
    enter(link, SF_ZK_SECURING, sf_zk_now_ns(z));
    link->tls = sf_zk_tls_open(&z->options.tls_files, link->host, &err);
    if (link->tls == NULL || sf_zk_tls_put(link->tls, &link->out, &link->secured, &err) < 0)
        fail(z, link, "%s", err.text);
}

static void connect_next(struct sf_zk *z, struct sf_zk_link *link)
{
    const struct sf_zk_address *address = link->owner->next_address(z);
    enter(link, SF_ZK_CONNECTING, sf_zk_now_ns(z));
    memcpy(link->peer, address->text, sizeof link->peer);
    memcpy(link->host, address->host, sizeof link->host);
    link->fd = socket(address->socket.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        fail_by_errno(z, link, errno);
        return;
    }
    const int on = 1;
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(link->fd, &address->socket.any, address->size) == 0)
        begin(z, link);
    else if (errno != EINPROGRESS)
        fail_by_errno(z, link, errno);
}

static void connected(struct sf_zk *z, struct sf_zk_link *link)
{
    int code = 0;
    socklen_t size = sizeof code;
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
        code = errno;
    if (code != 0)
        fail_by_errno(z, link, code);
    else
        begin(z, link);
}

static void put_login(struct sf_zk *z, struct sf_zk_link *link)
{
    const size_t place = sf_zk_frame_begin(&link->out);
    sf_zk_put_int(&link->out, SF_ZK_XID_LOGIN);
    sf_zk_put_int(&link->out, SF_ZK_LOGIN);
    sf_zk_put_int(&link->out, 0); /* unused */
    sf_zk_put_text(&link->out, "digest");
    sf_zk_put_text(&link->out, z->options.auth);
    sf_zk_frame_end(&link->out, place);
    link->logins++;
}

/* Returns whether the password has changed. */
static bool read_password(struct sf_zk *z, struct sf_zk_link *link)
{
    struct sf_error err = {0};
    bool changed;
    link->password_ns = sf_zk_now_ns(z);
    if (sf_zk_options_login(&z->options, &changed, &err) < 0)
        sf_log_limited(z->log, &z->password_limiter, 10000, SF_LOG_WARN, "coordinator.password",
                       "%s; the one read before is used", err.text);
    return changed;
}

void sf_zk_link_login_again(struct sf_zk *z)
{
    struct sf_zk_link *link = z->link;
    if (link == NULL || link->stage != SF_ZK_UP || z->options.auth == NULL ||
        sf_zk_now_ns(z) - link->password_ns < LOGIN_AGAIN_MS * SF_NS_PER_MS)
        return;
    if (read_password(z, link))
        put_login(z, link);
}

static void be_up(struct sf_zk *z, struct sf_zk_link *link)
{
    const int64_t now_ns = sf_zk_now_ns(z);
    enter(link, SF_ZK_UP, now_ns);
    link->connected = link->had_session = true;
    link->since_ns = link->sent_ns = now_ns;
    link->why[0] = '\0';
    sf_zk_bytes_move(&link->out, &link->waiting);
    link->owner->connected(z);
}

/* Frames. */

static void take_greeting(struct sf_zk *z, struct sf_zk_link *link, struct sf_zk_reader *from)
{
    size_t size = 0;
    const int32_t protocol = sf_zk_take_int(from);
    const int32_t timeout_ms = sf_zk_take_int(from);
    const int64_t session_id = sf_zk_take_long(from);
    const uint8_t *password = sf_zk_take_buffer(from, &size);
    if (from->left > 0) /* servers before 3.4 do not say whether they are read-only */
        (void)sf_zk_take_bool(from);
    if (from->broken || from->left > 0 || protocol != 0 || size != SF_ZK_PASSWORD_SIZE) {
        fail_by_garbage(z, link, "its greeting");
        return;
    }
    const bool over = session_id == 0 || timeout_ms <= 0;
    if (link->session_id != 0 && (over || session_id != link->session_id)) {
        snprintf(link->why, sizeof link->why, "the ZooKeeper session has expired");
        leave(z, link, SF_ZK_EXPIRED);
        return;
    }
    if (over) {
        fail_by_garbage(z, link, "a session that is none");
        return;
    }
    const int64_t asked_ms = z->options.session_timeout_ms;
    link->patience_ns = (timeout_ms < asked_ms ? timeout_ms : asked_ms) * SF_NS_PER_MS;
    link->session_id = session_id;
    memcpy(link->password, password, SF_ZK_PASSWORD_SIZE);
    if (z->options.auth == NULL) {
        be_up(z, link);
        return;
    }
    enter(link, SF_ZK_LOGGING_IN, sf_zk_now_ns(z));
    (void)read_password(z, link);
    put_login(z, link);
}

/* The server ends the connection after that, and would with every other. */
static void be_refused(struct sf_zk *z, struct sf_zk_link *link, int code)
{
    link->refusal = code;
    snprintf(link->why, sizeof link->why, "%s (%d)%.180s", sf_zk_code_text(code), code,
             sf_zk_way_out(z, code));
    leave(z, link, SF_ZK_REFUSED);
}

static void take_login(struct sf_zk *z, struct sf_zk_link *link, int code, bool empty)
{
    if (link->logins == 0 || code > 0 || !empty) {
        fail_by_garbage(z, link, "an answer to no login");
        return;
    }
    link->logins--;
    if (code != SF_ZK_OK)
        be_refused(z, link, code);
    else if (link->stage == SF_ZK_LOGGING_IN)
        be_up(z, link);
}

/* Of a node that nobody watches: nothing. */
static void take_event(struct sf_zk *z, struct sf_zk_link *link, struct sf_zk_reader *from)
{
    const int kind = sf_zk_take_int(from);
    (void)sf_zk_take_int(from); /* the connection's state: that it stands we know */
    char *path = sf_zk_take_text(from);
    if (from->broken || from->left > 0)
        fail_by_garbage(z, link, "a notice that is cut");
    else if (kind > 0)
        link->owner->watched(z, path);
    free(path);
}

static void take_answer(struct sf_zk *z, struct sf_zk_link *link, int32_t xid, int code,
                        struct sf_zk_reader *from)
{
    struct sf_zk_call *call = link->oldest;
    if (link->stage != SF_ZK_UP || call == NULL || call->xid != xid) {
        fail_by_garbage(z, link, "an answer to what was not asked");
        return;
    }
    if (!sf_zk_reply_take(call, code, from)) {
        fail_by_garbage(z, link, "an answer that does not fit the question");
        return;
    }
    link->answered_ns = sf_zk_now_ns(z);
    link->oldest = call->next;
    if (link->oldest == NULL)
        link->newest = NULL;
    link->owner->answered(z, call);
    if (code == SF_ZK_AUTH_FAILED || code == SF_ZK_LOGIN_REQUIRED)
        be_refused(z, link, code);
}

static void take_frame(struct sf_zk *z, struct sf_zk_link *link, struct sf_zk_reader from)
{
    link->heard_ns = sf_zk_now_ns(z);
    if (link->stage == SF_ZK_GREETING) {
        take_greeting(z, link, &from);
        return;
    }
    const int32_t xid = sf_zk_take_int(&from);
    const int64_t zxid = sf_zk_take_long(&from);
    const int code = sf_zk_take_int(&from);
    if (from.broken || zxid < -1) {
        fail_by_garbage(z, link, "a header");
    } else if (xid == SF_ZK_XID_EVENT && link->stage == SF_ZK_UP) {
        take_event(z, link, &from);
    } else if (xid == SF_ZK_XID_PING) {
        if (link->pings == 0 || from.left > 0)
            fail_by_garbage(z, link, "an answer to no ping");
        else
            link->pings--;
    } else if (xid == SF_ZK_XID_LOGIN) {
        take_login(z, link, code, from.left == 0);
    } else {
        if (zxid > link->zxid && code == SF_ZK_OK)
            link->zxid = zxid;
        take_answer(z, link, xid, code, &from);
    }
}

/* All that are whole. Any of them may end the connection, which empties the buffer. */
static void take_frames(struct sf_zk *z, struct sf_zk_link *link)
{
    size_t used = 0;
    while (link->fd >= 0 && link->in.size - used >= sizeof(int32_t)) {
        struct sf_zk_reader from = {link->in.data + used, link->in.size - used, false};
        const int32_t size = sf_zk_take_int(&from);
        if (size <= 0 || size > SF_ZK_FRAME_MAX) {
            fail_by_garbage(z, link, "a length");
            return;
        }
        if (from.left < (size_t)size)
            break;
        from.left = (size_t)size;
        used += sizeof(int32_t) + (size_t)size;
        take_frame(z, link, from);
    }
    if (link->fd >= 0)
        sf_zk_bytes_shift(&link->in, used);
}

/* Bytes. */

/* What TLS makes of what came. Frames before the end of it count. */
static void take_secured(struct sf_zk *z, struct sf_zk_link *link, const uint8_t *bytes,
                         size_t size)
{
    struct sf_error err = {0};
    int rc = sf_zk_tls_take(link->tls, bytes, size, &link->in, &err);
    if (rc == 0) /* the handshake's next step */
        rc = sf_zk_tls_put(link->tls, &link->out, &link->secured, &err);
    if (rc == 0 && link->stage == SF_ZK_SECURING && sf_zk_tls_is_up(link->tls))
        greet(z, link);
    take_frames(z, link);
    if (rc == -ECONNRESET && link->fd >= 0)
        fail_by_end(z, link);
    else if (rc < 0 && link->fd >= 0)
        fail(z, link, "%s", err.text);
}

static void receive(struct sf_zk *z, struct sf_zk_link *link)
{
    uint8_t wire[SECURED_SIZE];
    const bool secured = link->tls != NULL;
    const ssize_t got = recv(link->fd, secured ? wire : sf_zk_bytes_room(&link->in, READ_SIZE),
                             secured ? sizeof wire : READ_SIZE, MSG_DONTWAIT);
    if (got > 0 && secured) {
        take_secured(z, link, wire, (size_t)got);
    } else if (got > 0) {
        link->in.size += (size_t)got;
        take_frames(z, link);
    } else if (got == 0 || errno == ECONNRESET) {
        fail_by_end(z, link);
    } else if (errno != EAGAIN && errno != EINTR) {
        fail_by_errno(z, link, errno);
    }
}

/* 0, or a negative errno code. */
static int send_out(struct sf_zk_link *link)
{
    struct sf_zk_bytes *out = link->tls != NULL ? &link->secured : &link->out;
    struct sf_error err = {0};
    size_t sent = 0;
    int rc = 0;
    if (link->tls != NULL && sf_zk_tls_put(link->tls, &link->out, &link->secured, &err) < 0)
        return -EPROTO;
    while (rc == 0 && sent < out->size) {
        const ssize_t count =
            send(link->fd, out->data + sent, out->size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0)
            sent += (size_t)count;
        else if (errno != EINTR)
            rc = -errno;
    }
    sf_zk_bytes_shift(out, sent);
    return rc == -EAGAIN ? 0 : rc;
}

static bool has_to_send(const struct sf_zk_link *link)
{
    return link->out.size > 0 || link->secured.size > 0;
}

static void put_ping(struct sf_zk_link *link)
{
    const size_t place = sf_zk_frame_begin(&link->out);
    sf_zk_put_int(&link->out, SF_ZK_XID_PING);
    sf_zk_put_int(&link->out, SF_ZK_PING);
    sf_zk_frame_end(&link->out, place);
    link->pings++;
}

/* Time. */

/* When this stage has lasted too long, and when a ping is due. */
static int64_t limit_ns(const struct sf_zk_link *link)
{
    switch (link->stage) {
    case SF_ZK_PAUSE:
        return link->next_ns;
    case SF_ZK_CONNECTING:
        return link->stage_ns + CONNECT_MS * SF_NS_PER_MS;
    case SF_ZK_SECURING:
    case SF_ZK_GREETING:
    case SF_ZK_LOGGING_IN:
        return link->stage_ns + (link->patience_ns / 3 > GREET_LEAST_MS * SF_NS_PER_MS
                                     ? link->patience_ns / 3
                                     : GREET_LEAST_MS * SF_NS_PER_MS);
    case SF_ZK_UP:
        return link->heard_ns + link->patience_ns * 2 / 3;
    case SF_ZK_EXPIRED:
    case SF_ZK_REFUSED:
        break;
    }
    return INT64_MAX;
}

static int64_t ping_ns(const struct sf_zk_link *link)
{
    const int64_t last_ns = link->sent_ns > link->stage_ns ? link->sent_ns : link->stage_ns;
    return link->stage == SF_ZK_UP ? last_ns + link->patience_ns / 3 : INT64_MAX;
}

int64_t sf_zk_link_due_ns(const struct sf_zk_link *link)
{
    const int64_t ping = ping_ns(link), limit = limit_ns(link);
    return ping < limit ? ping : limit;
}

static void keep_time(struct sf_zk *z, struct sf_zk_link *link, int64_t now_ns)
{
    if (now_ns >= limit_ns(link)) {
        if (link->stage == SF_ZK_PAUSE)
            connect_next(z, link);
        else
            fail(z, link, "silent");
    } else if (now_ns >= ping_ns(link)) {
        put_ping(link);
    }
}

void sf_zk_link_poll(const struct sf_zk_link *link, struct pollfd *fd)
{
    fd->fd = link->fd;
    fd->events = POLLIN;
    if (link->stage == SF_ZK_CONNECTING || has_to_send(link))
        fd->events |= POLLOUT;
}

void sf_zk_link_turn(struct sf_zk *z, short revents)
{
    struct sf_zk_link *link = z->link;
    if (link->stage == SF_ZK_CONNECTING && revents != 0)
        connected(z, link);
    else if (link->fd >= 0 && (revents & ~POLLOUT) != 0)
        receive(z, link);
    keep_time(z, link, sf_zk_now_ns(z));
    if (link->fd < 0 || link->stage == SF_ZK_CONNECTING || !has_to_send(link))
        return;
    const int rc = send_out(link);
    link->sent_ns = sf_zk_now_ns(z);
    if (rc == -EPIPE || rc == -ECONNRESET)
        fail_by_end(z, link);
    else if (rc < 0)
        fail_by_errno(z, link, -rc);
}

/* The whole. */

struct sf_zk_link *sf_zk_link_open(struct sf_zk *z, const struct sf_zk_link_owner *owner)
{
    struct sf_zk_link *link = calloc(1, sizeof *link);
    SF_ASSERT(link != NULL);
    link->owner = owner;
    link->fd = -1;
    /* What was answered to somebody else, on another connection, does not fit what was asked here. */
    link->next_xid = 1 + (int32_t)(sf_random_u64() % INT32_MAX);
    link->since_ns = sf_zk_now_ns(z);
    link->patience_ns = (int64_t)z->options.session_timeout_ms * SF_NS_PER_MS;
    return link;
}

/* What comes is read and thrown away: a socket that is closed with unread bytes resets the
 * connection, which may overtake the goodbye. */
static void say_goodbye(struct sf_zk_link *link, int64_t wait_ms)
{
    const size_t place = sf_zk_frame_begin(&link->out);
    sf_zk_put_int(&link->out, link->next_xid);
    sf_zk_put_int(&link->out, SF_ZK_CLOSE);
    sf_zk_frame_end(&link->out, place);
    for (const int64_t until_ns = sf_mono_ns() + wait_ms * SF_NS_PER_MS;;) {
        if (send_out(link) < 0)
            return;
        const ssize_t got =
            recv(link->fd, sf_zk_bytes_room(&link->in, READ_SIZE), READ_SIZE, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return;
        if (got > 0)
            continue;
        const int64_t left_ms = (until_ns - sf_mono_ns()) / SF_NS_PER_MS;
        if (left_ms <= 0)
            return;
        struct pollfd fd = {.fd = link->fd,
                            .events = (short)(POLLIN | (has_to_send(link) ? POLLOUT : 0))};
        poll(&fd, 1, (int)(left_ms < 20 ? left_ms : 20)); /* short steps: time may be faked */
    }
}

void sf_zk_link_close(struct sf_zk_link *link, int64_t wait_ms)
{
    if (link->stage == SF_ZK_UP)
        say_goodbye(link, wait_ms);
    close_connection(link);
    for (struct sf_zk_call *call = link->oldest, *next; call != NULL; call = next) {
        next = call->next;
        sf_zk_call_free(call);
    }
    sf_zk_bytes_free(&link->in);
    sf_zk_bytes_free(&link->out);
    sf_zk_bytes_free(&link->secured);
    sf_zk_bytes_free(&link->waiting);
    free(link);
}

void sf_zk_link_expect(struct sf_zk_link *link, struct sf_zk_call *call)
{
    if (link->newest != NULL)
        link->newest->next = call;
    else
        link->oldest = call;
    link->newest = call;
}

void sf_zk_link_forget(struct sf_zk_link *link, const struct sf_zk_job *job)
{
    for (struct sf_zk_call *call = link->oldest; call != NULL; call = call->next)
        if (call->job == job) {
            call->job = NULL;
            call->done = NULL;
        }
}
