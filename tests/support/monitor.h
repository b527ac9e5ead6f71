/* What a monitor sees of a run that was started with --metrics 0. */
#ifndef DF2REDIS_TESTS_MONITOR_H
#define DF2REDIS_TESTS_MONITOR_H

#include "common/base/mem.h"
#include "tests/support/df2redis.h"

/* One answer over HTTP: its status code, and all of it, ended by a 0, in *answer. 0: none. */
unsigned monitor_ask(const struct df2redis *d, const char *path, struct buf *answer);
/* A sample of /metrics, "flow_source_lsn{flow=\"0\"}", without its df2redis_; -1: there is none. */
double monitor_metric(const struct df2redis *d, const char *sample);

#endif
