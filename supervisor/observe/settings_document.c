#include "supervisor/observe/settings_document.h"

#include <stdio.h>
#include <stdlib.h>

#include "supervisor/run/run.h"

static char *hex_of(const struct buf *bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *text = x_malloc(bytes->len * 2 + 1);
    for (size_t i = 0; i < bytes->len; i++) {
        text[2 * i] = digits[bytes->data[i] >> 4];
        text[2 * i + 1] = digits[bytes->data[i] & 15];
    }
    text[bytes->len * 2] = '\0';
    return text;
}

cJSON *settings_document(const struct run *run)
{
    struct buf bytes = {0};
    char session[24];
    struct settings settings = *run->settings; /* with the address at hand */
    if (run->source_uri.host)
        settings.source = run->source_uri;
    settings_encode(&settings, &bytes);
    char *hex = hex_of(&bytes);
    cJSON *json = cJSON_CreateObject();
    snprintf(session, sizeof session, "%llu", (unsigned long long)run->session_id);
    cJSON_AddStringToObject(json, "session", session);
    cJSON_AddNumberToObject(json, "flow_count", run->flow_count);
    cJSON_AddStringToObject(json, "master_id", run->greeting.master_id);
    cJSON_AddStringToObject(json, "settings", hex);
    explicit_bzero(hex, bytes.len * 2);
    explicit_bzero(bytes.data, bytes.len);
    free(hex);
    buf_free(&bytes);
    return json;
}
