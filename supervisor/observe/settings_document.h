/* The session of a run and its settings, for a verification beside it:
 *
 *   {"session":"…","flow_count":N,"master_id":"…","settings":"hex of settings_encode()"}
 *
 * session is text, as not every 64-bit number is a JSON number. It holds passwords: only for the user of the run. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_SETTINGS_DOCUMENT_H
#define DF2REDIS_SUPERVISOR_OBSERVE_SETTINGS_DOCUMENT_H

#include <cjson/cJSON.h>

struct run;

/* The caller frees it. */
cJSON *settings_document(const struct run *run);

#endif
