/* df2redis-worker: copies one FLOW of a Dragonfly to the target, or compares both. Started by df2redis only, which passes
 * one end of a socketpair as descriptor 3 and sends START, or VERIFY, on it. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/version.h"
#include "common/log/invariant.h"
#include "worker/confine.h"
#include "worker/log_pipe.h"
#include "worker/translate/commands.h"
#include "worker/verifier/verifier.h"
#include "worker/worker.h"

enum { SUPERVISOR_FD = 3, START_WAIT_MS = 30000 };

static bool receive_start(struct message *start)
{
    struct error error;
    struct pollfd ready = {SUPERVISOR_FD, POLLIN, 0};
    for (;;) {
        if (poll(&ready, 1, START_WAIT_MS) <= 0)
            return false;
        enum message_status status = message_receive(SUPERVISOR_FD, start, &error);
        if (status == MESSAGE_OK)
            return start->type == MESSAGE_START || start->type == MESSAGE_VERIFY;
        if (status != MESSAGE_AGAIN)
            return false;
    }
}

static struct flow *of_this;

/* Counts the death as one over its data, also where it was not busy: the supervisor gives up a FLOW whose workers die
 * repeatedly at one place. */
static void before_abort(void)
{
    if (of_this->cursor.marks)
        cursor_set(&of_this->cursor.marks->busy, 1);
    log_pipe_close();
}

static int run_worker(const struct message *start)
{
    struct flow f = {.supervisor = SUPERVISOR_FD};
    struct worker w = {.flow = &f, .source.fd = -1};
    struct error error = {0};
    fcntl(SUPERVISOR_FD, F_SETFL, fcntl(SUPERVISOR_FD, F_GETFL) | O_NONBLOCK);
    f.base = event_base_new();
    of_this = &f;
    invariant_before_abort(before_abort);
    if (!worker_start(&w, start, &error)) {
        log_error("%s", error.text);
        flow_fail(&f, &error);
    } else {
        event_base_dispatch(f.base);
    }
    invariant_before_abort(NULL);
    worker_finish(&w);
    event_base_free(f.base);
    return f.exit_code;
}

static void verifier_turn(void)
{
    log_turn();
    log_pipe_turn();
}

static int run_verifier(const struct message *order)
{
    const struct verifier_host host = {confine_worker, verifier_turn};
    fcntl(SUPERVISOR_FD, F_SETFL, fcntl(SUPERVISOR_FD, F_GETFL) | O_NONBLOCK);
    return verifier_run(SUPERVISOR_FD, order, &host);
}

static int print_usage(void)
{
    fprintf(stderr, "df2redis-worker is started by df2redis, not by hand: see df2redis(1)\n"
                    "usage: df2redis-worker --version | --commands\n");
    return EX_USAGE;
}

int main(int argc, char **argv)
{
    struct message start;
    int type;
    socklen_t length = sizeof type;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("df2redis-worker %s\n", DF2REDIS_VERSION);
        return EX_OK;
    }
    if (argc == 2 && strcmp(argv[1], "--commands") == 0) {
        commands_print(stdout);
        return EX_OK;
    }
    if (argc > 1 || getsockopt(SUPERVISOR_FD, SOL_SOCKET, SO_TYPE, &type, &length) != 0 ||
        type != SOCK_SEQPACKET)
        return print_usage();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* the spool handles the error of a file size limit like a full disk */
    signal(SIGINT, SIG_IGN);  /* from a terminal: the supervisor ends the worker */
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    log_pipe_open();
    if (!receive_start(&start)) {
        fprintf(stderr, "df2redis-worker: the supervisor exited before START\n");
        return EX_SOFTWARE;
    }
    int code = start.type == MESSAGE_VERIFY ? run_verifier(&start) : run_worker(&start);
    message_free(&start);
    log_end();
    log_pipe_close();
    return code;
}
