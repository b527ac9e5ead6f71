/* Requests to a run over its control socket. They may block: each is the only work of its process. */
#include "supervisor/cli/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "supervisor/observe/control.h"
#include "supervisor/observe/json.h"
#include "supervisor/state/state_dir.h"

enum { ANSWER_WAIT_S = 10, ANSWER_MAX_BYTES = 64 << 20 };

/* Connects without a look at the lock, which the user may not see: a dead run's socket refuses anyway. */
static int try_connect(const char *directory, int *failure, struct error *error)
{
    struct sockaddr_un address;
    int directory_fd, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *failure = fd < 0 ? errno : 0;
    if (fd < 0)
        return -1;
    errno = 0;
    bool connected = control_address(directory, &address, &directory_fd, error) &&
                     connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    *failure = errno;
    if (directory_fd >= 0)
        close(directory_fd);
    if (connected)
        return fd;
    close(fd);
    return -1;
}

bool status_connect(const struct settings *settings, int *out, struct error *error)
{
    char *directory = state_dir_file(settings, NULL);
    int failure;
    *out = try_connect(directory, &failure, error);
    long pid = *out < 0 ? state_dir_active_pid(settings) : 0;
    if (*out < 0 && failure == EACCES)
        error_fatal(
            error, EX_NOPERM,
            "%s/control.sock: this user may not connect to the run %s: use the user that runs df2redis, or a "
            "member of its group",
            directory, settings->name);
    else if (*out < 0 && pid)
        error_fatal(error, EX_UNAVAILABLE, "the run %s (pid %ld) does not answer on %s/control.sock: %s",
                    settings->name, pid, directory, strerror(failure));
    else if (*out < 0)
        error_fatal(error, EX_UNAVAILABLE,
                    "no run named %s is active in %s; see --name and --state-dir for another", settings->name,
                    settings->state_dir);
    free(directory);
    return *out >= 0;
}

