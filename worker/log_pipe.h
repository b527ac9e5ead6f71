/* The log lines of a worker: standard error is a pipe to the supervisor, which owns the log's file, terminal or syslog.
 * Writing never blocks: lines that do not fit into the pipe are kept, up to 256 KiB, then counted
 * (common/log/log_queue.h). */
#ifndef DF2REDIS_WORKER_LOG_PIPE_H
#define DF2REDIS_WORKER_LOG_PIPE_H

/* Does nothing if standard error is not a pipe. */
void log_pipe_open(void);
/* Call a few times a second: tries to write the kept lines. */
void log_pipe_turn(void);
/* Tries to write the kept lines for up to 0.2 s. */
void log_pipe_close(void);

#endif
