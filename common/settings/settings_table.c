/* All settings, one row each, in the order the help shows them. */
#include "common/settings/settings_table.h"

#define KIB(n) (UINT64_C(n) << 10)
#define MIB(n) (UINT64_C(n) << 20)
#define GIB(n) (UINT64_C(n) << 30)
#define SECONDS(n) (UINT64_C(n) * 1000)
#define HOURS(n) (UINT64_C(n) * 3600 * 1000)

#define ROW(of_kind, text_name, text_argument, member, ...)                                                  \
    .kind = of_kind, .offset = offsetof(struct settings, member),                                            \
    .size = sizeof(((struct settings *)NULL)->member), .help.name = text_name,                               \
    .help.argument = text_argument, __VA_ARGS__
#define RANGE(low, high) .min = (low), .max = (high)
#define HELP(text) .help.help = text

static const char *const conflict_choices[] = {"", "overwrite", "skip", "stop"};
static const char *const resync_choices[] = {"flush", "keep", "stop", "prune"};
static const char *const spool_full_choices[] = {"end-session", "block"};
static const char *const level_choices[] = {"error", "warning", "info", "debug"};
static const char *const format_choices[] = {"text", "json"};
static const char *const progress_choices[] = {"auto", "off"};

/* Choices are stored as their index. */
_Static_assert(sizeof(enum on_conflict) == 4 && sizeof(enum log_level) == 4, "enums are four bytes");
_Static_assert(ON_CONFLICT_STOP == 3 && ON_FULL_RESYNC_PRUNE == 3, "choices are in the enums' order");
_Static_assert(sizeof(enum on_spool_full) == 4 && ON_SPOOL_FULL_BLOCK == 1,
               "choices are in the enum's order");
_Static_assert(LOG_LEVEL_DEBUG == 3 && LOG_FORMAT_JSON == 1, "choices are in the enums' order");

