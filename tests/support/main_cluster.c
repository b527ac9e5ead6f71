/* cluster: a Redis Cluster on this machine, by hand: prints its URI, runs until SIGTERM or SIGINT.
 *
 *   cluster [--masters N] [--replicas R] [--port P] [redis-server's options …]
 * Members have the ports P, P+1, …; masters first. DF2REDIS_TEST_REDIS names the server. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "tests/support/cluster.h"

static bool parse(struct redis_cluster_options *o, int argc, char **argv)
{
    int i = 1;
    for (; i + 1 < argc; i += 2) {
        unsigned long value = strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--masters") == 0)
            o->masters = (unsigned)value;
        else if (strcmp(argv[i], "--replicas") == 0)
            o->replicas = (unsigned)value;
        else if (strcmp(argv[i], "--port") == 0)
            o->base_port = (uint16_t)value;
        else
            break;
    }
    o->extra = (const char *const *)&argv[i];
    return o->masters > 0 && o->masters * (1 + o->replicas) <= CLUSTER_MEMBERS &&
           (i == argc || strncmp(argv[i], "--", 2) == 0);
}

int main(int argc, char **argv)
{
    static struct redis_cluster c;
    struct redis_cluster_options o;
    sigset_t ends;
    int signal;
    redis_cluster_options_init(&o);
    if (!parse(&o, argc, argv)) {
        fputs("cluster [--masters N] [--replicas R] [--port P] [redis-server's options ...]\n", stderr);
        return EX_USAGE;
    }
    redis_cluster_start_with(&c, &o);
    for (size_t i = 0; i < c.count; i++)
        printf("%s %s %s\n", c.members[i].server.uri, i < o.masters ? "master" : "replica", c.members[i].id);
    fflush(stdout);
    /* Blocked only now: the members would inherit it. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    sigwait(&ends, &signal);
    redis_cluster_stop(&c);
    return EX_OK;
}