/* Reads up to the end of the first line, or of the connection. */
static bool read_answer(int fd, bool to_the_end, struct buf *answer)
{
    while (answer->len < ANSWER_MAX_BYTES) {
        ssize_t n = read(fd, buf_reserve(answer, 65536), 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        answer->len += (size_t)n;
        if (!to_the_end && memchr(answer->data, '\n', answer->len))
            return true;
    }
    return false;
}

static bool ask_run(const struct settings *settings, const char *request, int *fd, struct buf *answer,
                    struct error *error)
{
    struct timeval limit = {.tv_sec = ANSWER_WAIT_S};
    if (!status_connect(settings, fd, error))
        return false;
    setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bool ended = false;
    bool ok = send(*fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request) &&
              read_answer(*fd, false, answer);
    if (ok || errno == ECONNRESET || errno == EPIPE)
        ended = !answer->len;
    buf_put_u8(answer, '\0');
    if (ok && !ended)
        return true;
    close(*fd);
    if (ended)
        return error_fatal(error, EX_UNAVAILABLE, "the run %s ended before it answered: see its log",
                           settings->name);
    return error_fatal(error, EX_UNAVAILABLE, "the run %s has not answered within %d s", settings->name,
                       ANSWER_WAIT_S);
}

int status_exit_code(const cJSON *status)
{
    return json_is_true(status, "in_step") ? EX_OK : EX_TEMPFAIL;
}

/* Returns the document, with its text in *answer; NULL and *error. */
static cJSON *ask_status(const struct settings *settings, struct buf *answer, struct error *error)
{
    int fd;
    if (!ask_run(settings, "status\n", &fd, answer, error))
        return NULL;
    close(fd);
    cJSON *status = cJSON_Parse((const char *)answer->data);
    if (status && cJSON_IsArray(cJSON_GetObjectItem(status, "flows")))
        return status;
    cJSON_Delete(status);
    error_fatal(error, EX_PROTOCOL,
                "the answer of the run %s is not understood: use the df2redis of its version",
                settings->name);
    return NULL;
}

cJSON *status_ask(const struct settings *settings, struct error *error)
{
    struct buf answer = {0};
    cJSON *status = ask_status(settings, &answer, error);
    buf_free(&answer);
    return status;
}

cJSON *run_request(const struct settings *settings, const char *request, struct error *error)
{
    struct buf answer = {0}, line = {0};
    int fd;
    buf_printf(&line, "%s\n", request);
    buf_put_u8(&line, '\0');
    bool ok = ask_run(settings, (const char *)line.data, &fd, &answer, error);
    cJSON *json = ok ? cJSON_Parse((const char *)answer.data) : NULL;
    if (ok)
        close(fd);
    if (ok && !json)
        error_fatal(error, EX_PROTOCOL,
                    "the answer of the run %s is not understood: use the df2redis of its version",
                    settings->name);
    if (answer.cap)
        explicit_bzero(answer.data, answer.cap);
    buf_free(&answer);
    buf_free(&line);
    return json;
}

int status_command(const struct settings *settings, bool json)
{
    struct error error = {0};
    struct buf answer = {0};
    cJSON *status = ask_status(settings, &answer, &error);
    int code = status ? status_exit_code(status) : error.exit_code;
    if (!status)
        fprintf(stderr, "df2redis: %s\n", error.text);
    else if (json)
        fputs((const char *)answer.data, stdout);
    else
        status_print(status, stdout);
    cJSON_Delete(status);
    buf_free(&answer);
    return code;
}

/* Returns the exit code that the run sent at its end; -1: none, since it was killed. */
static int exit_code_of_run(const struct buf *answer)
{
    const uint8_t *line = answer->len ? memchr(answer->data, '\n', answer->len) : NULL;
    cJSON *json = line ? cJSON_Parse((const char *)line + 1) : NULL;
    const cJSON *code = cJSON_GetObjectItem(json, "exit_code");
    int exit_code = cJSON_IsNumber(code) ? code->valueint : -1;
    cJSON_Delete(json);
    return exit_code;
}

static int tell_end(const struct settings *settings, int exit_code)
{
    const char *name = settings->name;
    if (exit_code == EX_OK)
        printf("run %s has stopped, and all that the source had is applied\n", name);
    else if (exit_code < 0)
        fprintf(stderr,
                "df2redis: the run %s ended without an exit code: it was killed, or failed; see its log\n",
                name);
    else if (exit_code == EX_DATAERR)
        fprintf(stderr, "df2redis: the run %s has stopped, with divergences (exit code %d): see its log\n",
                name, exit_code);
    else
        fprintf(
            stderr,
            "df2redis: the run %s has stopped, and the copy is not complete (exit code %d): see its log\n",
            name, exit_code);
    return exit_code < 0 ? EX_UNAVAILABLE : exit_code;
}

int stop_command(const struct settings *settings)
{
    struct error error = {0};
    struct buf answer = {0};
    struct timeval no_limit = {0};
    int fd, code = EX_UNAVAILABLE;
    if (!ask_run(settings, "stop\n", &fd, &answer, &error)) {
        fprintf(stderr, "df2redis: %s\n", error.text);
        buf_free(&answer);
        return error.exit_code;
    }
    cJSON *json = cJSON_Parse((const char *)answer.data);
    bool stopping = json_is_true(json, "stopping");
    if (!stopping)
        fprintf(stderr, "df2redis: the run %s does not stop: %s\n", settings->name, json_text(json, "error"));
    cJSON_Delete(json);
    /* The connection ends with the run. */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &no_limit, sizeof no_limit);
    if (stopping) {
        answer.len--; /* its terminator */
        read_answer(fd, true, &answer);
        buf_put_u8(&answer, '\0');
        code = tell_end(settings, exit_code_of_run(&answer));
    }
    close(fd);
    buf_free(&answer);
    return code;
}
