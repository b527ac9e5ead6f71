/* A worker's log lines: standard error is a pipe to the supervisor, which alone has the log's file, terminal or syslog. The
 * worker never waits for it: what the pipe has no room for is kept, up to 256 KiB, then counted (common/log/log_queue.h). */
#ifndef DF2REDIS_WORKER_LOG_PIPE_H
#define DF2REDIS_WORKER_LOG_PIPE_H

/* Nothing, where standard error is no pipe. */
void log_pipe_open(void);
/* A few times a second: another attempt for what is kept. */
void log_pipe_turn(void);
/* Gives what is kept a last moment. */
void log_pipe_close(void);

#endif
