/* A small spool in a directory of its own, filled with the generated stream. After cmocka.h. */
#ifndef DF2REDIS_TESTS_SPOOL_FIXTURE_H
#define DF2REDIS_TESTS_SPOOL_FIXTURE_H

#include "tests/support/generated.h"
#include "worker/spool/spool.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)

struct fixture {
    char *directory;
    struct spool_config config;
    struct spool *spool;
    struct error error;
    uint64_t seed;
};

static inline int setup(void **state)
{
    struct fixture *f = x_calloc(1, sizeof *f);
    f->directory = test_directory_make();
    f->config = (struct spool_config){
        .directory = f->directory,
        .flow = 3,
        .ring_bytes = 64 * KIB,
        .ring_max_bytes = 4 * MIB,
        .limit_bytes = 64 * MIB,
        .session = 7,
    };
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    spool_close(f->spool);
    test_directory_remove(f->directory);
    free(f);
    return 0;
}

static inline void reopen(struct fixture *f, bool resume)
{
    spool_close(f->spool);
    f->spool = spool_open(&f->config, resume, &f->error);
    if (!f->spool)
        fail_msg("%s", f->error.text);
}

static inline uint64_t random_below(struct fixture *f, uint64_t n)
{
    return generated_word(++f->seed * 31 + 5) % n;
}

/* Puts up to `bytes` of the generated stream in, as TLS would. Returns how many there was a place for. */
static inline uint64_t put_once(struct fixture *f, uint64_t bytes)
{
    size_t room;
    uint8_t *at = spool_write_begin(f->spool, &room, &f->error);
    if (!at)
        return 0;
    size_t n = room < bytes ? room : (size_t)bytes;
    generated_fill(at, spool_received(f->spool), n);
    assert_true(spool_write_end(f->spool, n, &f->error));
    return n;
}

static inline uint64_t put(struct fixture *f, uint64_t bytes)
{
    uint64_t done = 0, n = 1;
    while (done < bytes && n > 0)
        done += n = put_once(f, bytes - done);
    return done;
}

static inline void assert_readable(const struct fixture *f, uint64_t from)
{
    struct slice got = spool_peek(f->spool, from);
    assert_int_equal(got.len, spool_ring_end(f->spool) - from);
    assert_int_equal(generated_matches(got, from), got.len);
}

#endif
