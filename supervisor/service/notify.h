/* Messages to a service manager, as those of sd_notify(3): datagrams to the socket in $NOTIFY_SOCKET. */
#ifndef DF2REDIS_SUPERVISOR_SERVICE_NOTIFY_H
#define DF2REDIS_SUPERVISOR_SERVICE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { NOTIFY_TEXT_BYTES = 200, NOTIFY_EXTEND_MS = 60000 };

struct notify {
    int fd; /* -1: no service manager */
    struct sockaddr_un address;
    socklen_t address_bytes;
    uint64_t watchdog_ms; /* the watchdog's interval: half of the granted time; 0: no watchdog */
    uint64_t watchdog_sent_ms, extended_ms;
    bool ready, stopping;
    char status[NOTIFY_TEXT_BYTES];
};

/* Reads the variables and removes them from the environment, so that workers do not inherit them. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* Each sends news only. */
void notify_turn(struct notify *n, uint64_t now_ms, bool in_step, const char *status);
void notify_ready(struct notify *n);
void notify_stopping(struct notify *n);
/* Around a reload. Before READY=1 they send nothing. */
void notify_reloading(struct notify *n);
void notify_reloaded(struct notify *n);

#endif
