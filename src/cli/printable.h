/* cli/printable.h - what others sent, made fit for a terminal. Pure. */
#ifndef SF_CLI_PRINTABLE_H
#define SF_CLI_PRINTABLE_H

#include <jansson.h>

/* Each byte of a control character, C1 in UTF-8 too, becomes '?': what a worker says of itself moves no
 * cursor, sets no colour and ends no line. */
void sf_cli_make_printable(char *text);
/* The same, but for the ends of lines. */
void sf_cli_make_lines_printable(char *text);
/* The same with every string in it; the names of members stay. NULL: nothing. */
void sf_cli_make_json_printable(json_t *value);

#endif