/* clang-format off */
const struct setting settings_table[] = {
    {ROW(SETTING_URI, "source", "URI", source, .text_offset = offsetof(struct settings, source_text),
         HELP("the Dragonfly to copy: redis://[user[:password]@]host[:port]; rediss:// for TLS; several "
              "addresses separated by commas: the master among them"))},
    {ROW(SETTING_URI, "target", "URI", target, .text_offset = offsetof(struct settings, target_text),
         HELP("the Redis or Valkey to copy into; also unix:///path; any node of a cluster"))},
    {ROW(SETTING_NAME, "name", "NAME", name,
         HELP("name of the run, of its state and of its marks in the target (default)"))},
    {ROW(SETTING_TEXT, "state-dir", "DIR", state_dir,
         HELP("directory for state and spool of runs (as root: /var/lib/df2redis)"))},
    {ROW(SETTING_CHOICE, "on-conflict", "WHAT", on_conflict,
         .choices = conflict_choices, RANGE(ON_CONFLICT_OVERWRITE, ON_CONFLICT_STOP),
         HELP("if a key already exists in the target: overwrite, skip or stop"))},
    {ROW(SETTING_FLAG, "flush-target", NULL, flush_target, HELP("empty the target first"))},
    {ROW(SETTING_CHOICE, "on-full-resync", "WHAT", on_full_resync,
         .choices = resync_choices, RANGE(ON_FULL_RESYNC_FLUSH, ON_FULL_RESYNC_PRUNE),
         HELP("if another full sync is needed: flush the target, keep its keys, stop, or prune: write over its "
              "keys, then remove those that the source lacks (flush; with --on-conflict: stop)"))},
    {ROW(SETTING_LIST, "include", "GLOB", include, HELP("copy only keys that match; may be repeated"))},
    {ROW(SETTING_LIST, "exclude", "GLOB", exclude, HELP("leave out keys that match; may be repeated"))},
    {ROW(SETTING_DB, "db", "A[:B],...", db_maps,
         HELP("copy only these databases; A:B copies A of the source into B of the target"))},
    {ROW(SETTING_FLAG, "marks", "on|off", marks, HELP("store the position in the target, to apply writes exactly once (on)"))},
    {ROW(SETTING_BYTES, "max-rate", "BYTES", max_rate_bytes, RANGE(0, GIB(1024)),
         HELP("apply at most this much of the stream per second, e.g. 20m (0: no limit)"))},
    {ROW(SETTING_BYTES, "ring-size", "BYTES", ring_bytes, RANGE(KIB(64), GIB(1)),
         HELP("memory-mapped part of each FLOW's spool (64m)"))},
    {ROW(SETTING_BYTES, "spool-limit", "BYTES", spool_limit_bytes, RANGE(0, GIB(1048576)),
         HELP("disk space that each FLOW may use while the target lags (10g)"))},
    {ROW(SETTING_CHOICE, "on-spool-full", "WHAT", on_spool_full,
         .choices = spool_full_choices, RANGE(0, ON_SPOOL_FULL_BLOCK),
         HELP("at that limit, or if the disk is full: end-session with the source until there is room, or "
              "block the clients of the source (end-session)"))},
    {ROW(SETTING_BYTES, "restore-limit", "BYTES", restore_limit_bytes, RANGE(0, MIB(512)),
         HELP("larger values are written in pieces (1m)"))},
    {ROW(SETTING_BYTES, "batch-bytes", "BYTES", batch_bytes, RANGE(KIB(1), MIB(64)),
         HELP("size of a batch to the target (256k)"))},
    {ROW(SETTING_COUNT, "batch-commands", "N", batch_commands, RANGE(1, 1000000),
         HELP("commands in a batch (1000)"))},
    {ROW(SETTING_BYTES, "window-bytes", "BYTES", window_bytes, RANGE(KIB(16), GIB(1)),
         HELP("bytes sent but not answered per connection (4m)"))},
    {ROW(SETTING_DURATION, "connect-timeout", "TIME", connect_timeout_ms, RANGE(100, HOURS(1)),
         HELP("for connecting, TLS and AUTH together (10s)"))},
    {ROW(SETTING_DURATION, "stuck-warning", "TIME", stuck_warning_ms, RANGE(100, HOURS(24)),
         HELP("warn about a FLOW without progress in the full sync (60s)"))},
    {ROW(SETTING_DURATION, "barrier-timeout", "TIME", barrier_timeout_ms, RANGE(SECONDS(1), HOURS(168)),
         HELP("give up a full sync in which no FLOW makes progress (10m)"))},
    {ROW(SETTING_DURATION, "target-retry", "TIME", target_retry_ms, RANGE(0, HOURS(720)),
         HELP("how long to wait for a target in trouble (0: forever)"))},
    {ROW(SETTING_COUNT, "restart-limit", "N", restart_limit, RANGE(1, 1000),
         HELP("deaths of a worker at one entry before its FLOW is given up (5)"))},
    {ROW(SETTING_COUNT, "failed-flows", "PERCENT", failed_flows_percent, RANGE(0, 100),
         HELP("share of FLOWs that may be given up before the run fails (25)"))},
    {ROW(SETTING_TEXT, "source-password-file", "FILE", source_password_file,
         HELP("file with the source's password; or set DF2REDIS_SOURCE_PASSWORD"))},
    {ROW(SETTING_TEXT, "target-password-file", "FILE", target_password_file,
         HELP("file with the target's password; or set DF2REDIS_TARGET_PASSWORD"))},
    {ROW(SETTING_TEXT, "tls-ca", "FILE", tls_ca_file, HELP("trusted certificates, PEM (those of the system)"))},
    {ROW(SETTING_TEXT, "tls-cert", "FILE", tls_cert_file, HELP("client certificate, PEM"))},
    {ROW(SETTING_TEXT, "tls-key", "FILE", tls_key_file, HELP("private key of the client certificate, PEM"))},
    {ROW(SETTING_FLAG, "tls-insecure", NULL, tls_insecure, HELP("do not verify the server's certificate"))},
    {ROW(SETTING_CHOICE, "log-level", "LEVEL", log_level,
         .choices = level_choices, RANGE(0, LOG_LEVEL_DEBUG),
         HELP("error, warning, info or debug (info)"))},
    {ROW(SETTING_CHOICE, "log-format", "FORMAT", log_format,
         .choices = format_choices, RANGE(0, LOG_FORMAT_JSON),
         HELP("text or json (text)"))},
    {ROW(SETTING_TEXT, "log-file", "FILE", log_file, HELP("log to this file, reopened at SIGHUP (standard error)"))},
    {ROW(SETTING_FLAG, "syslog", NULL, syslog, HELP("log to syslog"))},
    {ROW(SETTING_FLAG, "daemon", NULL, daemon,
         HELP("detach into the background once the target accepts writes; log to syslog unless --log-file is "
              "given"))},
    {ROW(SETTING_TEXT, "pidfile", "FILE", pid_file, HELP("write the process id to this file"))},
    {ROW(SETTING_WORD, "user", "USER", user,
         HELP("as root: become this user (with --daemon: df2redis, if it exists)"))},
    {ROW(SETTING_FLAG, "confine", "on|off", confine,
         HELP("confine the workers to what they need, as far as the kernel supports it (on)"))},
    {ROW(SETTING_ADDRESS, "metrics", "[ADDR:]PORT", metrics,
         HELP("answer HTTP at this address: a live page, /metrics, /healthz, /readyz, /status.json (127.0.0.1)"))},
    {ROW(SETTING_LIST, "metrics-host", "GLOB", metrics_hosts,
         HELP("also answer HTTP requests for this host name; may be repeated"))},
    {ROW(SETTING_CHOICE, "progress", "auto|off", progress_off, .choices = progress_choices, RANGE(0, 1),
         HELP("progress lines on a terminal (auto)"))},
};
/* clang-format on */

const size_t settings_table_count = sizeof settings_table / sizeof *settings_table;

const struct setting *setting_find(const char *name)
{
    for (size_t i = 0; i < settings_table_count; i++)
        if (strcmp(settings_table[i].help.name, name) == 0)
            return &settings_table[i];
    return NULL;
}
