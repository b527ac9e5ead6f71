/* Signs of life. A master whose slots others serve now has given them away by MIGRATE if it is still there,
 * as who it was; one that hangs, or is cut off, may have had them taken, and its link tells nothing of that
 * for long. So it is asked, over a connection of its own, once it is known that the slots have moved:
 *
 *   moved ──its replica has them──> no question
 *     └──INFO server──the same run id──> it has given them away
 *          ├──another one──> it is not trusted any more
 *          └──no answer within five seconds──> nor is it, unless it may just hang: listed, linked, and not
 *                                              called failed. Then it is asked again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/cluster/cluster.h"

enum { SIGN_TIMEOUT_MS = 5000 };

static struct sign *find(struct cluster *c, const char *id)
{
    for (size_t i = 0; i < c->sign_count; i++)
        if (strcmp(c->signs[i]->id, id) == 0)
            return c->signs[i];
    return NULL;
}

static void stop_asking(struct sign *s)
{
    client_free(s->client);
    s->client = NULL;
}

void cluster_signs_want(struct cluster *c, const char *id, const struct uri *uri)
{
    struct sign *s = find(c, id);
    if (!s) {
        c->signs = x_realloc(c->signs, (c->sign_count + 1) * sizeof *c->signs);
        s = c->signs[c->sign_count++] = x_calloc(1, sizeof *s);
        s->cluster = c;
        snprintf(s->id, sizeof s->id, "%s", id);
    }
    stop_asking(s);
    uri_free(&s->uri);
    uri_copy(&s->uri, uri);
    s->state = SIGN_WANTED;
}

void cluster_signs_forget(struct cluster *c)
{
    for (size_t i = 0; i < c->sign_count; i++) {
        stop_asking(c->signs[i]);
        uri_free(&c->signs[i]->uri);
        free(c->signs[i]);
    }
    free(c->signs);
    c->signs = NULL;
    c->sign_count = 0;
}

/* ---- the question ---- */

static void is_there(struct sign *s)
{
    s->state = SIGN_SEEN;
    cluster_proceed(s->cluster);
}

static void is_lost(struct sign *s)
{
    cluster_distrust_id(s->cluster, s->id);
    is_there(s); /* or was: there is nothing more to be asked */
}

static void is_silent(struct sign *s, const char *why)
{
    struct cluster *c = s->cluster;
    struct error error;
    size_t i = topology_find(&c->topology, s->id);
    if (i == TOPOLOGY_NOBODY || !c->nodes[i]->ready || c->topology.nodes[i].failed) {
        is_lost(s);
        return;
    }
    s->state = SIGN_WANTED;
    error_set(&error, ERROR_RETRY, "node %.8s had slots that others serve now, and does not answer: %.200s",
              s->id, why);
    cluster_wait(c, &error);
}

static void on_info(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct sign *s = arg;
    const struct identity *known = identities_find(&s->cluster->known, s->id);
    static const char field[] = "run_id:";
    const char *at = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, field) : NULL;
    bool same = at && known && *known->run_id &&
                strncmp(at + sizeof field - 1, known->run_id, strlen(known->run_id)) == 0;
    bool loads = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "LOADING", 7) == 0;
    stop_asking(s);
    /* Who may not ask has to do without: it has answered, and its link stands. */
    if (same || (!at && !loads))
        is_there(s);
    else
        is_lost(s);
}

static void on_ready(struct client *client, void *arg)
{
    client_words(client, SIGN_TIMEOUT_MS, on_info, arg, "INFO", "server", NULL);
}

static void on_failed(struct client *client, const struct error *error, void *arg)
{
    (void)client;
    struct sign *s = arg;
    struct error copy = *error;
    stop_asking(s);
    is_silent(s, copy.text);
}

static bool is_needed(const struct cluster *c, const struct sign *s)
{
    size_t known = identities_index(&c->known, s->id);
    for (uint16_t slot = 0; known != IDENTITY_NONE && slot < CLUSTER_SLOTS; slot++)
        if (c->moved_from[slot] == known &&
            !cluster_is_heir(c, c->nodes[c->topology.owner[slot]], &c->known.list[known]))
            return true;
    return false;
}

static void ask(struct sign *s)
{
    struct cluster *c = s->cluster;
    struct client_callbacks on = {s, on_ready, on_failed};
    struct error error;
    s->state = SIGN_ASKED;
    s->client = client_connect(c->router->base, &s->uri, c->router->config.settings, "target", &on, &error);
    if (!s->client)
        is_silent(s, error.text);
}

bool cluster_signs_settled(struct cluster *c)
{
    for (size_t i = 0; i < c->sign_count; i++)
        if (c->signs[i]->state == SIGN_WANTED && is_needed(c, c->signs[i])) {
            ask(c->signs[i]);
            return false;
        } else if (c->signs[i]->state == SIGN_ASKED) {
            return false;
        }
    return true;
}
