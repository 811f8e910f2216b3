/* cli/top_terminal.c - see top_terminal.h. */
#include "cli/top_terminal.h"

#include <curses.h>
#include <term.h>
#include <unistd.h>

bool sf_top_knows_terminal(void)
{
    int found = 0;
    if (setupterm(NULL, STDOUT_FILENO, &found) != OK)
        return false;
    (void)del_curterm(cur_term);
    return true;
}
