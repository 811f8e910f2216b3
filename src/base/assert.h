/* base/assert.h - assertions for our own mistakes; they stay on in release and end the program with
 * SF_EXIT_INTERNAL (base/exit_codes.h) after one line on stderr. Never used on input. */
#ifndef SF_BASE_ASSERT_H
#define SF_BASE_ASSERT_H

_Noreturn void sf_assert_failed(const char *expression, const char *file, int line,
                                const char *function);

#define SF_ASSERT(expression)                                                                      \
    ((expression) ? (void)0 : sf_assert_failed(#expression, __FILE__, __LINE__, __func__))

#endif
