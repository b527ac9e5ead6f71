/* followers: clients that write and follow a switch, for demonstrations and by hand.
 *
 *   followers --source PORT --target PORT --switch FILE [--clients N] [--pause-us N]
 * They write to the source while FILE is missing, to the target once it is there, until SIGTERM or SIGINT. Then every
 * number that was acknowledged, by either side, has to be on the target, once. Ends with 0 if so, 1 if not, 64 for
 * wrong usage. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tests/support/followers.h"
#include "tests/support/servers.h"
#include "tests/support/testing.h"

static uint16_t source, target;
static const char *path;
static unsigned clients = 6, pause_us = 5000;

static uint16_t port_of(const char *key)
{
    (void)key;
    return target;
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned long value = strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--source") == 0)
            source = (uint16_t)value;
        else if (strcmp(argv[i], "--target") == 0)
            target = (uint16_t)value;
        else if (strcmp(argv[i], "--switch") == 0)
            path = argv[i + 1];
        else if (strcmp(argv[i], "--clients") == 0)
            clients = (unsigned)value;
        else if (strcmp(argv[i], "--pause-us") == 0)
            pause_us = (unsigned)value;
        else
            return false;
    }
    return argc % 2 == 1 && source && target && path && clients;
}

/* It may have ended with the cut-over. */
static bool is_there(uint16_t port)
{
    redisContext *c = redisConnect("127.0.0.1", port);
    bool is = c && !c->err;
    if (c)
        redisFree(c);
    return is;
}

int main(int argc, char **argv)
{
    sigset_t ends;
    int signal;
    if (!parse(argc, argv)) {
        fputs("followers --source PORT --target PORT --switch FILE [--clients N] [--pause-us N]\n", stderr);
        return EX_USAGE;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    struct followers *all = followers_start(clients, path, source, port_of);
    followers_pace(all, pause_us);
    sigwait(&ends, &signal);
    followers_stop(all);
    bool right = followers_lost_nothing(all, is_there(source) ? source : 0);
    printf("%llu writes acknowledged by the source, then %llu by the target; %s\n",
           (unsigned long long)followers_acknowledged(all, false),
           (unsigned long long)followers_acknowledged(all, true),
           right ? "none lost, none twice" : "NOT all of them are there once");
    followers_free(all);
    return right ? EX_OK : 1;
}
