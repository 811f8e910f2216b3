/* client/errors.c - names and sentences of the errors of a call. */
#include <snowfleet/client.h>

static const struct {
    const char *name, *text;
} errors[SF_CLIENT_ERRORS] = {
    [SF_CLIENT_OK] = {"OK", "done"},
    [SF_CLIENT_INVALID] = {"INVALID", "an argument is not allowed"},
    [SF_CLIENT_UNREACHABLE] = {"UNREACHABLE", "no worker could be connected to by the deadline"},
    [SF_CLIENT_TIMEOUT] = {"TIMEOUT", "no worker answered by the deadline"},
    [SF_CLIENT_NOT_READY] = {"NOT_READY", "no worker holds a slot and a reservation"},
    [SF_CLIENT_CLOCK] = {"CLOCK", "no worker's clock is safe to mint from"},
    [SF_CLIENT_OVERLOADED] = {"OVERLOADED", "the workers' queues were full until the deadline"},
    [SF_CLIENT_RATE_LIMITED] = {"RATE_LIMITED", "over quota, for longer than the call may last"},
    [SF_CLIENT_DRAINING] = {"DRAINING", "every worker is shutting down"},
    [SF_CLIENT_DENIED] = {"DENIED", "the token is missing or was refused"},
    [SF_CLIENT_CAUSALITY] = {"CAUSALITY", "`after` lies further ahead than the call may wait"},
    [SF_CLIENT_INTERNAL] = {"INTERNAL", "a worker reported a defect"},
    [SF_CLIENT_REFUSED] = {"REFUSED", "the worker does not accept the request"},
    [SF_CLIENT_PROTOCOL] = {"PROTOCOL", "what answered does not speak the Snowfleet protocol"},
    [SF_CLIENT_ORDER] = {"ORDER", "a worker gave an ID that repeats or goes back"},
    [SF_CLIENT_NAME] = {"NAME", "no server name has an address"},
    [SF_CLIENT_TLS] = {"TLS", "certificate, key or handshake failed"},
    [SF_CLIENT_WRONG_FLEET] = {"WRONG_FLEET", "a worker belongs to another fleet"},
    [SF_CLIENT_MEMORY] = {"MEMORY", "memory or descriptors are out"},
    [SF_CLIENT_BUSY] = {"BUSY", "too many calls are under way"},
    [SF_CLIENT_CANCELLED] = {"CANCELLED", "the client was destroyed, or the process forked"},
};

const char *sf_client_error_name(enum sf_client_error error)
{
    return (unsigned)error < SF_CLIENT_ERRORS ? errors[error].name : "UNKNOWN";
}

const char *sf_client_error_text(enum sf_client_error error)
{
    return (unsigned)error < SF_CLIENT_ERRORS ? errors[error].text : "an error of a later version";
}
