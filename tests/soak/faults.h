/* The faults of the soak test, and what they are done to. */
#ifndef DF2REDIS_TESTS_SOAK_FAULTS_H
#define DF2REDIS_TESTS_SOAK_FAULTS_H

#include "tests/support/journal_script.h"
#include "tests/support/proxy.h"
#include "tests/support/run.h"
#include "tests/support/workload.h"

struct soak {
    struct run run;
    struct random random;
    bool live; /* a real Dragonfly; else the scripted one */
    uint32_t flows;
    struct proxy *to_source, *to_target; /* to_source: live only */
    struct journal_script script;
    struct server expected; /* what the scripted stream comes to */
    uint64_t seed, rounds;
    unsigned starts;
};

void soak_start_program(struct soak *s);
/* Lets the load go on for so long. False: the program ended. */
bool soak_go_on(struct soak *s, uint32_t ms);

struct fault {
    const char *name;
    unsigned weight;
    void (*make)(struct soak *s);
};
const struct fault *soak_choose(struct soak *s);

#endif
