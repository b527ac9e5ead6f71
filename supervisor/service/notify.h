/* What a service manager is told, as sd_notify(3) does it: datagrams to the socket that $NOTIFY_SOCKET names.
 */
#ifndef DF2REDIS_SUPERVISOR_SERVICE_NOTIFY_H
#define DF2REDIS_SUPERVISOR_SERVICE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { NOTIFY_TEXT_BYTES = 200, NOTIFY_EXTEND_MS = 60000 };

struct notify {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un address;
    socklen_t address_bytes;
    uint64_t watchdog_ms; /* how often it has to hear of us: half of what it grants; 0: never */
    uint64_t watchdog_sent_ms, extended_ms;
    bool ready, stopping;
    char status[NOTIFY_TEXT_BYTES];
};

/* Takes the variables out of the environment: they are not for our children. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* Each says what is new, and nothing otherwise. */
void notify_turn(struct notify *n, uint64_t now_ms, bool in_step, const char *status);
void notify_ready(struct notify *n);
void notify_stopping(struct notify *n);
/* Around a reload; before it is ready the manager does not care. */
void notify_reloading(struct notify *n);
void notify_reloaded(struct notify *n);

#endif
