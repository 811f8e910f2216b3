/* Names and sentences of errors. */
#include <snowfleet/minter.h>

static const struct {
    const char *name, *text;
} errors[SF_MINTER_ERRORS] = {
    [SF_MINTER_OK] = {"OK", "no error"},
    [SF_MINTER_INVALID] = {"INVALID", "an argument or option is not allowed"},
    [SF_MINTER_NOT_READY] = {"NOT_READY", "it holds no slot or no reservation"},
    [SF_MINTER_CLOCK] = {"CLOCK", "the clock is not safe to mint by"},
    [SF_MINTER_DRAINING] = {"DRAINING", "it is being closed"},
    [SF_MINTER_OVERLOADED] = {"OVERLOADED", "no later millisecond came in time"},
    [SF_MINTER_CAUSALITY] = {"CAUSALITY", "the ID to come after lies too far ahead"},
    [SF_MINTER_MEMORY] = {"MEMORY", "no memory"},
    [SF_MINTER_SYSTEM] = {"SYSTEM", "the system refused a thread, a descriptor or a file"},
    [SF_MINTER_ENDED] = {"ENDED", "it cannot go on"},
    [SF_MINTER_NOT_RELEASED] = {"NOT_RELEASED", "a slot could not be given back"},
};

static int known(enum sf_minter_error error)
{
    return (unsigned)error < SF_MINTER_ERRORS;
}

const char *sf_minter_error_name(enum sf_minter_error error)
{
    return known(error) ? errors[error].name : "UNKNOWN";
}

const char *sf_minter_error_text(enum sf_minter_error error)
{
    return known(error) ? errors[error].text : "an error of a later version";
}
