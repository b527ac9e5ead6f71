/* Whether a node is the same process with the same history: then it has what was written to that process. */
#include "worker/cluster/cluster.h"

bool cluster_is_process(const struct node *n, const char *run_id, const char *replid)
{
    const struct capabilities *now = &n->target;
    return *now->run_id && strcmp(now->run_id, run_id) == 0 && strcmp(now->replid, replid) == 0;
}

bool cluster_mark_names(const struct node *n, const struct marked_node *as)
{
    return cluster_is_process(n, as->run_id, as->replid);
}

bool cluster_covers(const struct cluster *c, const struct node *n, const struct node *at,
                    const struct marked_node *as)
{
    return cluster_mark_names(n, as) ||
           (at == n && as->fingerprint == c->topology.nodes[n->index].fingerprint);
}
