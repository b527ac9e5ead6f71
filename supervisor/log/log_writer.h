/* Log lines on their way to standard error, or to the file that took its place. Who reads them may stop at any time (a
 * pager, Ctrl-S, a log driver, a file system that hangs), and write(2) then waits even where poll(2) said that it would
 * not, as on a terminal; and O_NONBLOCK is not ours to set, since others may share the open file. So a thread of its
 * own writes, from a bounded queue (common/log/log_queue.h), and nothing else in the process waits for a reader. */
#ifndef DF2REDIS_SUPERVISOR_LOG_LOG_WRITER_H
#define DF2REDIS_SUPERVISOR_LOG_LOG_WRITER_H

#include <stdbool.h>

#include "common/base/mem.h"

enum { LOG_WRITER_BYTES = 1 << 20 };

/* False with errno when there is no thread to be had. */
bool log_writer_start(void);
bool log_writer_running(void);
/* Whole lines. */
void log_writer_put(struct slice lines);
/* What a display draws: not counted when there is no room for it. False then. */
bool log_writer_draw(struct slice bytes);
/* Bytes that wait. */
size_t log_writer_backlog(void);
/* A few times a second: tells of lost lines when no further line does. */
void log_writer_turn(void);
/* What was put until now goes where it went before, everything after it to fd, which takes the place of standard
 * error. fd is the writer's from now on. */
void log_writer_replace(int fd);
/* Waits until all is written, but no longer than that. */
bool log_writer_flush(uint32_t limit_ms);
/* The same, then ends. A thread that still waits for its reader ends with the process. */
void log_writer_stop(uint32_t limit_ms);

#endif
