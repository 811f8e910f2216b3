/* config/types.h - the types of options. Constant; any thread. */
#ifndef SF_CONFIG_TYPES_H
#define SF_CONFIG_TYPES_H

#include "config/option.h"

/* One for each TYPE of table.h. */
enum sf_option_type_number {
    SF_OPTION_U32,
    SF_OPTION_U64,
    SF_OPTION_I64,
    SF_OPTION_WORKER,
    SF_OPTION_BOOL,
    SF_OPTION_TEXT,
    SF_OPTION_FILE,
    SF_OPTION_COORDINATOR,
    SF_OPTION_ADDRESS,
    SF_OPTION_SOURCES,
    SF_OPTION_LEVEL,
    SF_OPTION_FORMAT,
    SF_OPTION_TYPES
};

extern const struct sf_option_type sf_option_types[SF_OPTION_TYPES];

#endif
