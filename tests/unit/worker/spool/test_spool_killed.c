/* A worker is killed at any moment, again and again; its successors carry on from the ring, the overflow and
 * the kernel's count, and not one byte is lost or there twice.
 *
 * This process plays the supervisor: it keeps a duplicate of the socket, kills, and starts the next one. One
 * child sends the generated stream, the others in turn read, check and release it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/support/generated.h"
#include "tests/support/tcp_pair.h"
#include "worker/source/received.h"
#include "worker/spool/spool.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define HANDSHAKE_BYTES 37 /* read before the stream begins */
#define KILLS 100
#define KILLS_AFTER_FIN 20

struct shared {
    _Atomic uint64_t applied, sent, adopted, overflowed, grown, largest_overflow;
    _Atomic bool stop_sending;
    char failure[256];
};

struct scene {
    char *directory;
    struct spool_config config;
    struct shared *shared;
    int fd;    /* the reading end */
    bool slow; /* the target lags: the overflow fills */
    uint64_t seed;
};

static _Noreturn void child_failed(struct shared *shared, const char *what, const char *detail, uint64_t at)
{
    snprintf(shared->failure, sizeof shared->failure, "%s at %llu: %s", what, (unsigned long long)at, detail);
    _exit(1);
}

static void apply_some(struct scene *sc, struct spool *s, uint64_t most)
{
    struct error error = {0};
    uint64_t at = atomic_load(&sc->shared->applied);
    struct slice here = spool_peek(s, at);
    if (here.len == 0 && spool_received(s) > at && !spool_refill(s, &error))
        child_failed(sc->shared, "nothing to apply", error.text, at);
    if (here.len > most)
        here.len = (size_t)most;
    size_t good = generated_matches(here, at);
    if (good != here.len)
        child_failed(sc->shared, "wrong byte", "lost or doubled", at + good);
    atomic_store(&sc->shared->applied, at + here.len);
    spool_release(s, at + here.len);
    spool_refill(s, &error);
    if (error.class == ERROR_FATAL)
        child_failed(sc->shared, "refill", error.text, at);
}

static struct spool *open_as_successor(struct scene *sc)
{
    struct error error = {0};
    struct spool *s = spool_open(&sc->config, true, &error);
    uint64_t received;
    if (!s)
        child_failed(sc->shared, "open", error.text, 0);
    if (!received_from_kernel(sc->fd, &received))
        child_failed(sc->shared, "kernel", strerror(errno), 0);
    received -= HANDSHAKE_BYTES;
    if (received > spool_received(s))
        atomic_fetch_add(&sc->shared->adopted, 1);
    if (spool_overflow_bytes(s) > 0)
        atomic_fetch_add(&sc->shared->overflowed, 1);
    if (!spool_adopt(s, received, &error))
        child_failed(sc->shared, "adopt", error.text, received);
    return s;
}

static _Noreturn void worker(struct scene *sc)
{
    struct error error = {0};
    struct spool *s = open_as_successor(sc);
    bool ended = false;
    while (!ended || atomic_load(&sc->shared->applied) < spool_received(s)) {
        uint64_t dice = generated_word(++sc->seed);
        size_t got;
        enum spool_read status = ended ? SPOOL_READ_EOF : spool_read_fd(s, sc->fd, &got, &error);
        if (status == SPOOL_READ_ERROR)
            child_failed(sc->shared, "read", error.text, spool_received(s));
        ended = status == SPOOL_READ_EOF;
        if (dice % 16 == 0 &&
            spool_grow(s, atomic_load(&sc->shared->applied), sc->config.ring_bytes * 3 / 2, &error))
            atomic_fetch_add(&sc->shared->grown, 1);
        if (!sc->slow || ended || status == SPOOL_READ_LIMIT || dice % 8 == 1)
            apply_some(sc, s, sc->slow ? 300 * KIB : UINT64_MAX);
        if (status == SPOOL_READ_AGAIN) {
            struct pollfd p = {.fd = sc->fd, .events = POLLIN};
            poll(&p, 1, 1000);
        }
        uint64_t over = spool_overflow_bytes(s);
        if (over > atomic_load(&sc->shared->largest_overflow))
            atomic_store(&sc->shared->largest_overflow, over);
    }
    _exit(0);
}

