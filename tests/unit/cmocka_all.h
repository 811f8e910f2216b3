/* cmocka and the headers that it wants before it, in their order: the only include of it. */
#ifndef SF_TESTS_CMOCKA_ALL_H
#define SF_TESTS_CMOCKA_ALL_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SF_COUNT(array) (sizeof(array) / sizeof *(array))

#endif
