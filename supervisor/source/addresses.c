/* Rounds over the source's addresses. */
#include "supervisor/source/addresses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An address without user and password gets those of the first one, which may come from a file. */
static void inherit_credentials(struct uri *u, const struct uri *first)
{
    if (u->user || u->password)
        return;
    u->user = first->user ? x_strdup(first->user) : NULL;
    u->password = first->password ? x_strdup(first->password) : NULL;
}

void addresses_init(struct addresses *a, const struct settings *settings)
{
    *a = (struct addresses){0};
    if (settings->source_text)
        a->host_count = uri_parse_list(settings->source_text, a->hosts, NULL);
    if (!a->host_count)
        a->host_count = 1;
    uri_copy(&a->hosts[0], &settings->source);
    for (size_t i = 1; i < a->host_count; i++)
        inherit_credentials(&a->hosts[i], &a->hosts[0]);
}

static void end_round(struct addresses *a)
{
    for (size_t i = 0; i < a->count; i++)
        uri_free(&a->list[i]);
    a->count = a->at = 0;
    a->said = (struct error){0};
    a->any_retry = false;
}

void addresses_free(struct addresses *a)
{
    end_round(a);
    uri_free(&a->found);
    for (size_t i = 0; i < a->host_count; i++)
        uri_free(&a->hosts[i]);
    a->host_count = 0;
}

static bool is_same_address(const struct uri *a, const struct uri *b)
{
    return a->host && b->host && strcmp(a->host, b->host) == 0 && a->port == b->port && a->address &&
           b->address && strcmp(a->address, b->address) == 0;
}

static void move_to_front(struct addresses *a, size_t i)
{
    struct uri first = a->list[i];
    memmove(a->list + 1, a->list, i * sizeof *a->list);
    a->list[0] = first;
}

/* Adds an error to those of the round. */
static void add_error(struct addresses *a, const struct error *why)
{
    size_t len = strlen(a->said.text);
    snprintf(a->said.text + len, sizeof a->said.text - len, "%s%.200s", len ? "; " : "", why->text);
    a->any_retry |= why->class != ERROR_FATAL;
    if (!a->said.exit_code)
        a->said.exit_code = why->exit_code;
}

static void look_up(struct addresses *a)
{
    for (size_t i = 0; i < a->host_count && a->count < ADDRESSES_MAX; i++) {
        struct error error = {0};
        size_t more = uri_addresses(&a->hosts[i], a->list + a->count, ADDRESSES_MAX - a->count, &error);
        if (!more)
            add_error(a, &error);
        a->count += more;
    }
}

const struct uri *addresses_current(struct addresses *a, struct error *error)
{
    if (!a->count)
        look_up(a);
    if (!a->count) {
        error_set(error, ERROR_RETRY, "source: %s", a->said.text);
        end_round(a);
        return NULL;
    }
    for (size_t i = 1; a->at == 0 && i < a->count; i++)
        if (is_same_address(&a->list[i], &a->found))
            move_to_front(a, i);
    return &a->list[a->at];
}

bool addresses_next(struct addresses *a, const struct error *why, struct error *all)
{
    bool several = a->count > 1;
    add_error(a, why);
    *all = *why;
    if (a->count && ++a->at < a->count)
        return true;
    if (several) {
        all->class = a->any_retry ? ERROR_RETRY : ERROR_FATAL;
        all->exit_code = a->any_retry ? 0 : a->said.exit_code;
        snprintf(all->text, sizeof all->text,
                 "none of %zu addresses is a master that answers: %.380s; "
                 "start one, or give its address with --source",
                 a->count, a->said.text);
    }
    end_round(a);
    return false;
}

void addresses_found(struct addresses *a)
{
    if (a->at < a->count)
        uri_copy(&a->found, &a->list[a->at]);
    end_round(a);
}

bool addresses_several(const struct addresses *a)
{
    return a->count > 1;
}

bool addresses_more(const struct addresses *a)
{
    return a->at + 1 < a->count;
}

void addresses_display(const struct addresses *a, char *out, size_t out_bytes)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < a->host_count; i++) {
        char one[280];
        uri_display(&a->hosts[i], one, sizeof one);
        int n = snprintf(out + len, out_bytes - len, "%s%s", len ? "," : "", one);
        if (n < 0 || (size_t)n >= out_bytes - len) {
            out[len] = '\0'; /* whole addresses only */
            return;
        }
        len += (size_t)n;
    }
}

bool addresses_share(const char *one, const char *other)
{
    for (const char *p = one; *p;) {
        size_t n = strcspn(p, ",");
        for (const char *q = other; *q;) {
            size_t m = strcspn(q, ",");
            if (n == m && strncmp(p, q, n) == 0)
                return true;
            q += m + (q[m] == ',');
        }
        p += n + (p[n] == ',');
    }
    return false;
}
