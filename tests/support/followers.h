/* Clients that write without a pause and follow a switch: to the source while a file is missing, to the target once it is
 * there. Each pushes numbers to a list of its own, none of them twice, and notes which were acknowledged where. */
#ifndef DF2REDIS_TESTS_FOLLOWERS_H
#define DF2REDIS_TESTS_FOLLOWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct followers;

/* target_port: of the server that has the key. path: of the file; it is removed first. */
struct followers *followers_start(unsigned count, const char *path, uint16_t source_port,
                                  uint16_t (*target_port)(const char *key));
/* How many were acknowledged so far, by the source, by the target. */
uint64_t followers_acknowledged(struct followers *f, bool by_target);
/* They rest after each of their writes from now on. */
void followers_pace(struct followers *f, unsigned pause_us);
void followers_stop(struct followers *f);
/* After the stop. True: the target has every number that was acknowledged, by whichever side, once, and none twice; and,
 * unless source_port is 0, the source has none that the target acknowledged. Otherwise says which. */
bool followers_lost_nothing(struct followers *f, uint16_t source_port);
void followers_free(struct followers *f);

#endif
