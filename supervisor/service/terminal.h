/* The terminal that a run was started on, if any. */
#ifndef DF2REDIS_SUPERVISOR_SERVICE_TERMINAL_H
#define DF2REDIS_SUPERVISOR_SERVICE_TERMINAL_H

/* What follows Ctrl-Z: the shell gets its terminal back, and the run goes on in the background, as after `bg`. A
 * supervisor that stayed stopped would acknowledge nothing to the source, and answer nobody. */
void terminal_leave(void);

#endif
