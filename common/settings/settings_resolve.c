/* Completes the settings: reads secrets, makes paths absolute, refuses contradictions. */
#include "common/settings/settings_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    PASSWORD_MAX_BYTES = 4096,
    ENCODED_MAX_BYTES = 60000, /* has to fit one message (message.h) with its other fields */
};

/* The open file's first line into *out (PASSWORD_MAX_BYTES + 3, terminated). */
static bool read_password(int fd, bool private, const char *option, const char *path, char *out,
                          struct error *error)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return error_fatal(error, EX_NOINPUT, "%s: %s is not a regular file", option, path);
    if (private && st.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH))
        return error_fatal(error, EX_CONFIG, "%s: %s is open to others (mode %03o): chmod 600 %s", option,
                           path, (unsigned)(st.st_mode & 0777), path);
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, out + len, PASSWORD_MAX_BYTES + 2 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_fatal(error, EX_NOINPUT, "%s: reading %s: %s", option, path, strerror(errno));
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (len > 0 && out[len - 1] == '\n')
        len--;
    if (len > 0 && out[len - 1] == '\r')
        len--;
    out[len] = '\0';
    if (len == 0)
        return error_fatal(error, EX_CONFIG, "%s: %s is empty: write the password into it", option, path);
    if (len > PASSWORD_MAX_BYTES || strcspn(out, "\r\n") != len)
        return error_fatal(error, EX_CONFIG, "%s: %s must hold one line of at most %d bytes", option, path,
                           PASSWORD_MAX_BYTES);
    return true;
}

/* private: refused when others may read it. */
static bool password_from_file(const char *option, const char *path, bool private, char **password,
                               struct error *error)
{
    char text[PASSWORD_MAX_BYTES + 3];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_fatal(error, errno == EACCES ? EX_NOPERM : EX_NOINPUT, "%s: opening %s: %s", option,
                           path, strerror(errno));
    bool good = read_password(fd, private, option, path, text, error);
    close(fd);
    if (good)
        *password = x_strdup(text);
    explicit_bzero(text, sizeof text);
    return good;
}

/* A credential of systemd (LoadCredential=). Its file mode is not checked: systemd sets it. */
static bool password_from_credentials(const char *what, char **password, struct error *error)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (!directory || directory[0] != '/')
        return true;
    struct buf path = {0};
    buf_printf(&path, "%s/%s-password", directory, what);
    buf_put_u8(&path, '\0');
    const char *name = (const char *)path.data;
    bool good = access(name, F_OK) != 0 ||
                password_from_file("the credential from systemd", name, false, password, error);
    buf_free(&path);
    return good;
}

/* A password in both the URI and a file is refused. Credentials and the environment count only if neither was given:
 * they may belong to other runs. */
static bool find_password(struct uri *uri, const char *what, const char *file, const char *variable,
                          struct error *error)
{
    if (!uri->host)
        return true;
    const char *environment = getenv(variable);
    char option[64];
    struct buf name = {0};
    buf_printf(&name, "%s-password-file", what);
    memcpy(option, name.data, name.len);
    option[name.len] = '\0';
    buf_free(&name);
    if (uri->password && file)
        return error_fatal(error, EX_USAGE,
                           "the %s's password is both in its URI and in %s: give one of them", what, option);
    if (file)
        return password_from_file(option, file, true, &uri->password, error);
    if (!uri->password && !password_from_credentials(what, &uri->password, error))
        return false;
    if (!uri->password && environment && *environment)
        uri->password = x_strdup(environment);
    return true;
}

/* The state directory if --state-dir is not given. */
static bool default_state_dir(struct settings *s, struct error *error)
{
    struct buf path = {0};
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (geteuid() == 0)
        buf_printf(&path, "/var/lib/df2redis");
    else if (state && state[0] == '/')
        buf_printf(&path, "%s/df2redis", state);
    else if (home && home[0] == '/')
        buf_printf(&path, "%s/.local/state/df2redis", home);
    else
        return error_fatal(error, EX_USAGE,
                           "state-dir: not given, and there is no default without HOME: "
                           "give --state-dir DIR");
    s->state_dir = x_strndup((const char *)path.data, path.len);
    buf_free(&path);
    return true;
}

