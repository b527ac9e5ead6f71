/* What the servers were told: MONITOR of each, written to a file of its own, for what cannot be explained
 * without it. Two rounds are kept. */
#include "tests/soak/record.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/testing.h"

enum { RECORDS = 8, AGAIN_MS = 20, STALLED_S = 1, SHOWN = 20, SHOWN_CHARACTERS = 260 };

struct record {
    struct recorded server;
    char *path, *older;
    pthread_t thread;
    atomic_bool ends, turns;
    bool running;
};
static struct record records[RECORDS];
static size_t count;

static void turn(struct record *r, FILE **file)
{
    fclose(*file);
    rename(r->path, r->older);
    *file = fopen(r->path, "we");
    if (!*file)
        die("%s cannot be written", r->path);
}

/* Until the connection breaks, or the record ends. */
static void follow(struct record *r, redisContext *c, FILE **file)
{
    while (!atomic_load(&r->ends)) {
        void *reply = NULL;
        if (atomic_exchange(&r->turns, false))
            turn(r, file);
        if (redisGetReply(c, &reply) != REDIS_OK)
            return;
        const redisReply *line = reply;
        if (line->type == REDIS_REPLY_STATUS)
            fprintf(*file, "%s\n", line->str);
        freeReplyObject(reply);
    }
}

static void *run(void *arg)
{
    struct record *r = arg;
    FILE *file = fopen(r->path, "we");
    if (!file)
        die("%s cannot be written", r->path);
    while (!atomic_load(&r->ends)) {
        struct timeval limit = {STALLED_S, 0};
        redisContext *c = redisConnectWithTimeout("127.0.0.1", r->server.port, limit);
        if (c && !c->err) {
            redisSetTimeout(c, limit);
            fprintf(file, "# from here, %lld\n", (long long)clock_unix_ms());
            if (r->server.password)
                redisAppendCommand(c, "AUTH %s", r->server.password);
            redisAppendCommand(c, "MONITOR");
            follow(r, c, &file);
        }
        if (c)
            redisFree(c);
        poll(NULL, 0, AGAIN_MS);
    }
    fclose(file);
    return NULL;
}

void record_begin(const struct recorded *server)
{
    for (size_t i = 0; i < count; i++)
        if (records[i].server.port == server->port)
            return;
    if (count == RECORDS)
        die("more servers than records");
    struct record *r = &records[count++];
    r->server = *server;
    r->path = format_text("%s/commands-%s-%u", server->dir, server->name, server->port);
    r->older = format_text("%s.older", r->path);
    r->running = pthread_create(&r->thread, NULL, run, r) == 0;
    if (!r->running)
        die("no thread for a record");
}

void record_turn(void)
{
    for (size_t i = 0; i < count; i++)
        atomic_store(&records[i].turns, true);
}

void record_end(void)
{
    for (size_t i = 0; i < count; i++)
        atomic_store(&records[i].ends, true);
    for (size_t i = 0; i < count; i++) {
        pthread_join(records[i].thread, NULL);
        free(records[i].path);
        free(records[i].older);
        records[i] = (struct record){0};
    }
    count = 0;
}

/* ---- what concerns a key ---- */

struct shown {
    char *lines[SHOWN];
    size_t next;
};

static void find(struct shown *found, const char *path, const char *db, const char *key)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    while (file && getline(&line, &size, file) > 0) {
        const char *at = strchr(line, '[');
        bool all = strcasestr(line, "\"FLUSH") != NULL;
        if (*line == '#' || (at && strncmp(at, db, strlen(db)) == 0 && (all || strstr(at, key)))) {
            free(found->lines[found->next % SHOWN]);
            found->lines[found->next++ % SHOWN] = x_strdup(line);
        }
    }
    free(line);
    if (file)
        fclose(file);
}

static void print(struct shown *found)
{
    size_t first = found->next > SHOWN ? found->next - SHOWN : 0;
    for (size_t i = first; i < found->next; i++) {
        char *line = found->lines[i % SHOWN];
        line[strcspn(line, "\n")] = '\0';
        fprintf(stderr, "    %.*s\n", SHOWN_CHARACTERS, line);
        free(line);
    }
}

void record_print(uint32_t db, const char *key)
{
    char *in = format_text("[%u ", db), *quoted = format_text("\"%s\"", key);
    for (size_t i = 0; i < count; i++) {
        struct shown found = {0};
        fprintf(stderr, "  %s, port %u, of key %s in database %u:\n", records[i].server.name,
                records[i].server.port, key, db);
        find(&found, records[i].older, in, quoted);
        find(&found, records[i].path, in, quoted);
        print(&found);
    }
    free(in);
    free(quoted);
}

void record_print_differences(const char *report)
{
    unsigned db;
    char key[80];
    for (const char *line = report; line && *line;) {
        if (sscanf(line, "db %u key '%70[^']'", &db, key) == 2)
            record_print(db, key);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
}
