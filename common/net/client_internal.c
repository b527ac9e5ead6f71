/* Shared by the files of the RESP client: queue a command, drop the connection, report the failure to the owner. */
#include "common/net/client_internal.h"

#include <stdlib.h>

#include "common/base/clock.h"

void client_queue(struct client *c, uint32_t timeout_ms, client_reply on_reply, void *arg, size_t argc,
                  const struct slice *argv)
{
    struct pending *p = x_calloc(1, sizeof *p);
    *p = (struct pending){.on_reply = on_reply, .arg = arg, .timeout_ms = timeout_ms};
    if (timeout_ms && c->state == CLIENT_READY)
        p->deadline_ms = clock_monotonic_ms() + timeout_ms;
    c->newest_deadline_ms = p->deadline_ms;
    *c->last = p;
    c->last = &p->next;
    resp_command(&c->out, argc, argv);
}

void client_drop_events(struct client *c)
{
    struct event **all[] = {&c->readable, &c->writable, &c->timer};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (*all[i]) {
            event_free(*all[i]);
            *all[i] = NULL;
        }
}

void client_drop_connection(struct client *c)
{
    client_drop_events(c);
    if (c->transport)
        c->transport->close(c->transport);
    c->transport = NULL;
    c->state = CLIENT_OVER;
}

void client_drop_pending(struct client *c)
{
    while (c->first) {
        struct pending *p = c->first;
        c->first = p->next;
        free(p);
    }
    c->last = &c->first;
}

void client_fail(struct client *c, const struct error *error)
{
    if (c->state == CLIENT_OVER)
        return;
    struct error e = *error;
    client_drop_connection(c);
    client_drop_pending(c);
    if (c->callbacks.failed)
        c->callbacks.failed(c, &e, c->callbacks.arg);
}

void client_fail_lost(struct client *c, const char *how)
{
    struct error e = {0};
    error_set(&e, ERROR_RETRY, "%s %s: %s", c->what, c->name, how);
    client_fail(c, &e);
}
