/* The terminal that a run was started on, if any. */
#ifndef DF2REDIS_SUPERVISOR_SERVICE_TERMINAL_H
#define DF2REDIS_SUPERVISOR_SERVICE_TERMINAL_H

/* Ctrl-Z: the shell gets its terminal back, and the run continues in the background, as after `bg`. A stopped supervisor
 * would neither acknowledge to the source nor answer a status request. */
void terminal_leave(void);

#endif
