/* One connection to a node of the target, and the first half of the probe: kind, version and capabilities. */
#include "supervisor/target/target_internal.h"

static void on_probe_answer(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    struct error error = {0};
    if (n->job->over || n->away)
        return;
    if (!capabilities_reply(&n->capabilities, n->answered, reply, &error))
        n->job->node_failed(n, &error);
    else if (++n->answered < CAPABILITIES_COMMANDS)
        return;
    else if (n->job->task == TARGET_ASK &&
             (n->capabilities.kind != SERVER_OTHER || !n->capabilities.version_text[0]))
        target_node_probe_more(n);
    else
        n->job->node_probed(n);
}

static void on_node_ready(struct client *c, void *arg)
{
    struct target_node *n = arg;
    struct slice argv[CAPABILITIES_MAX_ARGS];
    for (int i = 0; i < CAPABILITIES_COMMANDS; i++) {
        size_t argc = capabilities_command(i, argv, CAPABILITIES_MAX_ARGS);
        client_command(c, n->job->settings->connect_timeout_ms, on_probe_answer, n, argc, argv);
    }
}

static void on_node_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    n->job->node_failed(n, error);
}

bool target_node_open(struct target_node *n, struct target_job *job, const struct uri *uri,
                      struct error *error)
{
    struct client_callbacks callbacks = {.arg = n, .ready = on_node_ready, .failed = on_node_failed};
    *n = (struct target_node){.job = job};
    uri_display(uri, n->name, sizeof n->name);
    n->client = client_connect(job->base, uri, job->settings, "target", &callbacks, error);
    return n->client != NULL;
}

void target_node_close(struct target_node *n)
{
    client_free(n->client);
    n->client = NULL;
    target_marks_free(&n->marks);
}
