/* What every part of the reservation machine does to the outcome of a step. */
#include "worker/reservation_step.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/request.h"

#define SURE_MS                                                                                    \
    1000 /* minting time that is closer than this to the trusted one is right, for people */

void sf_res_log(struct sf_res_step *s, enum sf_log_level level, const char *event,
                const char *format, ...)
{
    if (s->out->log_count == SF_RES_LOGS_MAX)
        return;
    const unsigned i = s->out->log_count++;
    s->out->logs[i].level = level;
    s->out->logs[i].event = event;
    va_list args;
    va_start(args, format);
    vsnprintf(s->out->logs[i].text, sizeof s->out->logs[i].text, format, args);
    va_end(args);
}

void sf_res_why(struct sf_reservation *res, const char *format, ...)
{
    char text[sizeof res->why]; /* an argument may be res->why itself */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(res->why, text, sizeof text);
    res->why_failed = false;
}

bool sf_res_may_open(const struct sf_reservation *res)
{
    return !res->leaving && !res->suspended && !res->exhausted;
}

int64_t sf_res_people_ms(const struct sf_reservation_now *now)
{
    if (now->trusted_ms < 0 || llabs(now->trusted_ms - now->mint_ms) <= SURE_MS)
        return now->mint_ms;
    return now->trusted_ms;
}

uint64_t sf_res_slots(const struct sf_reservation *res)
{
    return sf_layout_max_worker(&res->config.layout) + 1;
}

bool sf_res_probes(const struct sf_reservation *res)
{
    return res->config_known && (res->params.probes || sf_res_slots(res) > SF_RES_LIST_SLOTS);
}

bool sf_res_may_bid(const struct sf_reservation *res)
{
    /* The slot that the state file remembers comes first. */
    return (!res->hold.active || res->orphan) && !res->bid.active && !res->memory.valid &&
           res->claim_status == SF_CLAIM_HAVE && sf_res_may_open(res);
}

void sf_res_move(struct sf_res_step *s, enum sf_worker_state to, const char *because)
{
    const enum sf_worker_state from = s->res->state;
    SF_ASSERT(sf_worker_state_may_move(from, to));
    sf_res_log(s, to == SF_WORKER_SUSPENDED ? SF_LOG_WARN : SF_LOG_INFO, "worker.state",
               "%s -> %s%s%s", sf_worker_state_name(from), sf_worker_state_name(to),
               because[0] != '\0' ? ": " : "", because);
    s->res->state = to;
    s->res->since_ms = sf_res_people_ms(s->now);
}

void sf_res_fatal(struct sf_res_step *s, int exit_code, const char *format, ...)
{
    char text[SF_COORD_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sf_res_why(s->res, "%s", text);
    sf_res_log(s, SF_LOG_ERROR, "worker.fatal", "%s", text);
    if (s->res->generator_ready)
        sf_generator_close(s->res->gen);
    sf_res_move(s, SF_WORKER_STOPPED, text);
    s->out->finished = true;
    s->out->exit_code = exit_code;
}

void sf_res_failed(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    sf_res_why(s->res, "%s: %s%s%s", sf_coord_op_name(c->op), sf_coord_reason_name(c->reason),
               c->text[0] != '\0' ? ": " : "", c->text);
    s->res->why_failed = c->reason == SF_COORD_UNREACHABLE;
    sf_res_log(s, c->reason == SF_COORD_ENDING ? SF_LOG_DEBUG : SF_LOG_WARN, "coordinator.failed",
               "%s %s: %s", sf_coord_op_name(c->op), sf_coord_outcome_name(c->outcome),
               c->text[0] != '\0' ? c->text : sf_coord_reason_name(c->reason));
    if (sf_request_writes(c->op) && (c->reason == SF_COORD_STORAGE || c->reason == SF_COORD_AUTH))
        s->res->writes_fail = true;
    sf_res_backoff(s);
}

void sf_res_backoff(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    res->retry_wait_ms = res->retry_wait_ms != 0 ? res->retry_wait_ms * 2 : SF_RES_RETRY_MIN_MS;
    if (res->retry_wait_ms > SF_RES_RETRY_MAX_MS)
        res->retry_wait_ms = SF_RES_RETRY_MAX_MS;
    const int64_t half_ms = res->retry_wait_ms / 2;
    res->retry_at_mono_ms =
        s->now->mono_ms + half_ms + (int64_t)sf_prng_below(&res->prng, (uint64_t)half_ms + 1);
}

void sf_res_progress(struct sf_res_step *s)
{
    /* That it can be read does not make a full store or a missing right any better. */
    if (!s->res->writes_fail) {
        s->res->retry_wait_ms = 0;
        if (s->res->why_failed)
            sf_res_why(s->res, "%s", ""); /* it is not so any more */
    }
    s->res->retry_at_mono_ms = 0;
}

void sf_res_wrote(struct sf_res_step *s)
{
    s->res->writes_fail = false;
    sf_res_progress(s);
}

void sf_res_look_in(struct sf_res_step *s, int64_t wait_ms)
{
    s->res->census_due_set = true;
    s->res->census_due_mono_ms = s->now->mono_ms + wait_ms;
}

static uint32_t deadline_ms(const struct sf_reservation *res)
{
    const bool holds = res->hold.active && !res->orphan;
    return res->patient && !holds ? SF_RES_PATIENT_MS : SF_RES_OP_DEADLINE_MS;
}

struct sf_coord_request *sf_res_request(struct sf_res_step *s, enum sf_coord_op op)
{
    struct sf_reservation *res = s->res;
    SF_ASSERT(!res->busy && !s->out->has_request);
    struct sf_coord_request *request = &s->out->request;
    memset(request, 0, sizeof *request);
    request->id = ++res->next_id;
    request->op = op;
    request->deadline_ms = deadline_ms(res);
    request->datacenter = res->params.datacenter;
    memcpy(request->basis.token, res->config.token, sizeof request->basis.token);
    request->basis.config = res->config.version;
    request->basis.state = res->state_version;
    s->out->has_request = true;
    res->busy = true;
    res->busy_id = request->id;
    res->busy_op = op;
    res->busy_on_bid = false;
    res->busy_on_stray = false;
    res->busy_submit_mint_ms = s->now->mint_ms;
    return request;
}

void sf_res_close(struct sf_res_step *s, const char *format, ...)
{
    struct sf_reservation *res = s->res;
    if (!res->generator_ready || sf_generator_is_closed(res->gen))
        return;
    sf_generator_close(res->gen);
    char text[SF_COORD_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sf_res_log(s, SF_LOG_INFO, "minting.closed", "%s", text);
}
