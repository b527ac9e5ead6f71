#include "tests/support/browser.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/testing.h"

enum { ANSWER_MS = 300000, READ_BYTES = 65536 };

static const char *program(void)
{
    const char *named = getenv("DF2REDIS_TEST_CHROMIUM");
    return named && *named ? named : "chromium";
}

bool browser_here(void)
{
    char *command = format_text("command -v '%s' >/dev/null 2>&1", program());
    bool here = system(command) == 0;
    free(command);
    return here;
}

static void become_browser(const struct browser *b, int in, int out, unsigned width, unsigned height)
{
    char *profile = format_text("--user-data-dir=%s/profile", b->directory);
    char *size = format_text("--window-size=%u,%u", width, height);
    char *log = format_text("%s/log", b->directory);
    int fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Out of the way of 3 and 4 first. */
    in = fcntl(in, F_DUPFD_CLOEXEC, 10);
    out = fcntl(out, F_DUPFD_CLOEXEC, 10);
    if (dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || dup2(in, 3) < 0 || dup2(out, 4) < 0)
        _exit(126);
    /* Its own sandbox does not start as root, nor in most containers; what it loads here is ours. */
    execlp(program(), program(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
           "--no-first-run", "--disable-extensions", "--disable-background-networking", "--hide-scrollbars",
           "--remote-debugging-pipe", profile, size, "about:blank", (char *)NULL);
    _exit(127);
}

/* ---- messages ---- */

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return false;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static const char *text_at(const cJSON *json, const char *first, const char *second)
{
    const cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(json, first), second);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static void note_event(struct browser *b, const cJSON *message)
{
    const cJSON *params = cJSON_GetObjectItem(message, "params");
    const cJSON *method = cJSON_GetObjectItem(message, "method");
    if (!cJSON_IsString(method))
        return;
    if (strcmp(method->valuestring, "Network.requestWillBeSent") == 0)
        buf_printf(&b->requested, "%s\n", text_at(params, "request", "url"));
    else if (strcmp(method->valuestring, "Log.entryAdded") == 0)
        buf_printf(&b->complaints, "%s\n", text_at(params, "entry", "text"));
    else if (strcmp(method->valuestring, "Runtime.exceptionThrown") == 0)
        buf_printf(&b->complaints, "%s\n", text_at(params, "exceptionDetails", "text"));
}

/* The next message, or NULL at the end or the deadline. */
static cJSON *receive(struct browser *b, uint64_t end_ms)
{
    for (;;) {
        uint8_t *zero = b->input.len ? memchr(b->input.data, 0, b->input.len) : NULL;
        if (zero) {
            size_t len = (size_t)(zero - b->input.data) + 1;
            cJSON *message = cJSON_Parse((const char *)b->input.data);
            memmove(b->input.data, b->input.data + len, b->input.len - len);
            b->input.len -= len;
            return message;
        }
        uint64_t now_ms = clock_monotonic_ms();
        struct pollfd ready = {.fd = b->from, .events = POLLIN};
        if (now_ms >= end_ms || poll(&ready, 1, (int)(end_ms - now_ms)) <= 0)
            return NULL;
        ssize_t n = read(b->from, buf_reserve(&b->input, READ_BYTES), READ_BYTES);
        if (n <= 0)
            return NULL;
        b->input.len += (size_t)n;
    }
}

/* Sends a command and waits for its result; takes params. The caller deletes what comes; NULL: an error. */
static cJSON *call(struct browser *b, const char *method, cJSON *params)
{
    cJSON *message, *command = cJSON_CreateObject();
    unsigned id = ++b->id;
    cJSON_AddNumberToObject(command, "id", id);
    cJSON_AddStringToObject(command, "method", method);
    cJSON_AddItemToObject(command, "params", params ? params : cJSON_CreateObject());
    if (*b->session)
        cJSON_AddStringToObject(command, "sessionId", b->session);
    char *text = cJSON_PrintUnformatted(command);
    bool sent = send_all(b->to, text, strlen(text) + 1);
    uint64_t end_ms = clock_monotonic_ms() + ANSWER_MS;
    cJSON_free(text);
    cJSON_Delete(command);
    while (sent && (message = receive(b, end_ms))) {
        const cJSON *answered = cJSON_GetObjectItem(message, "id");
        if (cJSON_IsNumber(answered) && answered->valueint == (int)id) {
            cJSON *result = cJSON_DetachItemFromObject(message, "result");
            if (!result)
                fprintf(stderr, "browser: %s: %s\n", method, text_at(message, "error", "message"));
            cJSON_Delete(message);
            return result;
        }
        note_event(b, message);
        cJSON_Delete(message);
    }
    fprintf(stderr, "browser: no answer to %s\n", method);
    return NULL;
}

static cJSON *with_text(const char *name, const char *value)
{
    cJSON *params = cJSON_CreateObject();
    cJSON_AddStringToObject(params, name, value);
    return params;
}

static bool done(cJSON *result)
{
    cJSON_Delete(result);
    return result != NULL;
}

/* ---- what tests ask for ---- */

static bool attach(struct browser *b)
{
    cJSON *target = call(b, "Target.createTarget", with_text("url", "about:blank"));
    if (!target)
        return false;
    cJSON *params = with_text("targetId", cJSON_GetStringValue(cJSON_GetObjectItem(target, "targetId")));
    cJSON_AddTrueToObject(params, "flatten");
    cJSON_Delete(target);
    cJSON *session = call(b, "Target.attachToTarget", params);
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItem(session, "sessionId"));
    snprintf(b->session, sizeof b->session, "%s", id ? id : "");
    cJSON_Delete(session);
    return *b->session && done(call(b, "Runtime.enable", NULL)) && done(call(b, "Log.enable", NULL)) &&
           done(call(b, "Network.enable", NULL)) && done(call(b, "Page.enable", NULL));
}

