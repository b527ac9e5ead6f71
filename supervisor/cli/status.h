/* The other end of the control socket: `df2redis status`, `wait` and `stop`. What calls what:
 *
 *   status.c ───────> status_table.c ──> status_advice.c   status: the table, and what to do next
 *   status_live.c ──> status.c, status_table.c             status --watch, wait */
#ifndef DF2REDIS_SUPERVISOR_CLI_STATUS_H
#define DF2REDIS_SUPERVISOR_CLI_STATUS_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "common/settings/settings.h"

/* Both print to standard output and return the exit code:
 * status: 0 in step, EX_TEMPFAIL running but not in step, EX_UNAVAILABLE no such run;
 * stop: the run's exit code; EX_UNAVAILABLE no such run, or a killed one. */
int status_command(const struct settings *settings, bool json);
int stop_command(const struct settings *settings);
/* Prints the status once a second until the run ends (EX_UNAVAILABLE). */
int status_watch_command(const struct settings *settings);
/* Waits until the run is in step with LSNs that the source was asked for after this call (EX_OK). EX_TEMPFAIL: after the
 * timeout (0: none); EX_UNAVAILABLE: no run appeared within ten seconds, or the run has ended. */
int wait_command(const struct settings *settings, uint64_t timeout_ms);

/* Connects to a run. Returns false and sets *error. */
bool status_connect(const struct settings *settings, int *out, struct error *error);
/* Returns the status document of a run, which the caller deletes; NULL and *error. */
cJSON *status_ask(const struct settings *settings, struct error *error);

/* Returns the answer of a run to one of its requests (control.h) that ends the connection, which the caller deletes; NULL
 * and *error, EX_UNAVAILABLE: there is no such run. */
cJSON *run_request(const struct settings *settings, const char *request, struct error *error);

/* The table for people. */
void status_print(const cJSON *status, FILE *out);
int status_exit_code(const cJSON *status);
void status_print_head(const cJSON *status, FILE *out);
void status_print_divergences(const cJSON *status, FILE *out);
/* Prints what to do next, in lines of at most so many columns. */
void status_print_advice(const cJSON *status, size_t columns, FILE *out);
/* The view of --watch: at most so many lines and columns. */
void status_print_live(const cJSON *status, size_t rows, size_t columns, FILE *out);

#endif
