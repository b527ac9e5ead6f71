#include "supervisor/cutover/order.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char *const thens[] = {"stop", "takeover", "reverse"};

const char *cutover_then_name(enum cutover_then then)
{
    return thens[then];
}

bool cutover_then_read(const char *word, enum cutover_then *out)
{
    for (size_t i = 0; i < sizeof thens / sizeof *thens; i++)
        if (strcmp(word, thens[i]) == 0) {
            *out = (enum cutover_then)i;
            return true;
        }
    return false;
}

void cutover_order_write(const struct cutover_order *order, char *out, size_t out_bytes)
{
    snprintf(
        out, out_bytes,
        "{\"max_pause_ms\":%llu,\"command\":%s,\"dry_run\":%s,\"accept_divergences\":%s,\"then\":\"%s\"}",
        (unsigned long long)order->max_pause_ms, order->command ? "true" : "false",
        order->dry_run ? "true" : "false", order->accept_divergences ? "true" : "false", thens[order->then]);
}

bool cutover_order_read(const char *json_text, struct cutover_order *out, struct error *error)
{
    cJSON *json = cJSON_Parse(json_text);
    const cJSON *pause = cJSON_GetObjectItem(json, "max_pause_ms"), *then = cJSON_GetObjectItem(json, "then");
    *out = (struct cutover_order){.command = cJSON_IsTrue(cJSON_GetObjectItem(json, "command")),
                                  .dry_run = cJSON_IsTrue(cJSON_GetObjectItem(json, "dry_run")),
                                  .accept_divergences =
                                      cJSON_IsTrue(cJSON_GetObjectItem(json, "accept_divergences"))};
    bool ok = cJSON_IsNumber(pause) && pause->valuedouble >= CUTOVER_PAUSE_LEAST_MS &&
              pause->valuedouble <= CUTOVER_PAUSE_MOST_MS && cJSON_IsString(then) &&
              cutover_then_read(then->valuestring, &out->then);
    if (ok)
        out->max_pause_ms = (uint64_t)pause->valuedouble;
    cJSON_Delete(json);
    return ok || error_fatal(error, EX_PROTOCOL,
                             "the order is not understood: use the df2redis of the run's version");
}
