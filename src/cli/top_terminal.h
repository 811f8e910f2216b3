/* cli/top_terminal.h - whether curses knows the terminal; apart, since term.h takes plain words for its
 * macros. */
#ifndef SF_CLI_TOP_TERMINAL_H
#define SF_CLI_TOP_TERMINAL_H

#include <stdbool.h>

/* Is stdout's terminal of a type (TERM) that terminfo has here? To be asked before a screen is opened, since
 * curses keeps memory where that fails. One thread. */
bool sf_top_knows_terminal(void);

#endif
