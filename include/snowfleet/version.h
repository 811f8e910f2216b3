/* snowfleet/version.h - the version of the library that a program was compiled against. */
#ifndef SNOWFLEET_VERSION_H
#define SNOWFLEET_VERSION_H

#define SNOWFLEET_VERSION_MAJOR 0
#define SNOWFLEET_VERSION_MINOR 1
#define SNOWFLEET_VERSION_PATCH 0
#define SNOWFLEET_VERSION       "0.1.0"

#if defined(__GNUC__)
#define SF_API __attribute__((visibility("default")))
#else
#define SF_API
#endif

#endif