bool browser_start(struct browser *b, unsigned width, unsigned height)
{
    int to[2], from[2];
    *b = (struct browser){.directory = temp_dir_make("browser"), .to = -1, .from = -1};
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        die("no pipes for a browser: %s", strerror(errno));
    b->pid = fork();
    if (b->pid == 0)
        become_browser(b, to[0], from[1], width, height);
    close(to[0]);
    close(from[1]);
    b->to = to[1];
    b->from = from[0];
    signal(SIGPIPE, SIG_IGN);
    return b->pid > 0 && attach(b);
}

bool browser_open(struct browser *b, const char *url)
{
    return done(call(b, "Page.navigate", with_text("url", url)));
}

char *browser_eval(struct browser *b, const char *expression)
{
    char *text = format_text("String(%s)", expression), *value = NULL;
    cJSON *result = call(b, "Runtime.evaluate", with_text("expression", text));
    if (result && !cJSON_GetObjectItem(result, "exceptionDetails"))
        value = x_strdup(text_at(result, "result", "value"));
    cJSON_Delete(result);
    free(text);
    return value;
}

struct waiting_for {
    struct browser *browser;
    const char *expression;
};

static bool is_true(void *arg)
{
    const struct waiting_for *w = arg;
    char *value = browser_eval(w->browser, w->expression);
    bool yes = value && strcmp(value, "true") == 0;
    free(value);
    return yes;
}

bool browser_wait(struct browser *b, const char *expression, uint32_t deadline_ms)
{
    struct waiting_for w = {b, expression};
    return wait_until(is_true, &w, deadline_ms);
}

bool browser_picture(struct browser *b, struct buf *png)
{
    cJSON *result = call(b, "Page.captureScreenshot", with_text("format", "png"));
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(result, "data"));
    size_t len = text ? strlen(text) : 0;
    int n = -1;
    if (len && len < INT32_MAX) {
        uint8_t *to = buf_reserve(png, len);
        n = EVP_DecodeBlock(to, (const uint8_t *)text, (int)len);
        for (size_t i = len; n > 0 && i > len - 2 && text[i - 1] == '='; i--)
            n--; /* what the padding stood for */
    }
    cJSON_Delete(result);
    png->len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

void browser_stop(struct browser *b)
{
    if (b->pid > 0) {
        kill(-b->pid, SIGKILL);
        waitpid(b->pid, NULL, 0);
    }
    if (b->to >= 0)
        close(b->to);
    if (b->from >= 0)
        close(b->from);
    buf_free(&b->input);
    buf_free(&b->requested);
    buf_free(&b->complaints);
    temp_dir_remove(b->directory);
    *b = (struct browser){.to = -1, .from = -1};
}
