#include "supervisor/verify/subject.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "supervisor/cli/status.h"
#include "supervisor/observe/json.h"
#include "supervisor/state/state_dir.h"

static int digit_of(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool read_hex(const char *text, struct buf *out)
{
    size_t len = strlen(text);
    for (size_t i = 0; i + 1 < len; i += 2) {
        int high = digit_of(text[i]), low = digit_of(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        buf_put_u8(out, (uint8_t)(high << 4 | low));
    }
    return len > 0 && len % 2 == 0;
}

static bool read_session(struct subject *s, const cJSON *json)
{
    snprintf(s->master_id, sizeof s->master_id, "%s", json_text(json, "master_id"));
    s->flow_count = (uint32_t)json_u64(json, "flow_count");
    return slice_to_u64(slice_str(json_text(json, "session")), &s->session);
}

/* Those of the run, with name and state directory as this process sees them. */
static bool take_settings(struct subject *s, const struct settings *own, const cJSON *json,
                          struct error *error)
{
    struct buf bytes = {0};
    bool ok = read_hex(json_text(json, "settings"), &bytes) &&
              settings_decode(&s->settings, buf_slice(&bytes), error) && read_session(s, json);
    if (bytes.cap)
        explicit_bzero(bytes.data, bytes.cap);
    buf_free(&bytes);
    if (!ok)
        return error_fatal(error, EX_PROTOCOL, "the run %s is of another version of df2redis: use that one",
                           own->name);
    settings_set(&s->settings, "state-dir", own->state_dir, NULL);
    s->settings.log_level = own->log_level;
    s->settings.log_format = own->log_format;
    s->settings.progress_off = own->progress_off;
    s->beside_run = true;
    return true;
}

static bool refuse_given(const struct options *o, struct error *error)
{
    static const char *const names[] = {"source", "target", "include", "exclude", "db"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (config_value_given(&o->config, names[i]))
            return error_fatal(
                error, EX_USAGE,
                "the run %s is active, and what it copies is compared: leave out --%s, or give "
                "another --name",
                o->settings.name, names[i]);
    return true;
}

static bool find_without_run(struct subject *s, const struct options *o, struct error *error)
{
    const struct settings *own = &o->settings;
    struct state_dir dir;
    if (!own->source_text || !own->target_text || own->target.null_sink)
        return error_fatal(error, EX_UNAVAILABLE,
                           "no run named %s is active in %s; see --name and --state-dir for another, or give "
                           "--source and --target to compare without a run",
                           own->name, own->state_dir);
    if (o->repair)
        return error_fatal(error, EX_USAGE,
                           "--repair is exact only beside a run: start df2redis replicate first");
    /* Makes the directory; the lock is the run's. */
    if (!state_dir_open(&dir, own, error))
        return false;
    state_dir_close(&dir);
    *error = (struct error){0}; /* that there is no run */
    settings_copy(&s->settings, own);
    return true;
}

bool subject_find(struct subject *s, const struct options *o, struct error *error)
{
    *s = (struct subject){0};
    settings_init(&s->settings);
    cJSON *json = run_request(&o->settings, "settings", error);
    if (!json)
        return error->exit_code == EX_UNAVAILABLE && !state_dir_active_pid(&o->settings) &&
               find_without_run(s, o, error);
    bool ok;
    const char *refusal = json_text(json, "error");
    if (*refusal)
        ok = error_fatal(error, EX_NOPERM, "the run %s: %s", o->settings.name, refusal);
    else
        ok = refuse_given(o, error) && take_settings(s, &o->settings, json, error);
    if (ok && s->settings.target.null_sink)
        ok = error_fatal(error, EX_CONFIG, "the target of the run %s is null:, which keeps nothing",
                         o->settings.name);
    cJSON_Delete(json);
    return ok;
}

bool subject_refresh(struct subject *s, bool *changed)
{
    struct subject before = *s;
    struct error error;
    cJSON *json = run_request(&s->settings, "settings", &error);
    bool ok = json && read_session(s, json);
    cJSON_Delete(json);
    *changed = ok && (s->session != before.session || s->flow_count != before.flow_count ||
                      strcmp(s->master_id, before.master_id) != 0);
    return ok;
}

void subject_free(struct subject *s)
{
    settings_free(&s->settings);
}
