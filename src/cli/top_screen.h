/* cli/top_screen.h - `snowfleet top` on a terminal (curses): a thread asks the fleet again and again, the
 * caller's thread draws and takes keys. While it is shown, stderr goes to a line of the screen. */
#ifndef SF_CLI_TOP_SCREEN_H
#define SF_CLI_TOP_SCREEN_H

#include <stdint.h>

#include "cli/top_picture.h"

/* The screen cannot be used: the terminal's type is not known here. */
#define SF_TOP_NO_SCREEN (-2)

/* Shows the fleet until q or Ctrl-C is pressed, or the terminal goes away. title: who is asked. The
 * source's stop is set then, and is set by others to end it. Returns -1, SF_TOP_NO_SCREEN, or the exit
 * code of the first look: what never was to be seen is an error, what was seen once is looked at on. */
int sf_top_screen(const struct sf_top_source *source, const char *title, uint64_t interval_ms);

#endif