static _Noreturn void sender(struct shared *shared, int fd)
{
    static uint8_t piece[256 * 1024];
    uint64_t at = 0;
    while (!atomic_load(&shared->stop_sending)) {
        size_t len = 1 + (size_t)(generated_word(at) % sizeof piece), done = 0;
        generated_fill(piece, at, len);
        while (done < len) {
            ssize_t n = send(fd, piece + done, len - done, MSG_NOSIGNAL);
            if (n <= 0)
                _exit(2);
            done += (size_t)n;
        }
        at += len;
    }
    atomic_store(&shared->sent, at);
    _exit(0);
}

static pid_t start_worker(struct scene *sc)
{
    sc->seed += 1000000;
    pid_t pid = fork();
    if (pid == 0)
        worker(sc);
    assert_true(pid > 0);
    return pid;
}

/* At whatever moment that is, some microseconds later; true when it had come to its end by itself. */
static bool killed_after(pid_t pid, uint64_t micros)
{
    struct timespec life = {.tv_nsec = (long)micros * 1000};
    int status;
    nanosleep(&life, NULL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return !WIFSIGNALED(status);
}

/* What this test is about did come up, often enough by chance alone. */
static bool everything_happened(const struct scene *sc)
{
    return sc->shared->adopted > 0 && sc->shared->grown > 0 && (!sc->slow || sc->shared->overflowed > 0);
}

static bool kill_one(struct scene *sc, int i)
{
    bool ended = killed_after(start_worker(sc), generated_word((uint64_t)i) % (i % 8 ? 6000 : 40000));
    if (sc->shared->failure[0])
        fail_msg("after %d kills: %s", i, sc->shared->failure);
    return ended;
}

static void run(struct scene *sc)
{
    int pair[2], status;
    char handshake[HANDSHAKE_BYTES] = {0};
    sc->directory = test_directory_make();
    sc->config.directory = sc->directory;
    sc->shared = mmap(NULL, sizeof *sc->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(sc->shared != MAP_FAILED);
    assert_true(tcp_pair(pair));
    sc->fd = pair[0];
    assert_int_equal(write(pair[1], handshake, sizeof handshake), sizeof handshake);
    assert_int_equal(recv(pair[0], handshake, sizeof handshake, MSG_WAITALL), sizeof handshake);
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    pid_t sending = fork();
    if (sending == 0) {
        close(pair[0]);
        sender(sc->shared, pair[1]);
    }
    close(pair[1]);

    bool ended = false;
    for (int i = 0; i < KILLS || (!everything_happened(sc) && i < 20 * KILLS); i++)
        kill_one(sc, i);
    atomic_store(&sc->shared->stop_sending, true);
    for (int i = 0; i < KILLS_AFTER_FIN && !ended; i++)
        ended = kill_one(sc, i);
    if (!ended) {
        pid_t last = start_worker(sc);
        assert_int_equal(waitpid(last, &status, 0), last);
        if (status != 0)
            fail_msg("the last one: %s", sc->shared->failure);
    }
    assert_int_equal(waitpid(sending, &status, 0), sending);
    assert_int_equal(status, 0);
    assert_int_equal(atomic_load(&sc->shared->applied), atomic_load(&sc->shared->sent));
    print_message("%llu MiB; adopted from the kernel %llu times, with overflow %llu, grown %llu, overflow up "
                  "to %llu KiB\n",
                  (unsigned long long)(sc->shared->sent / MIB), (unsigned long long)sc->shared->adopted,
                  (unsigned long long)sc->shared->overflowed, (unsigned long long)sc->shared->grown,
                  (unsigned long long)(sc->shared->largest_overflow / KIB));
    assert_true(everything_happened(sc));
    close(pair[0]);
    munmap(sc->shared, sizeof *sc->shared);
    test_directory_remove(sc->directory);
}

static void killed_at_any_moment_no_byte_is_lost_or_doubled(void **state)
{
    (void)state;
    struct scene sc = {
        .config = {.flow = 0,
                   .ring_bytes = 2 * MIB,
                   .ring_max_bytes = 64 * MIB,
                   .limit_bytes = 32 * MIB,
                   .session = 1},
    };
    run(&sc);
}

static void nor_when_killed_while_the_overflow_is_in_use(void **state)
{
    (void)state;
    struct scene sc = {
        .config = {.flow = 1,
                   .ring_bytes = 256 * KIB,
                   .ring_max_bytes = 4 * MIB,
                   .limit_bytes = 32 * MIB,
                   .session = 2},
        .slow = true,
    };
    run(&sc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_moment_no_byte_is_lost_or_doubled),
        cmocka_unit_test(nor_when_killed_while_the_overflow_is_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
