#include "tests/support/followers.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/servers.h"
#include "tests/support/testing.h"

enum { MOST_NUMBERS = 1 << 20, PATIENCE_S = 60, KEY_BYTES = 40 };

enum fate { UNKNOWN, BY_SOURCE, BY_TARGET };

struct follower {
    struct followers *all;
    pthread_t thread;
    char key[KEY_BYTES];
    uint16_t ports[2]; /* source, target */
    uint8_t *fates;    /* of each number */
    uint32_t sent;
};

struct followers {
    char *path;
    unsigned count;
    atomic_bool stop;
    _Atomic unsigned pause_us;
    _Atomic uint64_t acknowledged[2];
    struct follower *list;
};

static redisContext *connect_to(uint16_t port)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", port, patience);
    if (c && !c->err && redisSetTimeout(c, patience) == REDIS_OK)
        return c;
    if (c)
        redisFree(c);
    usleep(1000); /* the rate of the attempts */
    return NULL;
}

static void *follow(void *arg)
{
    struct follower *f = arg;
    redisContext *c = NULL;
    bool on_target = false;
    while (!f->all->stop && f->sent < MOST_NUMBERS) {
        bool switched = access(f->all->path, F_OK) == 0;
        if (c && switched != on_target) {
            redisFree(c);
            c = NULL;
        }
        on_target = switched;
        if (!c && !(c = connect_to(f->ports[on_target])))
            continue;
        uint32_t number = f->sent++;
        redisReply *reply = redisCommand(c, "RPUSH %s %u", f->key, number);
        bool ok = reply && reply->type == REDIS_REPLY_INTEGER;
        if (ok) {
            f->fates[number] = on_target ? BY_TARGET : BY_SOURCE;
            f->all->acknowledged[on_target]++;
        } else {
            redisFree(c);
            c = NULL;
        }
        freeReplyObject(reply);
        if (f->all->pause_us)
            usleep(f->all->pause_us);
    }
    if (c)
        redisFree(c);
    return NULL;
}

struct followers *followers_start(unsigned count, const char *path, uint16_t source_port,
                                  uint16_t (*target_port)(const char *key))
{
    struct followers *all = x_calloc(1, sizeof *all);
    all->path = x_strdup(path);
    all->count = count;
    all->list = x_calloc(count, sizeof *all->list);
    unlink(path);
    for (unsigned i = 0; i < count; i++) {
        struct follower *f = &all->list[i];
        f->all = all;
        snprintf(f->key, sizeof f->key, "follower:%u", i);
        f->ports[0] = source_port;
        f->ports[1] = target_port(f->key);
        f->fates = x_calloc(MOST_NUMBERS, 1);
        if (pthread_create(&f->thread, NULL, follow, f) != 0)
            die("no thread for a client");
    }
    return all;
}

uint64_t followers_acknowledged(struct followers *f, bool by_target)
{
    return f->acknowledged[by_target];
}

void followers_pace(struct followers *f, unsigned pause_us)
{
    f->pause_us = pause_us;
}

void followers_stop(struct followers *f)
{
    if (!f || f->stop)
        return;
    f->stop = true;
    for (unsigned i = 0; i < f->count; i++)
        pthread_join(f->list[i].thread, NULL);
}

static redisReply *list_of(uint16_t port, const char *key)
{
    redisContext *c = server_connect(port);
    redisReply *list = server_commandf(c, "LRANGE %s 0 -1", key);
    redisFree(c);
    return list;
}

/* How often each number is in the list. */
static uint8_t *count_numbers(const struct follower *f, uint16_t port)
{
    uint8_t *times = x_calloc(MOST_NUMBERS, 1);
    redisReply *list = list_of(port, f->key);
    for (size_t i = 0; i < list->elements; i++) {
        long number = strtol(list->element[i]->str, NULL, 10);
        if (number >= 0 && number < MOST_NUMBERS)
            times[number]++;
    }
    freeReplyObject(list);
    return times;
}

static bool follower_lost_nothing(const struct follower *f, uint16_t source_port)
{
    uint8_t *target = count_numbers(f, f->ports[1]);
    uint8_t *source = source_port ? count_numbers(f, source_port) : NULL;
    unsigned lost = 0, twice = 0, both = 0;
    for (uint32_t i = 0; i < f->sent; i++) {
        lost += f->fates[i] != UNKNOWN && !target[i];
        twice += target[i] > 1;
        both += source && source[i] && f->fates[i] == BY_TARGET;
    }
    if (lost || twice || both)
        fprintf(stderr, "%s: %u acknowledged ones are lost, %u are there twice, %u are on both sides\n",
                f->key, lost, twice, both);
    free(target);
    free(source);
    return !lost && !twice && !both;
}

bool followers_lost_nothing(struct followers *f, uint16_t source_port)
{
    bool all = true;
    for (unsigned i = 0; i < f->count; i++)
        all &= follower_lost_nothing(&f->list[i], source_port);
    return all;
}

void followers_free(struct followers *f)
{
    if (!f)
        return;
    followers_stop(f);
    for (unsigned i = 0; i < f->count; i++)
        free(f->list[i].fates);
    free(f->list);
    free(f->path);
    free(f);
}