/* A daemon changes its directory, so relative paths are resolved now. */
static bool make_absolute(struct settings *s, struct error *error)
{
    for (size_t i = 0; i < settings_table_count; i++) {
        const struct setting *row = &settings_table[i];
        char **field = setting_field(s, row);
        if (row->kind != SETTING_TEXT || !*field || (*field)[0] == '/')
            continue;
        char *directory = getcwd(NULL, 0);
        if (!directory)
            return error_fatal(error, EX_OSERR,
                               "%s: the current directory is unknown: %s; give a path "
                               "that begins with /",
                               row->help.name, strerror(errno));
        struct buf path = {0};
        buf_printf(&path, "%s/%s", directory[1] ? directory : "", *field);
        free(directory);
        free(*field);
        *field = x_strndup((const char *)path.data, path.len);
        buf_free(&path);
    }
    return true;
}

bool settings_check(const struct settings *s, struct error *error)
{
    bool tls = s->source.tls || s->target.tls, known = s->source.host || s->target.host;
    if (s->source.null_sink || s->source.unix_socket)
        return error_fatal(error, EX_USAGE, "source: must be redis://host:port or rediss://host:port");
    if (s->source.db || s->target.db)
        return error_fatal(
            error, EX_USAGE,
            "%s: a FLOW carries all databases; remove /%u from the URI, and map databases of the "
            "source to those of the target with --db A:B",
            s->source.db ? "source" : "target", s->source.db ? s->source.db : s->target.db);
    if (!s->tls_cert_file != !s->tls_key_file)
        return error_fatal(error, EX_USAGE, "tls-cert and tls-key go together: %s is missing",
                           s->tls_cert_file ? "tls-key" : "tls-cert");
    if (known && !tls && (s->tls_ca_file || s->tls_cert_file || s->tls_insecure))
        return error_fatal(error, EX_USAGE,
                           "TLS settings are given, but neither source nor target is a rediss:// URI");
    if (s->tls_insecure && s->tls_ca_file)
        return error_fatal(error, EX_USAGE,
                           "tls-insecure and tls-ca contradict each other: give one of them");
    if (s->syslog && s->log_file)
        return error_fatal(error, EX_USAGE, "syslog and log-file contradict each other: give one of them");
    if (s->window_bytes < s->batch_bytes)
        return error_fatal(error, EX_USAGE, "window-bytes must not be smaller than batch-bytes (%llu)",
                           (unsigned long long)s->batch_bytes);
    if (s->barrier_timeout_ms < s->stuck_warning_ms)
        return error_fatal(error, EX_USAGE, "barrier-timeout must not be shorter than stuck-warning (%u ms)",
                           s->stuck_warning_ms);
    return true;
}

static bool small_enough(const struct settings *s, struct error *error)
{
    struct buf bytes = {0};
    settings_encode(s, &bytes);
    bool good = bytes.len <= ENCODED_MAX_BYTES;
    explicit_bzero(bytes.data, bytes.len);
    buf_free(&bytes);
    return good || error_fatal(error, EX_USAGE,
                               "include, exclude: too many patterns: %d bytes in all are "
                               "possible",
                               ENCODED_MAX_BYTES);
}

bool settings_finish(struct settings *s, struct error *error)
{
    if (!settings_check(s, error) || !make_absolute(s, error))
        return false;
    if (!s->state_dir && !default_state_dir(s, error))
        return false;
    if (!find_password(&s->source, "source", s->source_password_file, "DF2REDIS_SOURCE_PASSWORD", error) ||
        !find_password(&s->target, "target", s->target_password_file, "DF2REDIS_TARGET_PASSWORD", error))
        return false;
    /* A daemon has no standard error. */
    if (s->daemon && !s->log_file)
        s->syslog = true;
    /* With --on-conflict the target may hold keys from before the run: do not flush them. */
    if (!s->on_full_resync_given && s->on_conflict != ON_CONFLICT_UNSET && !s->flush_target)
        s->on_full_resync = ON_FULL_RESYNC_STOP;
    const uint64_t unit = UINT64_C(64) << 10; /* a multiple of every page size */
    s->ring_bytes = (s->ring_bytes + unit - 1) / unit * unit;
    return small_enough(s, error);
}
