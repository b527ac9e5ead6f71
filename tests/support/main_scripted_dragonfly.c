/* scripted_dragonfly: the scripted master as a program, for demonstrations, benchmarks and by hand.
 *
 * Ends with 0 at SIGTERM or SIGINT, with 1 after a protocol violation (its text on stderr), with 64 for wrong
 * usage. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tests/support/generate.h"
#include "tests/support/raw_pipe.h"
#include "tests/support/scripted_dragonfly.h"

static const char usage[] =
    "scripted_dragonfly [option …]\n"
    "What it plays (the first session gets the first, and so on; the last is used again):\n"
    "  --recording DIR       a recorded session\n"
    "  --strings N[:BYTES]   a generated one: N strings of BYTES (100)\n"
    "  --hashes N[:FIELDS]   … N hashes of FIELDS fields (20)\n"
    "  --zsets N[:MEMBERS]   … N sorted sets (50)\n"
    "  --lists N[:ITEMS]     … N lists (50)\n"
    "  --sets N[:MEMBERS]    … N sets (50)\n"
    "  --journal N           … then a journal of N SETs (the generated ones make one session)\n"
    "  --flows F             … over F FLOWs (1)\n"
    "  --plain               … without LZ4\n"
    "  --chunks BYTES        … large collections in tagged chunks\n"
    "  --load PORT           writes the generated one into the server there instead, and ends\n"
    "How:\n"
    "  --port P              default: a free one, printed\n"
    "  --split whole|random|one|N   bytes a send: as many as fit, 1 … 4096, 1, N\n"
    "  --seed N              of random sizes and values\n"
    "  --user U --password P what AUTH must say\n"
    "  --kind dragonfly|redis|replica\n"
    "  --data PORT           of a Redis that holds the same: values may be read, and clients may write\n"
    "  --quiet               no line for every command received\n";

static struct scripted *running;
static uint16_t load_port;

static void stop(int signal)
{
    (void)signal;
    scripted_stop_soon(running);
}

static void parse_split(struct scripted_options *o, const char *how)
{
    o->random_split = strcmp(how, "random") == 0;
    o->piece = o->random_split ? 4096 : strcmp(how, "one") == 0 ? 1 : (size_t)strtoull(how, NULL, 10);
}

static void parse_count(const char *text, uint64_t *count, uint64_t *size)
{
    char *end;
    *count = strtoull(text, &end, 10);
    if (*end == ':')
        *size = strtoull(end + 1, NULL, 10);
}

static bool parse_content(struct generate_options *g, const char *option, const char *value)
{
    if (strcmp(option, "--strings") == 0)
        parse_count(value, &g->strings, &g->string_bytes);
    else if (strcmp(option, "--hashes") == 0)
        parse_count(value, &g->hashes, &g->hash_fields);
    else if (strcmp(option, "--zsets") == 0)
        parse_count(value, &g->zsets, &g->zset_members);
    else if (strcmp(option, "--lists") == 0)
        parse_count(value, &g->lists, &g->list_items);
    else if (strcmp(option, "--sets") == 0)
        parse_count(value, &g->sets, &g->set_members);
    else if (strcmp(option, "--journal") == 0)
        g->journal_sets = strtoull(value, NULL, 10);
    else if (strcmp(option, "--chunks") == 0)
        g->chunk_bytes = strtoull(value, NULL, 10);
    else if (strcmp(option, "--flows") == 0)
        g->flows = (uint32_t)strtoul(value, NULL, 10);
    else
        return false;
    return true;
}

/* One option with its value; false when it is none. */
static bool parse_one(struct scripted_options *o, struct generate_options *g, const char *option,
                      const char *value)
{
    if (strcmp(option, "--recording") == 0) {
        struct recording r;
        recording_load(&r, value);
        memcpy(o->master_id, r.master_id, sizeof o->master_id);
        o->version = r.version;
        o->lineage = r.lineage;
        scripted_options_add(o, scripted_session_of(&r));
        recording_free(&r);
    } else if (strcmp(option, "--port") == 0) {
        o->port = (uint16_t)strtoul(value, NULL, 10);
    } else if (strcmp(option, "--data") == 0) {
        o->data_port = (uint16_t)strtoul(value, NULL, 10);
    } else if (strcmp(option, "--load") == 0) {
        load_port = (uint16_t)strtoul(value, NULL, 10);
    } else if (strcmp(option, "--split") == 0) {
        parse_split(o, value);
    } else if (strcmp(option, "--seed") == 0) {
        o->seed = g->seed = strtoull(value, NULL, 10);
    } else if (strcmp(option, "--user") == 0) {
        o->user = value;
    } else if (strcmp(option, "--password") == 0) {
        o->password = value;
    } else if (strcmp(option, "--kind") == 0) {
        o->kind = strcmp(value, "redis") == 0     ? SCRIPTED_REDIS
                  : strcmp(value, "replica") == 0 ? SCRIPTED_REPLICA
                                                  : SCRIPTED_DRAGONFLY;
    } else {
        return parse_content(g, option, value);
    }
    return true;
}

static bool parse(struct scripted_options *o, struct generate_options *g, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quiet") == 0)
            o->log = NULL;
        else if (strcmp(argv[i], "--plain") == 0)
            g->plain = true;
        else if (i + 1 == argc || !parse_one(o, g, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    if (generate_anything(g) && !load_port)
        scripted_options_add(o, generate_session(g, NULL));
    return o->session_count > 0 || (load_port && generate_anything(g));
}

static void load(const struct generate_options *g)
{
    struct raw_pipe pipe;
    raw_pipe_snapshot(&pipe, g);
    raw_pipe_run(&pipe, load_port);
    raw_pipe_free(&pipe);
    raw_pipe_journal(&pipe, g);
    raw_pipe_run(&pipe, load_port);
    raw_pipe_free(&pipe);
}

int main(int argc, char **argv)
{
    struct scripted_options options;
    struct generate_options content;
    scripted_options_init(&options);
    generate_options_init(&content);
    options.log = stderr;
    if (!parse(&options, &content, argc, argv)) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    if (load_port) {
        load(&content);
        return EX_OK;
    }
    running = scripted_new(&options);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    printf("%s\n", scripted_uri(running));
    fflush(stdout);
    scripted_run(running);
    const char *violation = scripted_violation(running);
    if (*violation)
        fprintf(stderr, "PROTOCOL VIOLATION: %s\n", violation);
    int status = *violation ? 1 : EX_OK;
    scripted_free(running);
    return status;
}
