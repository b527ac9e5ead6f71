/* Fields of a JSON object, each with a value for "not there, or of another type". */
#ifndef DF2REDIS_SUPERVISOR_JSON_H
#define DF2REDIS_SUPERVISOR_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

static inline const char *json_text(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(json, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static inline double json_number(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(json, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* 0, too, for what is negative. */
static inline uint64_t json_u64(const cJSON *json, const char *name)
{
    double number = json_number(json, name);
    return number > 0 ? (uint64_t)number : 0;
}

static inline bool json_is_true(const cJSON *json, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItem(json, name));
}

#endif
