/* The client's first words, AUTH and SELECT, what marks it to a target in import mode, and the ways a server says
 * that it does not want us. */
#include "common/net/client_internal.h"

#include <sysexits.h>

static bool is_to_target(const struct client *c)
{
    return strncmp(c->what, "target", 6) == 0;
}

/* The option that holds the password. */
static const char *side_name(const struct client *c)
{
    return is_to_target(c) ? "target" : "source";
}

static const char *side_upper(const struct client *c)
{
    return is_to_target(c) ? "TARGET" : "SOURCE";
}

static void on_auth(struct client *c, const redisReply *reply, void *arg)
{
    struct error e = {0};
    (void)arg;
    if (reply->type == REDIS_REPLY_STATUS)
        return;
    if (resp_error_is(reply, "LOADING") || resp_error_is(reply, "BUSY"))
        error_set(&e, ERROR_RETRY, "%s %s: AUTH: %s", c->what, c->name, resp_text(reply));
    else
        error_fatal(&e, EX_NOPERM,
                    "%s %s refused the password: %s; set --%s-password-file or DF2REDIS_%s_PASSWORD, or the "
                    "user in its URI",
                    c->what, c->name, resp_text(reply), side_name(c), side_upper(c));
    client_fail(c, &e);
}

static void on_select(struct client *c, const redisReply *reply, void *arg)
{
    struct error e = {0};
    (void)arg;
    if (reply->type == REDIS_REPLY_STATUS)
        return;
    if (resp_error_is(reply, "LOADING") || resp_error_is(reply, "BUSY"))
        error_set(&e, ERROR_RETRY, "%s %s: SELECT: %s", c->what, c->name, resp_text(reply));
    else
        error_fatal(&e, EX_CONFIG, "%s %s refused the database of its URI: %s; choose one that it has",
                    c->what, c->name, resp_text(reply));
    client_fail(c, &e);
}

/* A Valkey (8.1 and later) in import mode lets nothing expire, and hides what is past its time from all but
 * those that say this. Every other target answers an error, and nothing waits for it. */
static void on_import_source(struct client *c, const redisReply *reply, void *arg)
{
    (void)arg;
    c->import_source = reply->type == REDIS_REPLY_STATUS;
}

static void say_import_source(struct client *c)
{
    struct slice argv[] = {slice_str("CLIENT"), slice_str("IMPORT-SOURCE"), slice_str("ON")};
    client_queue(c, 0, on_import_source, NULL, sizeof argv / sizeof *argv, argv);
}

bool client_is_import_source(const struct client *c)
{
    return c->import_source;
}

void client_greet(struct client *c, const struct uri *uri)
{
    struct slice argv[3] = {slice_str("AUTH")};
    size_t argc = 1;
    if (uri->user)
        argv[argc++] = slice_str(uri->user);
    if (uri->user || uri->password) {
        argv[argc++] = slice_str(uri->password ? uri->password : "");
        client_queue(c, 0, on_auth, NULL, argc, argv);
    }
    if (uri->db) {
        char number[21];
        argv[0] = slice_str("SELECT");
        argv[1] = slice_of(number, format_u64(number, uri->db));
        client_queue(c, 0, on_select, NULL, 2, argv);
    }
    if (is_to_target(c))
        say_import_source(c);
}

bool client_is_greeting(const struct pending *p)
{
    return p->on_reply == on_auth || p->on_reply == on_select;
}

bool client_refused(struct client *c, const redisReply *reply)
{
    struct error e = {0};
    if (reply->type != REDIS_REPLY_ERROR)
        return false;
    if (resp_error_is(reply, "NOAUTH"))
        error_fatal(&e, EX_NOPERM, "%s %s wants a password: set --%s-password-file or DF2REDIS_%s_PASSWORD",
                    c->what, c->name, side_name(c), side_upper(c));
    else if (resp_error_is(reply, "DENIED"))
        error_fatal(&e, EX_NOPERM,
                    "%s %s is in protected mode and takes only local connections: give it a password or set "
                    "its protected-mode to no",
                    c->what, c->name);
    else if (resp_error_is(reply, "ERR max number of clients"))
        error_set(&e, ERROR_RETRY, "%s %s has too many clients: %s", c->what, c->name, resp_text(reply));
    else
        return false;
    client_fail(c, &e);
    return true;
}
