/* Probes of masters whose slots other nodes serve by now. If such a master is alive and still the same process, its
 * slots moved by MIGRATE. If it hangs or is cut off, they may have been reassigned without their keys, and its link
 * shows that only much later. So it is probed over a separate connection once its slots have moved:
 *
 *   moved ──its promoted replica has them──> no probe
 *     └──INFO server──same run id──> the slots moved by MIGRATE
 *          ├──another run id──> its run id is forgotten: it may have lost writes
 *          └──no answer in 5 s──> likewise, but a node that is listed, linked and not flagged as failed may only
 *                                 hang: it is probed again */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/cluster/cluster.h"

enum { LIVENESS_TIMEOUT_MS = 5000 };

static struct liveness *find_liveness(struct cluster *c, const char *id)
{
    for (size_t i = 0; i < c->liveness_count; i++)
        if (strcmp(c->liveness[i]->id, id) == 0)
            return c->liveness[i];
    return NULL;
}

static void end_probe(struct liveness *l)
{
    client_free(l->client);
    l->client = NULL;
}

void cluster_liveness_want(struct cluster *c, const char *id, const struct uri *uri)
{
    struct liveness *l = find_liveness(c, id);
    if (!l) {
        c->liveness = x_realloc(c->liveness, (c->liveness_count + 1) * sizeof *c->liveness);
        l = c->liveness[c->liveness_count++] = x_calloc(1, sizeof *l);
        l->cluster = c;
        snprintf(l->id, sizeof l->id, "%s", id);
    }
    end_probe(l);
    uri_free(&l->uri);
    uri_copy(&l->uri, uri);
    l->state = LIVENESS_WANTED;
}

void cluster_liveness_forget(struct cluster *c)
{
    for (size_t i = 0; i < c->liveness_count; i++) {
        end_probe(c->liveness[i]);
        uri_free(&c->liveness[i]->uri);
        free(c->liveness[i]);
    }
    free(c->liveness);
    c->liveness = NULL;
    c->liveness_count = 0;
}

/* ---- the probe ---- */

static void liveness_known(struct liveness *l)
{
    l->state = LIVENESS_KNOWN;
    cluster_proceed(l->cluster);
}

static void process_is_gone(struct liveness *l)
{
    cluster_forget_run_id(l->cluster, l->id);
    liveness_known(l); /* nothing more to learn from it */
}

static void probe_unanswered(struct liveness *l, const char *why)
{
    struct cluster *c = l->cluster;
    struct error error;
    size_t i = topology_find(&c->topology, l->id);
    if (i == TOPOLOGY_NOBODY || !c->nodes[i]->ready || c->topology.nodes[i].failed) {
        process_is_gone(l);
        return;
    }
    l->state = LIVENESS_WANTED;
    error_set(&error, ERROR_RETRY, "node %.8s, whose slots other nodes serve now, does not answer: %.200s",
              l->id, why);
    cluster_wait(c, &error);
}

static void on_probe_info(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct liveness *l = arg;
    const struct identity *known = identities_find(&l->cluster->known, l->id);
    static const char field[] = "run_id:";
    const char *at = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, field) : NULL;
    bool same = at && known && *known->run_id &&
                strncmp(at + sizeof field - 1, known->run_id, strlen(known->run_id)) == 0;
    bool loads = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "LOADING", 7) == 0;
    end_probe(l);
    /* Without permission for INFO the answer itself counts: the link stands as well. */
    if (same || (!at && !loads))
        liveness_known(l);
    else
        process_is_gone(l);
}

static void on_probe_ready(struct client *client, void *arg)
{
    client_words(client, LIVENESS_TIMEOUT_MS, on_probe_info, arg, "INFO", "server", NULL);
}

static void on_probe_failed(struct client *client, const struct error *error, void *arg)
{
    (void)client;
    struct liveness *l = arg;
    struct error copy = *error;
    end_probe(l);
    probe_unanswered(l, copy.text);
}

static bool liveness_matters(const struct cluster *c, const struct liveness *l)
{
    size_t known = identities_index(&c->known, l->id);
    for (uint16_t slot = 0; known != IDENTITY_NONE && slot < CLUSTER_SLOTS; slot++)
        if (c->previous_owner[slot] == known &&
            !cluster_is_promoted_from(c, c->nodes[c->topology.owner[slot]], &c->known.list[known]))
            return true;
    return false;
}

static void begin_probe(struct liveness *l)
{
    struct cluster *c = l->cluster;
    struct client_callbacks on = {l, on_probe_ready, on_probe_failed};
    struct error error;
    l->state = LIVENESS_ASKED;
    l->client = client_connect(c->router->base, &l->uri, c->router->config.settings, "target", &on, &error);
    if (!l->client)
        probe_unanswered(l, error.text);
}

bool cluster_liveness_settled(struct cluster *c)
{
    for (size_t i = 0; i < c->liveness_count; i++)
        if (c->liveness[i]->state == LIVENESS_WANTED && liveness_matters(c, c->liveness[i])) {
            begin_probe(c->liveness[i]);
            return false;
        } else if (c->liveness[i]->state == LIVENESS_ASKED) {
            return false;
        }
    return true;
}
