/* Log lines on their way to standard error, or to the file in its place. The reader may stop at any time (a pager,
 * Ctrl-S, a log driver, a hanging file system), and write(2) then blocks, on a terminal even after poll(2) has promised
 * room. O_NONBLOCK is no way out: other processes may share the open file. So a separate thread writes from a bounded
 * queue (common/log/log_queue.h), and nothing else in the process waits for the reader. */
#ifndef DF2REDIS_SUPERVISOR_LOG_LOG_WRITER_H
#define DF2REDIS_SUPERVISOR_LOG_LOG_WRITER_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/mem.h"

enum { LOG_WRITER_BYTES = 1 << 20 };

/* False and errno: the thread could not be started. */
bool log_writer_start(void);
bool log_writer_running(void);
/* Queues whole lines. */
void log_writer_put(struct slice lines);
/* Queues a display's drawing. False: no room; the drawing is dropped without being counted as lost. */
bool log_writer_draw(struct slice bytes);
/* Returns the number of queued bytes. */
size_t log_writer_backlog(void);
/* Call it a few times a second: reports lost lines when no further line follows. */
void log_writer_turn(void);
/* Opens a file for lines, or a FIFO that has a reader. Returns -1 and errno; ENXIO: nobody reads the FIFO. */
int log_writer_open(const char *path);
/* fd replaces standard error for all lines put from now on; the lines before go to the old one. The writer owns fd. */
void log_writer_replace(int fd);
/* The same with a file that the thread opens: on a file system that hangs, open(2) does not return. */
void log_writer_reopen(const char *path);
/* Returns the errno of a log_writer_reopen() that failed since the last call; 0: none. */
int log_writer_open_failure(void);
/* Waits until everything is written, at most limit_ms. False: it took longer. */
bool log_writer_flush(uint32_t limit_ms);
/* Flushes, then ends the thread. A thread blocked by its reader ends with the process. */
void log_writer_stop(uint32_t limit_ms);

#endif
