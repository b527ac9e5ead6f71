/* What happens to a single target, and to the link to it. */
#include "tests/soak/soak.h"

#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>

#include "tests/support/testing.h"

enum { NOTICED_MS = 2000 };

static void tell(struct soak *s, const char *command)
{
    soak_tell(s->run.target.port, command);
}

void fault_cut_target(struct soak *s)
{
    proxy_cut(s->targets[0].link);
}

void fault_cut_target_anywhere(struct soak *s)
{
    proxy_cut_after(s->targets[0].link, 1000 + random_below(&s->random, 100000));
    soak_go_on(s, soak_some_ms(s, 200, 2000));
    proxy_cut_after(s->targets[0].link, 0);
}

void fault_slow_target(struct soak *s)
{
    proxy_slow(s->targets[0].link, soak_some_ms(s, 0, 300), soak_some_rate(s));
    soak_go_on(s, soak_some_ms(s, 500, 4000));
    proxy_slow(s->targets[0].link, 0, 0);
}

void fault_kill_clients(struct soak *s)
{
    tell(s, "CLIENT KILL TYPE normal");
}

void fault_restart_target(struct soak *s)
{
    soak_start_target(s);
}

static void run_shell(const char *format, const char *dir)
{
    char *line = format_text(format, dir, dir, dir);
    if (system(line) != 0)
        die("%s", line);
    free(line);
}

void fault_restart_target_empty(struct soak *s)
{
    process_stop(&s->run.target.process);
    run_shell("rm -rf %s/appendonlydir", s->run.target.dir);
    soak_start_target(s);
}

/* As a snapshot of its disk would bring it back; half a command at the end is cut off by the server. */
void fault_restart_target_from_an_older_copy(struct soak *s)
{
    process_signal(&s->run.target.process, SIGSTOP);
    run_shell("rm -rf %s/old; cp -r %s/appendonlydir %s/old", s->run.target.dir);
    process_signal(&s->run.target.process, SIGCONT);
    soak_go_on(s, soak_some_ms(s, 50, 3000));
    process_stop(&s->run.target.process);
    run_shell("rm -rf %s/appendonlydir; mv %s/old %s/appendonlydir", s->run.target.dir);
    soak_start_target(s);
}

void fault_stop_target(struct soak *s)
{
    process_signal(&s->run.target.process, SIGSTOP);
    soak_go_on(s, soak_some_ms(s, 100, 4000));
    process_signal(&s->run.target.process, SIGCONT);
}

void fault_fill_target(struct soak *s)
{
    tell(s, "CONFIG SET maxmemory 1");
    soak_go_on(s, soak_some_ms(s, 50, 2000));
    tell(s, "CONFIG SET maxmemory 0");
}

void fault_demote_target(struct soak *s)
{
    tell(s, "REPLICAOF 127.0.0.1 1");
    soak_go_on(s, soak_some_ms(s, 50, 2000));
    tell(s, "REPLICAOF NO ONE");
}

void fault_flush_target(struct soak *s)
{
    soak_wait_in_step(s);
    tell(s, "FLUSHALL");
    if (!soak_wait_full_sync(s))
        s->trouble = "that another client flushed the target was not noticed";
}

/* ---- eviction ---- */

/* What is evicted never comes back by itself. It has to be told, and the way out is to copy anew. A FLOW that connected
 * meanwhile may end the run a moment later: the mark is gone, and it takes it for an evicted one. */
void fault_evict(struct soak *s)
{
    if (!soak_evict(s, s->run.target.port))
        return;
    /* (Of a copy that was only begun, and refused since, nothing is lost with it.) */
    soak_wait_in_step(s);
    uint64_t before = soak_full_syncs(s);
    fault_restart_target_empty(s);
    if (soak_wait_full_sync_after(s, before))
        return;
    if (process_running(&s->run.program.process))
        s->trouble = "that the target lost everything was not noticed";
    else if (s->run.program.process.status != EX_CONFIG)
        s->trouble = "the program ended by itself";
    else
        soak_start_program(s);
}

/* ---- the clock ---- */

/* For long enough to be noticed: what has expired too early there is written again by a comparison of all keys, which
 * needs a source that has them. */
void fault_change_clock(struct soak *s)
{
    int64_t off_ms = soak_some_ms(s, 500, 40000);
    soak_set_clock(s, 0, random_below(&s->random, 2) ? off_ms : -off_ms);
    soak_go_on(s, soak_some_ms(s, NOTICED_MS, 4000));
    soak_set_clock(s, 0, 0);
}
