/* base/exit_codes.h - the exit codes of both programs, after sysexits.h: what a script, systemd or
 * Kubernetes may go by. Nothing here but the numbers. */
#ifndef SF_BASE_EXIT_CODES_H
#define SF_BASE_EXIT_CODES_H

enum sf_exit_code {
    SF_EXIT_OK = 0,            /* done; of a worker: a clean stop, its slots were given back */
    SF_EXIT_USAGE = 64,        /* a flag or an argument that does not exist or cannot be so */
    SF_EXIT_UNREACHABLE = 69,  /* coordinator or worker not reached in time, and nothing done yet */
    SF_EXIT_INTERNAL = 70,     /* an invariant of ours broke */
    SF_EXIT_SYSTEM = 71,       /* no memory, descriptors or signals to start with */
    SF_EXIT_TEMPORARY = 75,    /* not now: the start failed for a cause that may pass */
    SF_EXIT_NOT_RELEASED = 75, /* the same; a slot could not be given back, its reservation ends by itself */
    SF_EXIT_CONFIG = 78        /* bad configuration, or the fleet's config does not fit */
};

#endif
