/* workload: writes of every kind to a Dragonfly, by hand and in demonstrations.
 *
 *   workload --port P [--seed N] [--connections N] [--databases N] [--keys N] [--commands N] [--rate N]
 *            [--short-ttls] [--unportable] [--lossy] [--flushes]
 * Without --commands it writes until SIGTERM or SIGINT. Prints how many commands were answered without an
 * error. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tests/support/testing.h"
#include "tests/support/workload.h"

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

static bool is_stopped(void *arg)
{
    (void)arg;
    return stopped;
}

static bool parse(struct workload_options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        bool *flag = strcmp(name, "--short-ttls") == 0   ? &o->short_ttls
                     : strcmp(name, "--unportable") == 0 ? &o->unportable
                     : strcmp(name, "--lossy") == 0      ? &o->lossy
                     : strcmp(name, "--flushes") == 0    ? &o->flushes
                                                         : NULL;
        if (flag) {
            *flag = true;
            continue;
        }
        if (++i == argc)
            return false;
        uint64_t value = strtoull(argv[i], NULL, 10);
        if (strcmp(name, "--port") == 0)
            o->port = (uint16_t)value;
        else if (strcmp(name, "--seed") == 0)
            o->seed = value;
        else if (strcmp(name, "--connections") == 0)
            o->connections = (unsigned)value;
        else if (strcmp(name, "--databases") == 0)
            o->databases = (uint32_t)value;
        else if (strcmp(name, "--keys") == 0)
            o->keys = (uint32_t)value;
        else if (strcmp(name, "--commands") == 0)
            o->commands = value;
        else if (strcmp(name, "--rate") == 0)
            o->rate = value;
        else
            return false;
    }
    return o->port && o->connections && o->databases && o->keys;
}

int main(int argc, char **argv)
{
    struct workload_options options;
    workload_options_init(&options, 0);
    if (!parse(&options, argc, argv)) {
        fputs("workload --port P [--seed N] [--connections N] [--databases N] [--keys N] [--commands N] "
              "[--rate N] "
              "[--short-ttls] [--unportable] [--lossy] [--flushes]\n",
              stderr);
        return EX_USAGE;
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    struct workload *w = workload_start(&options);
    if (!options.commands)
        wait_until(is_stopped, NULL, UINT32_MAX);
    uint64_t good = options.commands ? workload_finish(w) : workload_stop(w);
    printf("%llu commands answered without an error\n", (unsigned long long)good);
    return EX_OK;
}
