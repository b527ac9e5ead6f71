/* What MONITOR of a target shows of keys that count: a string key:N that is incremented, and a list whose elements are
 * pushed in rising order. A repair (SET or RESTORE) has to bring exactly what was applied to the key until then, but for
 * what was spoilt by hand; a value from before would take back a write, a value from after would have it twice.
 *
 * By hand are INCRBY of whole millions, and LPUSH. */
#ifndef DF2REDIS_TESTS_REPAIR_WATCH_H
#define DF2REDIS_TESTS_REPAIR_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct repair_watch;

enum { REPAIR_WATCH_MILLION = 1000000 };

/* Of keys "race:N" and "races:N", N below `keys`, on a target that has none of them yet. scratch_port: of a server where
 * payloads are restored to read them, in database 15. */
struct repair_watch *repair_watch_start(uint16_t port, uint16_t scratch_port, unsigned keys);
uint64_t repair_watch_repairs(struct repair_watch *w);
/* Of these, with a write to the same key less than 20 ms before, and after. */
uint64_t repair_watch_raced(struct repair_watch *w);
/* Repairs that brought something else; each is printed. */
uint64_t repair_watch_wrong(struct repair_watch *w);
/* Waits until everything that was executed so far is seen, and ends. */
void repair_watch_stop(struct repair_watch *w);
void repair_watch_free(struct repair_watch *w);

#endif
